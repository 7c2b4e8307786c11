"""Whether the ClickHouse tables agree with each other: what `meterhouse check` asks.

Everything is compared the same way: both sides in one UNION ALL, grouped by what identifies a row, and kept
where the sides differ. That spills to disk where it must, which a join of whole tables does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.rollup_sql import OVERALL, ROLLED_UP, rollups_of
from meterhouse.adapters.clickhouse.usage_sql import BOUND_TO_VERSION, version_parameters
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.block import Table

LISTED: Final = 100  # differences named by each comparison

_SETTINGS: Final = {"max_bytes_before_external_group_by": 1 << 30, "max_bytes_before_external_sort": 1 << 30}


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not as the other tables say: which, what it should be, and what it is."""

    table: str
    key: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """How many events are metered for one metric version, how many its rollups of each size hold, and how
    many rollup rows are wrong.
    """

    definition: Definition
    metered_events: int
    rolled_up: Mapping[str, int]
    differences: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """`differences` names at most LISTED rows of each comparison; `total` is how many there are."""

    metrics: tuple[MetricSummary, ...]
    differences: tuple[Difference, ...]
    total: int


@dataclass(frozen=True, slots=True)
class _Found:
    differences: tuple[Difference, ...]
    total: int


async def reconcile(pool: ClickHousePool, definitions: Sequence[Definition]) -> Reconciliation:
    """Compare the tables for these metric versions, and the events with their index and what was metered.

    Only sure of its answer while nothing is written: a batch reaches one table after the other.
    """
    summaries: list[MetricSummary] = []
    found = list(await pool.run(_events))
    for definition in definitions:
        summary, rollups = await pool.run(partial(_metric, definition=definition))
        summaries.append(summary)
        found += rollups
    differences = tuple(chain.from_iterable(one.differences for one in found))
    return Reconciliation(tuple(summaries), differences, sum(one.total for one in found))


async def missing_offsets(
    pool: ClickHousePool, partition: int, end: int, dead_letters: Collection[int]
) -> tuple[range, ...]:
    """The offsets in [0, end) of the partition that no table holds and that are no dead letters."""
    parameters = {"partition": partition, "end": end}
    gaps = await pool.run(
        lambda client: client.query(_GAPS, parameters, settings=dict(_SETTINGS)).result_rows
    )
    dead = sorted(dead_letters)
    return tuple(chain.from_iterable(_without(range(start, stop), dead) for start, stop in gaps))


def _without(gap: range, dead: Sequence[int]) -> Iterator[range]:
    start = gap.start
    for offset in dead:
        if offset in gap:
            if start < offset:
                yield range(start, offset)
            start = offset + 1
    if start < gap.stop:
        yield range(start, gap.stop)


# --- rollups ---

_LATEST: Final = (
    "Tuple(at DateTime64(6, 'UTC'), received_at DateTime64(6, 'UTC'), log_partition UInt32,"
    " log_offset UInt64, value Decimal(38, 18))"
)


def _shown(side: str) -> str:
    """The state of one side as text: what is compared is what is shown.

    Sets of hashes are too long to read, so they are shown by their size and a hash of their own.
    """
    hashes = f"arraySort(groupUniqArrayArrayIf(hashes, {side}))"
    figures = [
        f"toString(sumIf(events, {side}))",
        f"toString(sumIf(total, {side}))",
        f"ifNull(toString(minIf(least_value, {side})), 'none')",
        f"ifNull(toString(maxIf(greatest_value, {side})), 'none')",
        f"toString(maxIf(last_value, {side}))",
        f"toString(length({hashes}))",
        f"hex(cityHash64({hashes}))",
    ]
    text = "'count {} sum {} min {} max {} latest {} unique {} ({})'"
    return f"format({text}, {', '.join(figures)})"


def _rollup_differences(size: str, aggregation: Aggregation) -> str:
    has_latest = "value IS NOT NULL" if aggregation is Aggregation.LATEST else "false"
    whose = "'', ''" if size == OVERALL else "subject, external_subject"
    kept = f"""
        SELECT 0 AS counted, subject, external_subject, window_start AS window, dimensions,
            count AS events, sum AS total, min AS least_value, max AS greatest_value, latest AS last_value,
            unique_hashes AS hashes
        FROM {Table.ROLLUPS} WHERE {BOUND_TO_VERSION} AND window_size = '{size}'
    """  # noqa: S608 # constants only
    counted = f"""
        SELECT 1, {whose}, {ROLLED_UP[size]}(time), dimensions, toUInt64(1),
            toDecimal256(ifNull(value, 0), 18), value, value,
            CAST(
                if({has_latest}, tuple(time, received_at, log_partition, log_offset, assumeNotNull(value)),
                    tuple(toDateTime64(0, 6, 'UTC'), toDateTime64(0, 6, 'UTC'), 0, 0, 0)),
                $${_LATEST}$$
            ),
            if(unique_hash = 0, [], [unique_hash])
        FROM metered_events WHERE {BOUND_TO_VERSION}
    """  # noqa: S608 # constants only
    return f"""
        SELECT concat('subject ', subject, ' external ', external_subject, ' window ', toString(window),
                ' dimensions ', toString(dimensions)) AS key,
            {_shown("counted = 1")} AS expected, {_shown("counted = 0")} AS found
        FROM ({kept} UNION ALL {counted})
        GROUP BY subject, external_subject, window, dimensions
        HAVING expected != found
    """  # noqa: S608 # constants only


_METERED: Final = f"SELECT count() FROM metered_events WHERE {BOUND_TO_VERSION}"  # noqa: S608 # constants only
_ROLLED_UP: Final = f"""
SELECT window_size, sum(count) FROM rollups WHERE {BOUND_TO_VERSION} GROUP BY window_size
"""  # noqa: S608 # constants only


