"""A client each of whose statements is a span."""

from __future__ import annotations

import re
from typing import Any, Final, cast

from clickhouse_connect.driver.client import Client

from meterhouse.telemetry.spans import Spans

_SHOWN_CHARACTERS: Final = 2000
_FIRST_WORD: Final = re.compile(r"\w+")


def traced(client: Client, spans: Spans) -> Client:
    """`client`, or where spans are made one that does the same and makes them."""
    return cast(Client, _TracedClient(client, spans)) if spans.are_made else client


class _TracedClient:
    """Has the methods that our adapters call, and for everything else is the client itself.

    Statements are shown as they are written: what is bound to them is not in their text.
    """

    def __init__(self, client: Client, spans: Spans) -> None:
        self._client = client
        self._spans = spans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, query: str, *arguments: Any, **named: Any) -> Any:
        with self._spans.statement(*_span_of(query)):
            return self._client.query(query, *arguments, **named)

    def command(self, cmd: str, *arguments: Any, **named: Any) -> Any:
        with self._spans.statement(*_span_of(cmd)):
            return self._client.command(cmd, *arguments, **named)

    def raw_insert(self, table: str, *arguments: Any, **named: Any) -> Any:
        with self._spans.statement(*_span_of(f"INSERT INTO {table}")):
            return self._client.raw_insert(table, *arguments, **named)


def _span_of(statement: str) -> tuple[str, dict[str, str]]:
    text = statement.strip()
    found = _FIRST_WORD.match(text)
    operation = found.group().upper() if found else "?"
    attributes = {
        "db.system.name": "clickhouse",
        "db.operation.name": operation,
        "db.query.text": text[:_SHOWN_CHARACTERS],
    }
    return operation, attributes
