"""Data on its way into a statement that reads it more cleverly than a plain INSERT does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile

from clickhouse_connect.driver.binding import format_str


@contextmanager
def staged(body: bytes, kind: str, structure: str) -> Iterator[str]:
    """Yield an SQL table function over `body`, which is in format `kind` with the columns of `structure`.

    chDB takes neither a request body (`input`) nor external data, but it reads files of its own machine.
    """
    with NamedTemporaryFile(prefix="meterhouse-", suffix=f".{kind.lower()}") as file:
        file.write(body)
        file.flush()
        yield f"file({format_str(file.name)}, {kind}, {format_str(structure)})"
