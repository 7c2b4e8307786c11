"""Processes that outlive the command which started them, and are found again by their pid and command."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.machine import end, listens, state_of

_STOP_SECONDS: Final = 15.0
_LEAVE_SECONDS: Final = 5.0


class NotStarted(Exception):
    """A process did not come up; the message ends with what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A process by its name: how it is started, where it listens, and where its pid and words are kept."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int
    folder: Path

    @property
    def pid(self) -> int | None:
        """The process, if it runs; another that has its number by now is not it."""
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if [part.decode() for part in command[1:]] == list(self.command[1:]) else None

    def launch(self) -> int:
        """Start it, in a session of its own, unless it runs already; its pid. Raises NotStarted.

        Whoever else listens on its port would be taken for it; one that was killed may do so for a moment.
        """
        if (running := self.pid) is not None:
            return running
        deadline = time.monotonic() + _LEAVE_SECONDS
        while self.listens():
            if time.monotonic() > deadline:
                raise NotStarted(
                    f"{self.name} did not start: another process listens on its port {self.port}"
                )
            time.sleep(0.1)
        self.folder.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            self.command[0],
            list(self.command),
            {**os.environ, **self.environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, self.output, append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,  # a Ctrl-C at our terminal is not for it
        )
        command = Path(f"/proc/{pid}/cmdline")
        while state_of(pid) != "Z" and not command.read_bytes():
            time.sleep(0.001)  # it is in the middle of exec, where a process has no command yet
        self._pid_file.write_text(str(pid))
        return pid

    def wait_until(self, ready: Callable[[Unit], bool], seconds: float) -> None:
        """Return once it is `ready`. Raises NotStarted."""
        deadline = time.monotonic() + seconds
        while not ready(self):
            if self.pid is None or time.monotonic() > deadline:
                words = self.output.read_text(errors="replace")[-2000:]
                raise NotStarted(f"{self.name} did not come up:\n{words}")
            time.sleep(0.1)

    def listens(self) -> bool:
        """Whether somebody takes connections on the port."""
        return listens(self.port)

    def end(self, how: signal.Signals) -> None:
        """Send the signal and return once the process is gone; SIGKILL where that takes too long."""
        pid = self.pid
        if pid is None:
            return
        with suppress(ProcessLookupError):  # it ended by itself
            end(pid, how, _STOP_SECONDS, is_it=lambda: self.pid == pid)
        self._pid_file.unlink(missing_ok=True)

    @property
    def output(self) -> Path:
        """What it says, in all of its lives."""
        return self.folder / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"
