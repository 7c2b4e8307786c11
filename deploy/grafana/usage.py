"""What has been used: by billable metric, customer and dimension, from the rollups.

Every figure is read as the API reads it: the version that `billable_metrics` names, states merged over
windows, averages rounded half-even to 18 places. Rows that only mark what has landed have no namespace, so
none of them is read. Values of variables reach the SQL percent-encoded: nothing in them ends a string.
"""

from __future__ import annotations

from typing import Final

from deploy.grafana.panels import (
    CLICKHOUSE,
    Dashboard,
    Json,
    Row,
    asked_for,
    chosen,
    column,
    graph,
    page_link,
    series_of,
    stat,
    table,
    table_of,
)

UID: Final = "meterhouse-usage"
_TOP: Final = 10  # series in a graph
_LISTED: Final = 200  # rows in a table
_OFFERED: Final = 1_000  # values of a variable
_BILLED: Final = "billed"  # the aggregation that the metric is defined with


def _value(variable: str) -> str:
    return f"decodeURLComponent('${{{variable}:percentencode}}')"


_METRIC: Final = f"namespace = {_value('namespace')} AND billable_metric_id = {_value('metric')}"
_DIMENSION: Final = f"dimensions[{_value('dimension')}]"

# A scalar, so that on a cluster it is asked for once, and not on every shard.
_VERSION: Final = f"version = (SELECT version FROM billable_metrics WHERE {_METRIC})"
# Whole windows that the range of the page touches.
_IN_HOURS: Final = (
    "window_start >= toStartOfHour(toTimeZone($__fromTime, 'UTC')) AND window_start < $__toTime"
)
_IN_MINUTES: Final = (
    "window_start >= toStartOfMinute(toTimeZone($__fromTime, 'UTC')) AND window_start < $__toTime"
)
_CHOSEN: Final = (
    f"$__conditionalAll(subject = {_value('subject')}, $subject)"
    f"\n  AND $__conditionalAll({_DIMENSION} = {_value('value')}, $value)"
)
_WHERE: Final = f"{_METRIC}\n  AND {_VERSION}\n  AND {_IN_HOURS}\n  AND {_CHOSEN}"
_WHERE_MINUTES: Final = f"{_METRIC}\n  AND {_VERSION}\n  AND {_IN_MINUTES}\n  AND {_CHOSEN}"

# Each state as Decimal(76, 18), from the columns it needs.
_READINGS: Final = {
    "SUM": "sum({sum})",
    "COUNT": "toDecimal256(sum({count}), 18)",
    "AVG": (
        "toDecimal256(roundBankers("
        "divideDecimal(sum({sum}), toDecimal256(greatest(sum({count}), 1), 0), 40), 18), 18)"
    ),
    "MIN": "toDecimal256(ifNull(min({min}), 0), 18)",
    "MAX": "toDecimal256(ifNull(max({max}), 0), 18)",
    "UNIQUE_COUNT": "toDecimal256(uniqExactArray({unique_hashes}), 18)",
    "LATEST": "toDecimal256(max({latest}).value, 18)",
}
_COLUMNS: Final = ("count", "sum", "min", "max", "unique_hashes", "latest")
_EVERY_READING: Final = ", ".join(
    [
        f"'{name}', {reading.format(**{column: column for column in _COLUMNS})}"
        for name, reading in _READINGS.items()
    ]
)


def _read_as(aggregation: str) -> str:
    """The reading of a constant aggregation.

    The conditions inside keep the engine from reading columns that it does not need: it drops a branch that
    cannot be taken, but not out of a chain of them.
    """
    found = "toDecimal256(0, 18)"
    for name, reading in reversed(_READINGS.items()):
        asked = f"{aggregation} = '{name}'"
        only = {column: f"if({asked}, {column}, defaultValueOfArgumentType({column}))" for column in _COLUMNS}
        found = f"if({asked}, {reading.format(**only)},\n    {found})"
    return found


_USAGE: Final = _read_as(_value("way"))
_WINDOW: Final = f"toDateTime(date_trunc({_value('window')}, window_start), 'UTC')"


def _total(columns: str) -> str:
    return f"WITH {_USAGE} AS usage\nSELECT {columns}\nFROM rollups_hour\nWHERE {_WHERE}"


def _by_window(table: str, window: str, where: str) -> str:
    return (
        f"SELECT {window} AS time,\n  {_USAGE} AS usage\n"
        f"FROM {table}\nWHERE {where}\nGROUP BY time\nORDER BY time"
    )


def _by_window_and(group: str) -> str:
    """The groups with the most over the whole range, window by window."""
    return (
        f"SELECT {_WINDOW} AS time,\n  if({group} = '', '(none)', {group}) AS label,\n"
        f"  {_USAGE} AS usage\n"
        f"FROM rollups_hour\nWHERE {_WHERE}\n"
        f"  AND {group} GLOBAL IN (\n"
        f"    SELECT {group} AS most FROM rollups_hour\n    WHERE {_WHERE}\n"
        f"    GROUP BY most ORDER BY {_USAGE} DESC, most LIMIT {_TOP})\n"
        "GROUP BY time, label\nORDER BY time, label"
    )


