"""How events get from a request into the rollups, from what the processes show of themselves."""

from __future__ import annotations

from typing import Final

from deploy.grafana.panels import (
    PROMETHEUS,
    Dashboard,
    Json,
    Row,
    asked_for,
    at_its_end,
    graph,
    over_time,
    page_link,
    stat,
    thresholds,
)

_HERE: Final = 'instance=~"$instance"'
_RATE: Final = "$__rate_interval"
_INGEST: Final = "meterhouse_ingest"
_AGGREGATOR: Final = "meterhouse_aggregator"

# Routes of the API; looks at health and metrics are of none, and would make its answers seem quicker.
_ANSWERS: Final = f'{_HERE}, route!="unknown"'

_LAG: Final = f"{_AGGREGATOR}_lag_seconds{{{_HERE}}}"
_PENDING: Final = f"time() - ({_AGGREGATOR}_pending_since_timestamp_seconds{{{_HERE}}} > 0)"


def _per_second(counter: str, by: str = "", where: str = _HERE) -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({counter}{{{where}}}[{_RATE}]))"


def _in_range(counter: str) -> str:
    return f"sum (increase({counter}{{{_HERE}}}[$__range]))"


def _quantile(quantile: float, histogram: str, by: str = "", where: str = _HERE) -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, {_per_second(f'{histogram}_bucket', labels, where)})"


def _quantiles(histogram: str, where: str = _HERE) -> list[Json]:
    return [over_time(_quantile(one, histogram, where=where), f"p{one * 100:g}") for one in (0.5, 0.95, 0.99)]


_AT_A_GLANCE: Final = Row(
    title="At a glance",
    panels=[
        stat(
            "Accepted",
            "Events answered with 202: they are in the log for good.",
            "eps",
            over_time(_per_second(f"{_INGEST}_accepted_events_total"), "accepted"),
        ),
        stat(
            "Refused",
            "Requests that wrote nothing, whatever the reason.",
            "reqps",
            over_time(f"{_per_second(f'{_INGEST}_refused_requests_total')} or vector(0)", "refused"),
        ),
        stat(
            "Lag",
            "How long ago the oldest event that is not counted yet was received; 0 while there is none.",
            "s",
            over_time(f"max ({_LAG})", "lag"),
            limits=thresholds((30, "yellow"), (300, "red")),
        ),
        stat(
            "Unread",
            "Records of all partitions that are not counted yet.",
            "short",
            over_time(f"sum ({_AGGREGATOR}_unread_records{{{_HERE}}})", "unread"),
        ),
        stat(
            "Dead letters",
            "Records of the period that could not be read. They are kept: `meterhouse deadletter list`.",
            "short",
            at_its_end(_in_range(f"{_AGGREGATOR}_dead_letters_total")),
            limits=thresholds((1, "red")),
            decimals=0,
        ),
        stat(
            "Answers, p99",
            "From a question to its answer, for 99 of 100. The published clients give up after 5 s.",
            "s",
            over_time(_quantile(0.99, "meterhouse_query_seconds", where=_ANSWERS), "p99"),
            limits=thresholds((1, "yellow"), (4, "red")),
        ),
    ],
)

_INGEST_ROW: Final = Row(
    title="Ingest",
    panels=[
        graph(
            "Accepted events",
            "By process.",
            "eps",
            [over_time(_per_second(f"{_INGEST}_accepted_events_total", "instance"), "{{instance}}")],
            stacked=True,
            width=8,
        ),
        graph(
            "Refused requests",
            "By the error of the answer. `unavailable` and `overloaded` are ours, the rest the callers'.",
            "reqps",
            [over_time(_per_second(f"{_INGEST}_refused_requests_total", "reason"), "{{reason}}")],
            stacked=True,
            width=8,
        ),
        graph(
            "Append to the log",
            "From handing a request's events to the log until it has them for good.",
            "s",
            _quantiles(f"{_INGEST}_append_seconds"),
            limits=thresholds((1, "red")),
            width=8,
        ),
        graph(
            "Events in one request",
            "How senders batch; few large requests cost far less than many small ones.",
            "short",
            [
                over_time(
                    f"{_per_second(f'{_INGEST}_request_events_sum')}"
                    f" / {_per_second(f'{_INGEST}_request_events_count')}",
                    "mean",
                ),
                over_time(_quantile(0.95, f"{_INGEST}_request_events"), "p95"),
            ],
            width=12,
            height=7,
        ),
        graph(
            "Accepted requests",
            "By process.",
            "reqps",
            [over_time(_per_second(f"{_INGEST}_request_events_count", "instance"), "{{instance}}")],
            stacked=True,
            width=12,
            height=7,
        ),
    ],
)

_LAG_ROW: Final = Row(
    title="Lag",
    panels=[
        graph(
            "Lag",
            "How long ago the oldest record that is not counted yet was received; 0 while there is none.",
            "s",
            [over_time(f"max by (partition) ({_LAG})", "partition {{partition}}")],
            limits=thresholds((300, "red")),
        ),
        graph(
            "Unread records",
            "Accepted, and not counted yet.",
            "short",
            [
                over_time(
                    f"max by (partition) ({_AGGREGATOR}_unread_records{{{_HERE}}})",
                    "partition {{partition}}",
                )
            ],
        ),
        graph(
            "Watermark",
            "Every record before this offset is counted. A line that is flat while records are unread stands"
            " still.",
            "none",
            [
                over_time(
                    f"max by (partition) ({_AGGREGATOR}_counted_offset{{{_HERE}}})",
                    "partition {{partition}}",
                )
            ],
            least=None,
        ),
        graph(
            "Age of the range being inserted",
            "Since it was planned. It is inserted in a moment, unless ClickHouse or the catalog is away.",
            "s",
            [over_time(f"max by (partition) ({_PENDING})", "partition {{partition}}")],
            limits=thresholds((300, "red")),
        ),
    ],
)

