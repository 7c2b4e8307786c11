"""Tables as the aggregator would leave them, written by SQL: 31 days of May 2026, 5 models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.rollup_sql import insert_rollups

_CHUNK: Final = 500_000  # rows an INSERT, as the aggregator's larger batches are

# The columns of event number `number`, whose subject is one of the bound `subjects`, each in its turn.
EVENT: Final = """
    {subjects:Array(String)}[number % length({subjects:Array(String)}) + 1] AS subject,
    toDateTime64('2026-05-01 00:00:00', 6, 'UTC')
        + toIntervalMicrosecond(cityHash64(number) % 2678400000000) AS time,
    'm' || toString(cityHash64(number, 1) % 5) AS model,
    'user_' || toString(cityHash64(number, 2) % 20000) AS user
"""
_METERED: Final = """
SELECT 'org_dev' AS namespace, {metric:String} AS billable_metric_id, 1 AS version, subject,
    '' AS external_subject, time, time AS received_at, 0 AS log_partition, number AS log_offset,
    map('model', model) AS dimensions, {value} AS value, {unique_hash} AS unique_hash
FROM (SELECT number, {event} FROM numbers({first:UInt64}, {rows:UInt64}))
"""
_COLUMNS: Final = (
    "namespace, billable_metric_id, version, subject, external_subject, time, received_at, "
    "log_partition, log_offset, dimensions, value, unique_hash"
)


def chunks(events: int, subjects: Sequence[str]) -> Iterator[dict[str, object]]:
    """What is bound for each INSERT of some of the events."""
    for first in range(0, events, _CHUNK):
        yield {"first": first, "rows": min(_CHUNK, events - first), "subjects": list(subjects)}


def sum_up(client: Client, metric: str, bound: Mapping[str, object]) -> None:
    """Count a chunk's tokens for the metric."""
    _insert(client, "toDecimal128(number % 4096, 18)", "toUInt128(0)", {**bound, "metric": metric})


def count_users(client: Client, metric: str, bound: Mapping[str, object]) -> None:
    """Count a chunk's unique users for the metric."""
    unique_hash = "reinterpretAsUInt128(sipHash128(user))"
    _insert(client, "CAST(NULL, 'Nullable(Decimal(38, 18))')", unique_hash, {**bound, "metric": metric})


def merge(client: Client, *tables: str) -> None:
    """Leave the tables as merges leave a month that is over."""
    for table in ("metered_events", "rollups", *tables):
        client.command(f"OPTIMIZE TABLE {table} FINAL")


def _insert(client: Client, value: str, unique_hash: str, bound: Mapping[str, object]) -> None:
    parameters = dict(bound)
    rows = _METERED.replace("{event}", EVENT)
    rows = rows.replace("{value}", value).replace("{unique_hash}", unique_hash)
    client.command(f"INSERT INTO metered_events ({_COLUMNS}) {rows}", parameters=parameters)
    rollups = insert_rollups("rollups", f"({rows})", {"max_insert_threads": 1}, ())
    client.command(rollups, parameters=parameters)
