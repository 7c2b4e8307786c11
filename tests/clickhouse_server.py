"""A ClickHouse server of the tests' own, as a process: the stand-in of deploy/local."""

from __future__ import annotations

import selectors
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.running import free_port

ROOT: Final = Path(__file__).parents[1]
_PATIENCE: Final = 30


class ClickHouseServer:
    """The stand-in over `folder`, which keeps its port when it is killed and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._port = str(free_port())
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Return once it is ready; what it says of a failure is in the error."""
        command = [
            *(sys.executable, "-m", "deploy.local.clickhouse"),
            *("--data", str(self._folder), "--port", self._port, *self._options),
        ]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(_PATIENCE) else ""
        if not line.startswith("clickhouse is ready at "):
            self._process.kill()
            raise RuntimeError(f"the ClickHouse stand-in did not start: {self._process.communicate()}")
        self.url = line.split()[-1]

    def kill(self) -> None:
        """End it at once, as a power cut of the process."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it as an operator does; its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            process.communicate(timeout=_PATIENCE)
        finally:
            process.kill()
        return process.returncode
