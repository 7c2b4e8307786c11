"""The data folder of the embedded form: who may use it, and where in it things lie."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class FolderInUse(Exception):
    """Another process works on the data folder."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """What the embedded form keeps, and where."""

    path: Path

    @property
    def log(self) -> Path:
        return self.path / "log.sqlite"

    @property
    def catalog_url(self) -> str:
        return f"sqlite:///{self.path.resolve() / 'catalog.sqlite'}"

    @property
    def clickhouse_dsn(self) -> str:
        return f"chdb:///{self.path.resolve() / 'clickhouse'}"

    @property
    def api_key(self) -> Path:
        return self.path / "api_key"

    def create(self) -> None:
        """Make the folder, readable by its owner alone. One that is there stays as it is."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process on the folder; the operating system lets go of the lock even after a kill.

        Raises FolderInUse at once where another process holds it.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = (
                    f"{self.path} is in use by another meterhouse process; "
                    "stop it first, or name another folder with --data"
                )
                raise FolderInUse(message) from None
            yield
        finally:
            os.close(descriptor)

    def keep_key(self, key: str) -> None:
        """Write the generated key down for its owner alone (mode 600)."""
        descriptor = os.open(self.api_key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{key}\n")

    def kept_key(self) -> str | None:
        """The key written down earlier, if any."""
        return self.api_key.read_text().strip() if self.api_key.exists() else None