def _listed(group: str, title: str, more: str) -> str:
    return (
        f"WITH {_USAGE} AS usage\n"
        f'SELECT {group} AS "{title}",\n  usage AS "Usage",\n  toString(usage) AS "Exactly",\n'
        f'  sum(count) AS "Events",\n  {more}\n'
        f"FROM rollups_hour\nWHERE {_WHERE}\n"
        f'GROUP BY "{title}"\nORDER BY usage DESC, "{title}"\nLIMIT {_LISTED}'
    )


_EVERY_METRIC: Final = f"""SELECT name AS "Metric", billable_metric_id AS "Id",
  toString(aggregation) AS "Aggregation", unit AS "Unit", version AS "Version",
  usage AS "Usage", toString(usage) AS "Exactly", events AS "Events", customers AS "Customers"
FROM billable_metrics
LEFT JOIN (
  SELECT billable_metric_id, version, map({_EVERY_READING}) AS read,
    sum(count) AS events, uniqExact(subject) AS customers
  FROM rollups_hour
  WHERE namespace = {_value("namespace")} AND {_IN_HOURS}
  GROUP BY billable_metric_id, version
) AS counted USING (billable_metric_id, version)
ARRAY JOIN [read[toString(aggregation)]] AS usage
WHERE namespace = {_value("namespace")}
ORDER BY name, billable_metric_id"""

_VARIABLES: Final[list[Json]] = [
    asked_for(
        "namespace",
        "Merchant",
        "Whose customers used something.",
        CLICKHOUSE,
        "SELECT DISTINCT toString(namespace) AS namespace FROM billable_metrics ORDER BY namespace",
    ),
    asked_for(
        "metric",
        "Billable metric",
        "What is counted.",
        CLICKHOUSE,
        "SELECT billable_metric_id, name FROM billable_metrics"
        f" WHERE namespace = {_value('namespace')} ORDER BY name, billable_metric_id",
    ),
    asked_for(
        "aggregation",
        "Added up as",
        "As the metric is defined, or another way that its rollups allow.",
        CLICKHOUSE,
        f"""SELECT way, if(way = '{_BILLED}', concat('as defined: ', aggregation), way) AS text
FROM billable_metrics
ARRAY JOIN multiIf(
  aggregation = 'COUNT', ['{_BILLED}'],
  aggregation = 'UNIQUE_COUNT', ['{_BILLED}', 'COUNT'],
  ['{_BILLED}', 'SUM', 'COUNT', 'AVG', 'MIN', 'MAX']) AS way
WHERE {_METRIC}""",
    ),
    asked_for(
        "way",
        "",
        "The aggregation that this comes to.",
        CLICKHOUSE,
        f"SELECT if({_value('aggregation')} = '{_BILLED}', toString(aggregation), {_value('aggregation')})"
        f" AS way\nFROM billable_metrics WHERE {_METRIC}",
        hide=2,
    ),
    chosen("window", "Window", "How long one bar is, in UTC.", ["hour", "day", "week", "month"], "day"),
    asked_for(
        "subject",
        "Customer",
        "One customer, or all. The thousand with the most events are offered; any can be typed.",
        CLICKHOUSE,
        f"SELECT subject FROM rollups_hour\nWHERE {_METRIC}\n  AND {_VERSION}\n"
        f"  AND {_IN_HOURS} AND subject != ''\nGROUP BY subject"
        f" ORDER BY sum(count) DESC, subject LIMIT {_OFFERED}",
        includeAll=True,
        refresh=2,
        allowCustomValue=True,
        current={"text": "All", "value": "$__all"},
    ),
    asked_for(
        "dimension",
        "Dimension",
        "What usage is broken down by.",
        CLICKHOUSE,
        f"SELECT arrayJoin(dimensions) AS dimension FROM billable_metrics WHERE {_METRIC} ORDER BY dimension",
    ),
    asked_for(
        "value",
        "Only where it is",
        "One value of the dimension, or all.",
        CLICKHOUSE,
        f"SELECT {_DIMENSION} AS found FROM rollups_hour\nWHERE {_METRIC}\n  AND {_VERSION}\n"
        f"  AND {_IN_HOURS} AND found != ''\nGROUP BY found ORDER BY sum(count) DESC, found LIMIT {_OFFERED}",
        includeAll=True,
        refresh=2,
        allowCustomValue=True,
        current={"text": "All", "value": "$__all"},
    ),
]

