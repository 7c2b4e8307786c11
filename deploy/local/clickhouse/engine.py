"""Requests with their data on the chDB engine of this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.binding import format_str

from deploy.local.clickhouse.body import Part, decompressed, form_parts
from deploy.local.clickhouse.statement import format_of, insert_with_data
from meterhouse.adapters.clickhouse.engine import Answer, Refused, Request, session, text
from meterhouse.adapters.clickhouse.http_interface import NOT_IMPLEMENTED, described
from meterhouse.adapters.clickhouse.memory_file import memory_file

# As in ClickHouse, where a request does not say otherwise.
_DATABASE: Final = "default"
_EXTERNAL_FORMAT: Final = "TabSeparated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came: the URL's parameters, the headers by their names in small letters, the body."""

    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Engine:
    """The engine whose data are in the folder `path`; only one process may have it open.

    Each request has a session of its own, so nothing of one is left for the next, sessions that a client
    names included: those only lock each other out.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with session(path, described("", {}, {}, _DATABASE)) as connection:
            self._zone = text(connection, "SELECT timezone()", {}).strip()

    def answer(self, received: Received) -> Answer | None:
        """Blocks until the statement is done; None for a request without one. Raises Refused."""
        body = decompressed(received.body, received.headers.get("content-encoding", ""))
        parameters = dict(received.parameters)
        files: list[Part] = []
        kind = received.headers.get("content-type", "")
        if kind.startswith("multipart/form-data"):
            parts = list(form_parts(body, kind))
            files = [part for part in parts if part.is_file]
            parameters |= {part.name: part.data.decode() for part in parts if not part.is_file}
            body = b""
        statement = parameters.get("query", "").encode()
        statement = b"\n".join([part for part in (statement, body) if part])
        if not statement.strip():
            return None
        tables = [_External.of(part, parameters) for part in files]
        request = described("", parameters, received.headers, _DATABASE)
        with session(self._path, request) as connection:
            for table in tables:
                table.create(connection)
            return self._run(connection, statement, request)

    def _run(self, connection: Any, statement: bytes, request: Request) -> Answer:
        zone = request.settings.get("session_timezone") or self._zone
        parameters = dict(request.parameters)
        insert = insert_with_data(statement)
        if insert is not None:
            with memory_file(insert.data) as path:
                connection.query(insert.over(path), "Null", params=parameters)
            return Answer(b"", None, zone)
        result = connection.query(statement.decode(), request.default_format, params=parameters)
        return Answer(result.bytes() or b"", format_of(statement, request.default_format), zone)


@dataclass(frozen=True, slots=True)
class _External:
    """A table that comes with a query and ends with it."""

    name: str
    format: str
    structure: str
    data: bytes

    @classmethod
    def of(cls, part: Part, parameters: dict[str, str]) -> _External:
        """The table in `part`, taking what `parameters` say of it out of them."""
        structure = parameters.pop(f"{part.name}_structure", None)
        if structure is None:
            message = f"External data {part.name!r} without its structure. (NOT_IMPLEMENTED)"
            raise Refused(NOT_IMPLEMENTED, message)
        kind = parameters.pop(f"{part.name}_format", _EXTERNAL_FORMAT)
        return cls(part.name, kind, structure, part.data)

    def create(self, connection: Any) -> None:
        connection.query(f"CREATE TEMPORARY TABLE `{self.name}` ({self.structure})", "Null")
        with memory_file(self.data) as path:
            connection.query(
                f"INSERT INTO `{self.name}` FROM INFILE {format_str(path)} FORMAT {self.format}", "Null"
            )
