"""`meterhouse` as its users run it: a process of its own with an environment of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Final, Self

from deploy.local.machine import free_ports

PATIENCE: Final = 300.0  # seconds for whatever has to happen at last, on a machine busy with other tests
READY: Final = "meterhouse is ready at http://"
_START_SECONDS: Final = 60.0  # for a machine busy with other tests; see benchmarks/startup.py
_STOP_SECONDS: Final = 10.0  # what SIGTERM is promised to take at most


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Return once it holds; `what` has not come true otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(0.05)


class NotReady(AssertionError):
    """The process ended (with `status`), or said nothing for too long; the message holds all it printed."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


def free_port() -> int:
    """A loopback port that nothing listens on."""
    [port] = free_ports(1)
    return port


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process needs to run at all, and none of the METERHOUSE_ variables of this one."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"} | dict(extra or {})


def run_cli(
    *arguments: str, seconds: float = 60, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `meterhouse …` to its end and keep what it printed; its exit status is for the caller to judge."""
    return subprocess.run(
        [sys.executable, "-m", "meterhouse", *arguments],
        env=clean_environment(env),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


class Server:
    """`meterhouse dev` on `data`: started and ready once constructed, killed at the end of a `with`.

    Raises NotReady when it does not come up.
    """

    def __init__(
        self,
        data: Path,
        *options: str,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.port = port or free_port()
        self.key = "mh_dev"
        self._lines: list[str] = []
        self._lock = Lock()
        self._settled = Event()
        command = [sys.executable, "-m", "meterhouse", "dev"]
        command += ["--data", str(data), "--port", str(self.port), *options]
        self.process = subprocess.Popen(
            command,
            env=clean_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        settled = self._settled.wait(_START_SECONDS)
        if not settled or not self.is_ready:
            status = self.wait(_STOP_SECONDS) if settled else None
            self._close()
            raise NotReady(f"`{' '.join(command)}` did not become ready; it printed:\n{self.output}", status)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """All it has printed so far, both streams."""
        with self._lock:
            return "".join(self._lines)

    @property
    def is_ready(self) -> bool:
        with self._lock:
            return any(line.startswith(READY) for line in self._lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._lock:
                self._lines.append(line)
            if line.startswith(READY):
                self._settled.set()
        self._settled.set()

    def kill(self) -> None:
        """SIGKILL, as power loss would; returns once the process is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.wait(_STOP_SECONDS)

    def stop(self) -> None:
        """SIGTERM, which must end it with exit status 0 in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not end it in {_STOP_SECONDS} s:\n{self.output}") from None
        assert status == 0, f"SIGTERM ended it with {status}:\n{self.output}"

    def wait(self, seconds: float) -> int:
        """Its exit status, once it has ended; raises subprocess.TimeoutExpired. All output is in by then."""
        status = self.process.wait(seconds)
        self._reader.join(_STOP_SECONDS)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdout is not None
        self._reader.join(_STOP_SECONDS)
        self.process.stdout.close()