_GAUGE: Final[Json] = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
_NUMBERS: Final = (
    column("Usage", unit="locale", custom__cellOptions=_GAUGE, color={"mode": "continuous-BlPu"}, min=0),
    column("Exactly", unit="string", custom__align="right"),
    column("Events", unit="locale", custom__width=100),
    column("Customers", unit="locale", custom__width=110),
)
_HERE: Final = f"/d/{UID}?${{__url_time_range}}&${{namespace:queryparam}}&${{window:queryparam}}"


def _narrowing(title: str, variables: str) -> list[Json]:
    return [{"title": title, "url": f"{_HERE}&{variables}", "targetBlank": False}]


_ROWS: Final = (
    Row(
        title="In this period",
        panels=[
            stat(
                "Usage",
                "Of all whole hours that the period touches, as far as they are counted. Grafana's numbers"
                " have 15 digits; beside it stand all of them.",
                "locale",
                table_of(_total('usage AS "Usage"')),
                width=5,
            ),
            stat(
                "Usage, exactly",
                "The same, digit for digit as the API answers it.",
                "string",
                table_of(_total('toString(usage) AS "Exactly"')),
                width=8,
                text=True,
            ),
            stat(
                "Events",
                "Events that the metric counted.",
                "locale",
                table_of(_total('sum(count) AS "Events"')),
            ),
            stat(
                "Customers",
                "Subjects with at least one event.",
                "locale",
                table_of(_total('uniqExact(subject) AS "Customers"')),
                width=3,
            ),
            stat(
                "Newest hour",
                "The begin of the newest hour with usage. What was accepted a moment ago may not be counted"
                " yet: the pipeline's page shows the lag.",
                "dateTimeFromNow",
                table_of(_total('toUnixTimestamp(max(window_start)) * 1000 AS "Newest hour"')),
            ),
        ],
    ),
    Row(
        title="Over time",
        panels=[
            graph(
                "Usage by $window",
                "Windows begin at UTC boundaries. The first and the last one hold only what the period does.",
                "locale",
                [series_of(_by_window("rollups_hour", _WINDOW, _WHERE))],
                width=24,
                bars=True,
                least=None,
            ),
            graph(
                f"The {_TOP} customers with the most, by $window",
                "Those with the most over the whole period. Not stacked: only sums and counts add up.",
                "locale",
                [series_of(_by_window_and("subject"))],
                height=10,
                least=None,
            ),
            graph(
                f"The {_TOP} highest of $dimension, by $window",
                "By the value of the dimension that events carried; (none) is where they carried none.",
                "locale",
                [series_of(_by_window_and(_DIMENSION))],
                height=10,
                least=None,
            ),
        ],
    ),
    Row(
        title="Who and what",
        panels=[
            table(
                "Top customers",
                f"The {_LISTED} with the most. A click on one shows it alone.",
                "locale",
                _listed("subject", "Customer", 'max(window_start) AS "Newest hour"'),
                sort="Usage",
                overrides=[
                    *_NUMBERS,
                    column(
                        "Customer",
                        links=_narrowing(
                            "Only this customer",
                            "${metric:queryparam}&${aggregation:queryparam}&${dimension:queryparam}"
                            "&var-subject=${__value.raw:percentencode}",
                        ),
                    ),
                    column("Newest hour", unit="dateTimeAsIso", custom__width=170),
                ],
            ),
            table(
                "By $dimension",
                f"The {_LISTED} highest values of the dimension.",
                "locale",
                _listed(_DIMENSION, "Value", 'uniqExact(subject) AS "Customers"'),
                sort="Usage",
                overrides=_NUMBERS,
            ),
        ],
    ),
    Row(
        title="Every billable metric of $namespace",
        panels=[
            table(
                "Billable metrics",
                "Each as it is defined, for all customers. A click on one shows it alone.",
                "locale",
                _EVERY_METRIC,
                width=24,
                height=9,
                sort="Events",
                overrides=[
                    column("Usage", unit="locale"),
                    *_NUMBERS[1:],
                    column("Version", unit="none", custom__width=90),
                    column(
                        "Metric",
                        links=_narrowing("Only this metric", "var-metric=${__data.fields.Id:percentencode}"),
                    ),
                ],
            )
        ],
    ),
    Row(
        title="Minute by minute",
        collapsed=True,
        panels=[
            graph(
                "Usage by minute",
                "The last three hours of the period, whatever the window above is.",
                "locale",
                [series_of(_by_window("rollups_minute", "toDateTime(window_start, 'UTC')", _WHERE_MINUTES))],
                width=24,
                bars=True,
                least=None,
                time_from="3h",
            )
        ],
    ),
)

DASHBOARD: Final = Dashboard(
    uid=UID,
    title="meterhouse: usage",
    description="What has been used, by billable metric, customer and dimension, from the rollups. UTC.",
    start="now-30d",
    refresh="1m",
    variables=_VARIABLES,
    rows=_ROWS,
    links=[page_link("Pipeline", "meterhouse-pipeline")],
)
