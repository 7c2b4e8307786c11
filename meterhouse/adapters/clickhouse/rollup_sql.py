"""The one statement that adds metered events up into rollups of every window size."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from clickhouse_connect.driver.binding import format_query_value, format_str

from meterhouse.domain.window import WindowSize

MetricVersionKey = tuple[str, int]  # id and version of a billable metric

OVERALL: Final = "HOUR OVERALL"  # the hours of all subjects together

# What `window_size` may be, and what turns an event's time into the start of its window.
ROLLED_UP: Final[Mapping[str, str]] = {
    WindowSize.DAY: "toStartOfDay",
    WindowSize.HOUR: "toStartOfHour",
    WindowSize.MINUTE: "toStartOfMinute",
    OVERALL: "toStartOfHour",
}


def rollups_of(size: str) -> str:
    """The view through which people read the rollups of one `window_size`."""
    return f"rollups_{size.lower().replace(' ', '_')}"


METERED_STRUCTURE: Final = (
    "namespace String, billable_metric_id String, version UInt32, subject String, external_subject String, "
    "time DateTime64(6, 'UTC'), received_at DateTime64(6, 'UTC'), log_partition UInt32, log_offset UInt64, "
    "dimensions Map(String, String), value Nullable(Decimal(38, 18)), unique_hash UInt128"
)

_PLACED_VALUE: Final = "(time, received_at, log_partition, log_offset, assumeNotNull(value))"
_NO_LATEST: Final = "(toDateTime64(0, 6, 'UTC'), toDateTime64(0, 6, 'UTC'), 0, 0, 0)"

# Nothing is named in the SELECT: a name would hide the source column that it shares. Where a mark row must
# not count, it is told by its namespace; where no row has a value, the latest is a tuple of zeros. Sums are
# taken in 76 digits, because ClickHouse lets 38 of them overflow without a word.
_INSERT: Final = """INSERT INTO {table}
(
    namespace, billable_metric_id, version, window_size, subject, external_subject, window_start, dimensions,
    count, sum, min, max, latest, unique_hashes, log_offset
)
SETTINGS {settings}
SELECT
    namespace, billable_metric_id, version, rolled_up_by, whose, whose_external, starting_at, dimensions,
    countIf(namespace != ''),
    ifNull(sum(toDecimal256(value, 18)), toDecimal256(0, 18)),
    min(value),
    max(value),
    {latest},
    groupUniqArrayIf(unique_hash, unique_hash != 0),
    maxIf(log_offset, namespace = '')
FROM {source}
ARRAY JOIN
    [{sizes}] AS rolled_up_by,
    [{starts}] AS starting_at,
    [{subjects}] AS whose,
    [{externals}] AS whose_external
GROUP BY
    namespace, billable_metric_id, version, rolled_up_by, whose, whose_external, starting_at, dimensions
"""


def insert_rollups(
    table: str, source: str, settings: Mapping[str, int | str], latest_of: Collection[MetricVersionKey]
) -> str:
    """INSERT the rollups of `source` (columns of METERED_STRUCTURE) into `table`.

    The newest value is kept for the metric versions `latest_of` alone. `settings` are part of the
    statement, because chDB's driver would SET and restore each with two statements more.
    """
    clause = ", ".join(f"{name} = {format_query_value(value)}" for name, value in settings.items())
    sizes = ", ".join(f"'{size}'" for size in ROLLED_UP)
    starts = ", ".join(f"{start}(time)" for start in ROLLED_UP.values())
    return _INSERT.format(
        table=table,
        source=source,
        settings=clause,
        sizes=sizes,
        starts=starts,
        subjects=_but_overall("subject"),
        externals=_but_overall("external_subject"),
        latest=_latest(latest_of),
    )


def _latest(versions: Collection[MetricVersionKey]) -> str:
    """To find the newest of values takes as long as all that is added up beside it."""
    if not versions:
        return _NO_LATEST
    keys = ", ".join([f"({format_str(id)}, {version})" for id, version in sorted(versions)])
    return f"maxIf({_PLACED_VALUE}, value IS NOT NULL AND (billable_metric_id, version) IN ({keys}))"


def _but_overall(column: str) -> str:
    """The column for each of the sizes; over all subjects there is none, except that a mark keeps its own."""
    overall = f"if(namespace = '', {column}, '')"
    return ", ".join([overall if size == OVERALL else column for size in ROLLED_UP])