_COUNTING: Final = Row(
    title="Counting",
    panels=[
        graph(
            "Events by what became of them",
            "First-seen events: counted by a metric, of no metric's type, or without a value to count.",
            "eps",
            [over_time(_per_second(f"{_AGGREGATOR}_events_total", "disposition"), "{{disposition}}")],
            stacked=True,
            width=8,
        ),
        graph(
            "Not usable, by reason",
            "Times a metric could not use an event: a field is missing, or is no number. Such events are"
            " kept; what is wrong says GET /api/v1/events/{id}.",
            "eps",
            [over_time(_per_second(f"{_AGGREGATOR}_unusable_total", "reason"), "{{reason}}")],
            width=8,
        ),
        graph(
            "Repeats and dead letters",
            "Repeats of an identity count nothing; dead letters could not be read.",
            "eps",
            [
                over_time(_per_second(f"{_AGGREGATOR}_repeats_total"), "repeats"),
                over_time(_per_second(f"{_AGGREGATOR}_dead_letters_total"), "dead letters"),
            ],
            width=8,
        ),
        graph(
            "Claims again",
            "Each time an aggregator had to claim its partition again: a store was away, or another process"
            " took it over (Fenced). Nothing is lost or counted twice by it.",
            "ops",
            [over_time(_per_second(f"{_AGGREGATOR}_failures_total", "reason"), "{{reason}}")],
            width=8,
        ),
        graph(
            "Records in one batch",
            "Full batches mean that counting does not keep up, or catches up.",
            "short",
            [
                over_time(
                    f"{_per_second(f'{_AGGREGATOR}_batch_events_sum')}"
                    f" / {_per_second(f'{_AGGREGATOR}_batch_events_count')}",
                    "mean",
                ),
                over_time(_quantile(0.95, f"{_AGGREGATOR}_batch_events"), "p95"),
            ],
            width=8,
        ),
        graph(
            "Insert a block, p95",
            "By table, over all tries until the block is known to be there.",
            "s",
            [over_time(_quantile(0.95, f"{_AGGREGATOR}_insert_seconds", "table"), "{{table}}")],
            width=8,
        ),
    ],
)

_QUERY_ROW: Final = Row(
    title="Query",
    panels=[
        graph(
            "Answers",
            "By status; 5xx are ours.",
            "reqps",
            [over_time(_per_second("meterhouse_query_seconds_count", "status", _ANSWERS), "{{status}}")],
            stacked=True,
            width=8,
        ),
        graph(
            "From a question to its answer",
            "Of all routes, waits for `after=` included. The published clients give up after 5 s.",
            "s",
            _quantiles("meterhouse_query_seconds", _ANSWERS),
            limits=thresholds((4, "red")),
            width=8,
        ),
        graph(
            "From a question to its answer, p95 by route",
            "Routes as the API's reference names them.",
            "s",
            [over_time(_quantile(0.95, "meterhouse_query_seconds", "route", _ANSWERS), "{{route}}")],
            width=8,
        ),
    ],
)

_PROCESSES: Final = Row(
    title="Processes",
    panels=[
        graph(
            "Memory",
            "Resident, by process.",
            "bytes",
            [over_time(f"process_resident_memory_bytes{{{_HERE}}}", "{{job}} {{instance}}")],
            width=8,
        ),
        graph(
            "CPU",
            "Cores in use, by process. More aggregators help up to one a partition.",
            "none",
            [over_time(f"rate(process_cpu_seconds_total{{{_HERE}}}[{_RATE}])", "{{job}} {{instance}}")],
            width=8,
        ),
        graph(
            "Running since",
            "Falls to 0 with each restart.",
            "s",
            [over_time(f"time() - process_start_time_seconds{{{_HERE}}}", "{{job}} {{instance}}")],
            width=8,
        ),
        graph(
            "Open files",
            "Connections, most of them.",
            "none",
            [over_time(f"process_open_fds{{{_HERE}}}", "{{job}} {{instance}}")],
        ),
        graph(
            "Waiting for a connection, p95",
            "To ClickHouse or the catalog. Long waits with idle stores ask for larger pools.",
            "s",
            [over_time(_quantile(0.95, "meterhouse_pool_wait_seconds", "pool"), "{{pool}}")],
        ),
    ],
)

DASHBOARD: Final = Dashboard(
    uid="meterhouse-pipeline",
    title="meterhouse: pipeline",
    description="From a request to the rollups: rates, refusals, lag, failures, latencies, processes.",
    start="now-3h",
    refresh="15s",
    variables=[
        asked_for(
            "instance",
            "Process",
            "Addresses of processes.",
            PROMETHEUS,
            {"query": "label_values(process_start_time_seconds, instance)", "refId": "instance"},
            includeAll=True,
            multi=True,
            allValue=".*",
            refresh=2,
            sort=1,
            current={"text": ["All"], "value": ["$__all"]},
        )
    ],
    rows=[_AT_A_GLANCE, _LAG_ROW, _INGEST_ROW, _COUNTING, _QUERY_ROW, _PROCESSES],
    links=[page_link("Usage", "meterhouse-usage")],
)