def _metric(client: Client, definition: Definition) -> tuple[MetricSummary, list[_Found]]:
    parameters = version_parameters(definition)
    [(metered,)] = client.query(_METERED, parameters).result_rows
    rolled_up: dict[str, int] = dict.fromkeys(ROLLED_UP, 0)
    rolled_up.update(map(tuple, client.query(_ROLLED_UP, parameters).result_rows))
    of = f"{definition.namespace} {definition.billable_metric_id} version {definition.version} "
    found = [
        _run(client, rollups_of(size), _rollup_differences(size, definition.aggregation), parameters, of)
        for size in ROLLED_UP
    ]
    wrong = sum(one.total for one in found)
    return MetricSummary(definition, metered, rolled_up, wrong), found


# --- events ---

_PLACE: Final = "concat('partition ', toString(log_partition), ' offset ', toString(log_offset))"

_IDENTITIES: Final = f"""
SELECT concat({_PLACE}, ' identity ', hex(id_hash)) AS key,
    if(max(stored), 'an entry', 'no entry') AS expected, if(max(indexed), 'an entry', 'no entry') AS found
FROM (
    SELECT id_hash, log_partition, log_offset, 1 AS stored, 0 AS indexed FROM events
    UNION ALL SELECT id_hash, log_partition, log_offset, 0, 1 FROM event_ids
)
GROUP BY id_hash, log_partition, log_offset
HAVING expected != found
"""  # noqa: S608 # constants only

_ONE_PLACE: Final = """
SELECT concat('identity ', hex(id_hash)) AS key, 'one place' AS expected,
    toString(arraySort(groupUniqArray(10)((log_partition, log_offset)))) AS found
FROM event_ids GROUP BY id_hash HAVING uniqExact(log_partition, log_offset) > 1
"""

_ONE_EVENT: Final = f"""
SELECT {_PLACE} AS key, 'one event' AS expected,
    concat(toString(uniqExact(id_hash)), ' identities, ', toString(uniqExact(row)), ' contents') AS found
FROM (
    SELECT log_partition, log_offset, id_hash, cityHash64(
        namespace, source, id, type, subject, external_subject, external_id, time, received_at, data,
        attributes, disposition
    ) AS row FROM events
)
GROUP BY log_partition, log_offset HAVING uniqExact(id_hash, row) > 1
"""  # noqa: S608 # constants only

_EVENT_OR_REPEAT: Final = f"""
SELECT {_PLACE} AS key, 'an event or a repeat' AS expected, 'both' AS found
FROM (
    SELECT log_partition, log_offset, 1 AS first_seen, 0 AS repeated FROM events
    UNION ALL SELECT log_partition, log_offset, 0, 1 FROM event_repeats
)
GROUP BY log_partition, log_offset HAVING max(first_seen) AND max(repeated)
"""  # noqa: S608 # constants only

_METERED_ONCE: Final = f"""
SELECT concat(namespace, ' ', billable_metric_id, ' version ', toString(version), ' ', {_PLACE}) AS key,
    'counted once' AS expected, concat('counted ', toString(count()), ' times') AS found
FROM metered_events WHERE namespace != ''
GROUP BY namespace, billable_metric_id, version, log_partition, log_offset HAVING count() > 1
"""  # noqa: S608 # constants only

_METERED_FROM_AN_EVENT: Final = f"""
SELECT concat(any(metric), ' ', {_PLACE}) AS key, 'an event there' AS expected, 'none' AS found
FROM (
    SELECT log_partition, log_offset, '' AS metric, 1 AS stored FROM events
    UNION ALL SELECT log_partition, log_offset, concat(namespace, ' ', billable_metric_id), 0
    FROM metered_events WHERE namespace != ''
)
GROUP BY log_partition, log_offset HAVING max(stored) = 0
"""  # noqa: S608 # constants only

_EVENT_CHECKS: Final = (
    (Table.EVENT_IDS, _IDENTITIES),
    (Table.EVENT_IDS, _ONE_PLACE),
    (Table.EVENTS, _ONE_EVENT),
    (Table.EVENT_REPEATS, _EVENT_OR_REPEAT),
    (Table.METERED_EVENTS, _METERED_ONCE),
    (Table.METERED_EVENTS, _METERED_FROM_AN_EVENT),
)

_GAPS: Final = """
SELECT following AS start, log_offset AS stop
FROM (
    SELECT log_offset, lagInFrame(log_offset + 1, 1, toUInt64(0))
        OVER (ORDER BY log_offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS following
    FROM (
        SELECT DISTINCT log_offset FROM (
            SELECT log_offset FROM events
            WHERE log_partition = {partition:UInt32} AND log_offset < {end:UInt64}
            UNION ALL
            SELECT log_offset FROM event_repeats
            WHERE log_partition = {partition:UInt32} AND log_offset < {end:UInt64}
            UNION ALL SELECT {end:UInt64}
        )
    )
)
WHERE log_offset > following
ORDER BY start
"""


def _events(client: Client) -> list[_Found]:
    return [_run(client, table, query, {}) for table, query in _EVENT_CHECKS]


def _run(client: Client, table: str, query: str, parameters: Mapping[str, object], of: str = "") -> _Found:
    listing = (
        f"SELECT key, expected, found, count() OVER () AS total FROM ({query}) ORDER BY key LIMIT {LISTED}"  # noqa: S608 # constants only
    )
    rows = client.query(listing, dict(parameters), settings=dict(_SETTINGS)).result_rows
    differences = tuple(
        [Difference(table, f"{of}{key}", expected, found) for key, expected, found, _ in rows]
    )
    return _Found(differences, rows[0][3] if rows else 0)
