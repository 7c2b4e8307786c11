"""Data on its way into a statement that does more with it than a plain INSERT does.

A server takes it with the request: as external data beside a query, or as the body that `input` reads. chDB
takes neither, but it reads files of its own machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from clickhouse_connect.driver.binding import format_str
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.memory_file import memory_file

_STAGED: Final = "staged"

# Nothing is answered before the INSERT has ended, so that half an answer is never taken for a success.
_SENT: Final[dict[str, Any]] = {"send_progress_in_http_headers": 0}


class Staging:
    """The one way of three statements with data, for a server or for chDB as `pool` has it.

    A body to insert goes to the driver as a view, which it sends once. Bytes it would send again over a
    connection that was reset, and hide that the first INSERT may have landed, or may have died between its
    token and its part: the exactly-once protocol has to know, to look.
    """

    def __init__(self, pool: ClickHousePool) -> None:
        self._embedded = pool.folder is not None

    def query(
        self,
        client: Client,
        statement: str,
        body: bytes,
        *,
        kind: str,
        structure: str,
        settings: Mapping[str, int | str],
    ) -> Sequence[Sequence[Any]]:
        """Rows of a SELECT whose `{staged}` is a table of `structure`, read from `body` in format `kind`."""
        if self._embedded:
            with _file(body, kind, structure) as source:
                return client.query(statement.format(staged=source), settings=dict(settings)).result_rows
        data = ExternalData(file_name=_STAGED, data=body, fmt=kind, structure=structure)
        asked = statement.format(staged=_STAGED)
        return client.query(asked, settings=dict(settings), external_data=data).result_rows

    def insert(
        self,
        client: Client,
        table: str,
        columns: Sequence[str],
        body: bytes,
        settings: Mapping[str, int | str],
    ) -> None:
        """INSERT the rows of `body`, an Arrow file, as they are."""
        client.raw_insert(table, columns, memoryview(body), settings={**settings, **_SENT}, fmt="Arrow")  # type: ignore[arg-type] # any buffer will do

    def insert_select(
        self, client: Client, statement: Callable[[str], str], body: bytes, structure: str
    ) -> None:
        """Run `INSERT INTO … SELECT … FROM source`, as `statement` words it, over `body`, an Arrow file."""
        if self._embedded:
            with _file(body, "Arrow", structure) as source:
                client.command(statement(source))
            return
        into = statement(f"input({format_str(structure)})").removeprefix("INSERT INTO ")
        client.raw_insert(into, None, memoryview(body), settings=_SENT, fmt="Arrow")  # type: ignore[arg-type] # any buffer will do


@contextmanager
def _file(body: bytes, kind: str, structure: str) -> Iterator[str]:
    """Yield an SQL table function over `body`."""
    with memory_file(body) as path:
        yield f"file({format_str(path)}, {kind}, {format_str(structure)})"
