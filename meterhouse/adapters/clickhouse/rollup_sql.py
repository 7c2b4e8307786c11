"""The one statement that adds metered events up into rollups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clickhouse_connect.driver.binding import format_query_value

METERED_STRUCTURE: Final = (
    "namespace String, billable_metric_id String, version UInt32, subject String, external_subject String, "
    "time DateTime64(6, 'UTC'), received_at DateTime64(6, 'UTC'), log_partition UInt32, log_offset UInt64, "
    "dimensions Map(String, String), value Nullable(Decimal(38, 18)), unique_hash UInt128"
)

# Nothing is named in the SELECT: a name would hide the source column that it shares. Where a mark row must
# not count, it is told by its namespace; where no row has a value, the latest is a tuple of zeros. Sums are
# taken in 76 digits, because ClickHouse lets 38 of them overflow without a word.
_INSERT: Final = """INSERT INTO {table}
(
    namespace, billable_metric_id, version, subject, external_subject, window_start, dimensions,
    count, sum, min, max, latest, unique_hashes, log_offset
)
SETTINGS {settings}
SELECT
    namespace, billable_metric_id, version, subject, external_subject, {window}(time), dimensions,
    countIf(namespace != ''),
    ifNull(sum(toDecimal256(value, 18)), toDecimal256(0, 18)),
    min(value),
    max(value),
    maxIf((time, received_at, log_partition, log_offset, assumeNotNull(value)), value IS NOT NULL),
    groupUniqArrayIf(unique_hash, unique_hash != 0),
    maxIf(log_offset, namespace = '')
FROM {source}
GROUP BY namespace, billable_metric_id, version, subject, external_subject, {window}(time), dimensions
"""


def insert_rollups(table: str, window: str, source: str, settings: Mapping[str, int | str]) -> str:
    """INSERT the rollups of `source` (columns of METERED_STRUCTURE) into `table`.

    `window` is the ClickHouse function from an event's time to the start of its window. `settings` are part
    of the statement, because chDB's driver would SET and restore each with two statements more.
    """
    clause = ", ".join(f"{name} = {format_query_value(value)}" for name, value in settings.items())
    return _INSERT.format(table=table, window=window, source=source, settings=clause)
