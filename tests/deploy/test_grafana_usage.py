"""The usage page: on tables with counted events it shows an independent recomputation's figures."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

import pytest

from tests import oracle
from tests.api import Api, cloud_event
from tests.deploy.grafana_page import ALL, Json, View, answer, dashboard, panel, panels, sql_of
from tests.events import random_events
from tests.oracle import Metric
from tests.running import Server, free_port
from tests.servers.clickhouse_go import GoClient

PAGE: Final = dashboard("usage.json")
VARIABLES: Final = {one["name"]: one for one in PAGE["templating"]["list"]}
ODD: Final = 'o\'dd \\ "näme" 100% $metric ${subject} --x'

# Types that the data source has converters for; of others it makes text or nothing.
DRAWN: Final = re.compile(r"String|U?Int\d+|Float64|Decimal\(76, 18\)|DateTime|LowCardinality\(String\)")

_TYPE: Final = "grafana.test"
_AMOUNT: Final = ["usage", "amount"]
_DIMENSIONS: Final = {"model": ["model"], "region": ["where", "region"]}
_PATIENCE: Final = 60

METRICS: Final = {
    **{
        name: Metric(aggregation=name, event_type=_TYPE, value=_AMOUNT, dimensions=_DIMENSIONS)
        for name in ("SUM", "AVG", "MIN", "MAX", "LATEST")
    },
    "COUNT": Metric(aggregation="COUNT", event_type=_TYPE, dimensions=_DIMENSIONS),
    "UNIQUE_COUNT": Metric(
        aggregation="UNIQUE_COUNT", event_type=_TYPE, value=["user"], dimensions=_DIMENSIONS
    ),
}
_START: Final = datetime(2026, 4, 29, 22, tzinfo=UTC)
_END: Final = datetime(2026, 5, 4, 5, tzinfo=UTC)
_EARLIER: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LATER: Final = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Counted:
    """A server's ClickHouse port, and what is counted there."""

    url: str
    api: Api
    events: Sequence[dict[str, Any]]
    ids: Mapping[str, str]

    def view(self, name: str, **values: str) -> View:
        chosen = {
            "namespace": "org_dev",
            "metric": self.ids[name],
            "aggregation": "billed",
            "window": "day",
            "subject": ALL,
            "dimension": "model",
            "value": ALL,
        }
        view = View(start=_START, end=_END, values=chosen | values)
        return view.but(way=str(self.options(view, "way")[0][0]) if self.options(view, "way") else "")

    def whole(self, name: str) -> View:
        """All of the events."""
        return replace(self.view(name), start=_EARLIER, end=_LATER)

    def rows(self, view: View, title: str) -> list[Json]:
        """What the panel of that title shows."""
        return answer(self.url, view.rendered(sql_of(panel(PAGE, title))))

    def options(self, view: View, variable: str) -> list[tuple[object, ...]]:
        rows = answer(self.url, view.rendered(VARIABLES[variable]["query"]))
        return [tuple(row.values()) for row in rows]

    def expected(
        self, name: str, *, size: str | None = None, group_by: Sequence[str] = (), **filters: str
    ) -> tuple[Fraction, dict[oracle.Cell, tuple[Fraction, int]]]:
        return oracle.answer(
            oracle.rows(self.events, METRICS[name]),
            aggregation=METRICS[name].aggregation,
            start=_START,
            end=_END,
            size=size,
            group_by=group_by,
            filters=filters,
        )


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """600 events of five days and one with odd names; half of them come before the metrics do."""
    port = free_port()
    folder = tmp_path_factory.mktemp("grafana") / "data"
    with Server(folder, "--clickhouse-port", str(port)) as server, Api.of(server) as api:
        odd = {"usage": {"amount": 5}, "model": ODD, "where": {"region": ODD}, "user": ODD}
        events = [
            *random_events(seed=11, count=600, event_type=_TYPE),
            cloud_event(_TYPE, "odd", odd, subject=ODD, source="/a"),
        ]
        api.ingest(*events[:300])
        ids = {name: _created(api, name, metric) for name, metric in METRICS.items()}
        api.ingest(*events[300:])
        made = Counted(f"http://127.0.0.1:{port}", api, events, ids)
        for name, metric in METRICS.items():
            _wait_for(made, name, oracle.aggregate(oracle.rows(events, metric), name))
        yield made


def _created(api: Api, name: str, metric: Metric) -> str:
    fields: dict[str, object] = {
        "name": f"{name} of things",
        "groupBy": {name: "$." + ".".join(path) for name, path in metric.dimensions.items()},
    }
    if metric.value is not None:
        fields["valueProperty"] = "$." + ".".join(metric.value)
    return str(api.create_metric(metric.event_type, metric.aggregation, **fields)["id"])


def exact(text: str) -> Fraction:
    return Fraction(text)


@pytest.mark.parametrize("name", METRICS)
def test_the_total_is_exact(counted: Counted, name: str) -> None:
    [row] = counted.rows(counted.view(name), "Usage, exactly")
    assert exact(row["Exactly"]) == counted.expected(name)[0]


@pytest.mark.parametrize("name", METRICS)
def test_the_total_is_the_api_s(counted: Counted, name: str) -> None:
    period = {"start": "2026-04-29T22:00:00Z", "end": "2026-05-04T05:00:00Z"}
    total = counted.api.total(counted.ids[name], **period)
    [row] = counted.rows(counted.view(name), "Usage, exactly")
    assert exact(row["Exactly"]) == Fraction(total)
    [rounded] = counted.rows(counted.view(name), "Usage")
    assert Fraction(rounded["Usage"]) == total


@pytest.mark.parametrize(
    "filters", [{"subject": "cus_b"}, {"subject": ODD}, {"model": "swift"}, {"model": ODD}]
)
@pytest.mark.parametrize("name", METRICS)
def test_a_customer_or_a_value_can_be_chosen(counted: Counted, name: str, filters: dict[str, str]) -> None:
    chosen = {"value" if key == "model" else key: text for key, text in filters.items()}
    view = counted.view(name, **chosen)
    total, _ = counted.expected(name, **filters)
    assert exact(counted.rows(view, "Usage, exactly")[0]["Exactly"]) == total
    inside = counted.expected("COUNT" if name == "COUNT" else name, group_by=("subject",), **filters)[1]
    [customers] = counted.rows(view, "Customers")
    assert int(customers["Customers"]) == len(inside)
    [events] = counted.rows(view, "Events")
    assert int(events["Events"]) == sum(number for _, number in inside.values())


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("window", ["hour", "day", "month"])
def test_usage_over_time_is_that_of_each_window(counted: Counted, name: str, window: str) -> None:
    rows = counted.rows(counted.view(name, window=window), "Usage by $window")
    _, cells = counted.expected(name, size=window.upper())
    expected = {start: value for (start, _), (value, _) in cells.items()}
    assert {_start(row["time"]): row["usage"] for row in rows} == expected
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_a_week_begins_on_monday(counted: Counted) -> None:
    rows = counted.rows(counted.view("COUNT", window="week"), "Usage by $window")
    assert [_start(row["time"]) for row in rows] == ["2026-04-27T00:00:00Z", "2026-05-04T00:00:00Z"]
    assert sum(row["usage"] for row in rows) == counted.expected("COUNT")[0]


@pytest.mark.parametrize("name", METRICS)
def test_usage_by_minute_is_that_of_each_minute(counted: Counted, name: str) -> None:
    rows = counted.rows(counted.view(name), "Usage by minute")
    _, cells = counted.expected(name, size="MINUTE")
    assert {_start(row["time"]): row["usage"] for row in rows} == {
        start: value for (start, _), (value, _) in cells.items()
    }


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("dimension", ["subject", "model", "region"])
def test_the_highest_groups_are_drawn_window_by_window(counted: Counted, name: str, dimension: str) -> None:
    title = "The 10 customers with the most, by $window"
    if dimension != "subject":
        title = "The 10 highest of $dimension, by $window"
    view = counted.view(name, dimension="model" if dimension == "subject" else dimension)
    _, cells = counted.expected(name, size="DAY", group_by=(dimension,))
    expected = {(start, group[0] or "(none)"): value for (start, group), (value, _) in cells.items()}
    rows = counted.rows(view, title)
    assert {(_start(row["time"]), row["label"]): row["usage"] for row in rows} == expected
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("dimension", ["subject", "region"])
def test_tables_list_the_most_first_and_exactly(counted: Counted, name: str, dimension: str) -> None:
    title, key = ("Top customers", "Customer") if dimension == "subject" else ("By $dimension", "Value")
    rows = counted.rows(counted.view(name, dimension="region"), title)
    _, cells = counted.expected(name, group_by=(dimension,))
    expected = {group[0]: figures for (_, group), figures in cells.items()}
    assert {row[key]: (exact(row["Exactly"]), int(row["Events"])) for row in rows} == expected
    order = [exact(row["Exactly"]) for row in rows]
    assert order == sorted(order, reverse=True)
    assert [Fraction(row["Usage"]) for row in rows] == order


def test_every_metric_is_listed_as_it_is_defined(counted: Counted) -> None:
    rows = counted.rows(counted.view("SUM"), "Billable metrics")
    found = {row["Id"]: (row["Metric"], row["Aggregation"], exact(row["Exactly"])) for row in rows}
    assert {id: found[id] for id in counted.ids.values()} == {
        counted.ids[name]: (f"{name} of things", name, counted.expected(name)[0]) for name in METRICS
    }
    customers = counted.expected("COUNT", group_by=("subject",))[1]
    [row] = [row for row in rows if row["Id"] == counted.ids["COUNT"]]
    assert int(row["Events"]) == counted.expected("COUNT")[0]
    assert int(row["Customers"]) == len(customers)


@pytest.mark.parametrize("way", ["SUM", "COUNT", "AVG", "MIN", "MAX"])
def test_a_metric_can_be_added_up_another_way(counted: Counted, way: str) -> None:
    rows = oracle.rows(counted.events, METRICS["SUM"])
    total, _ = oracle.answer(rows, aggregation=way, start=_START, end=_END)
    found = counted.rows(counted.view("SUM", aggregation=way), "Usage, exactly")
    assert exact(found[0]["Exactly"]) == total


def test_the_newest_hour_is_that_of_the_newest_event(counted: Counted) -> None:
    [row] = counted.rows(counted.view("COUNT"), "Newest hour")
    times = [one.at for one in oracle.rows(counted.events, METRICS["COUNT"]) if _START <= one.at < _END]
    newest = max(times).replace(minute=0, second=0, microsecond=0)
    assert int(row["Newest hour"]) == newest.timestamp() * 1000


def test_a_period_that_begins_within_an_hour_holds_all_of_it(counted: Counted) -> None:
    view = counted.view("COUNT")
    ragged = View(start=_START.replace(minute=40), end=_END.replace(hour=4, minute=20), values=view.values)
    assert counted.rows(ragged, "Events") == counted.rows(view, "Events")


def test_a_period_without_usage_shows_nothing_rather_than_failing(counted: Counted) -> None:
    empty = View(
        start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2020, 2, 1, tzinfo=UTC),
        values=counted.view("AVG").values,
    )  # fmt: skip
    for shown in panels(PAGE):
        rows = answer(counted.url, empty.rendered(sql_of(shown)))
        if shown["type"] in ("timeseries", "table") and shown["title"] != "Billable metrics":
            assert rows == []
    assert [row["Exactly"] for row in counted.rows(empty, "Usage, exactly")] == ["0"]


def test_variables_offer_what_there_is(counted: Counted) -> None:
    view = counted.view("SUM")
    assert counted.options(view, "namespace") == [("org_dev",)]
    metrics = sorted((f"{name} of things", id) for name, id in counted.ids.items())
    offered = [row for row in counted.options(view, "metric") if row[0] in counted.ids.values()]
    assert offered == [(id, name) for name, id in metrics]
    assert counted.options(view, "aggregation")[0] == ("billed", "as defined: SUM")
    ways = [way for way, _ in counted.options(view, "aggregation")]
    assert ways == ["billed", "SUM", "COUNT", "AVG", "MIN", "MAX"]
    assert [way for way, _ in counted.options(counted.view("COUNT"), "aggregation")] == ["billed"]
    assert counted.options(view, "dimension") == [("model",), ("region",)]
    for variable, name in (("subject", "subject"), ("value", "model")):
        cells = counted.expected("SUM", group_by=(name,))[1]
        by_events = sorted((-events, group[0]) for (_, group), (_, events) in cells.items() if group[0])
        assert counted.options(view, variable) == [(text,) for _, text in by_events]
        assert (ODD,) in counted.options(view, variable)


def test_what_is_typed_into_a_variable_stays_a_value(counted: Counted) -> None:
    for name in ("namespace", "metric", "subject", "dimension", "value", "way"):
        view = counted.view("SUM").but(**{name: "x') OR 1=1 --"})
        rows = counted.rows(view, "Events")
        empty = name not in ("dimension", "way")  # those two only choose what is shown
        assert (int(rows[0]["Events"]) == 0) == empty


READ: Final = {
    "SUM": {"sum"},
    "COUNT": {"count"},
    "AVG": {"sum", "count"},
    "MIN": {"min"},
    "MAX": {"max"},
    "LATEST": {"latest"},
    "UNIQUE_COUNT": {"unique_hashes"},
}


def test_only_the_columns_that_an_aggregation_needs_are_read(counted: Counted) -> None:
    """Sets of hashes are by far the largest."""
    for name, reads in READ.items():
        sql = counted.view(name).rendered(sql_of(panel(PAGE, "Usage")))
        plan = " ".join(str(row["explain"]) for row in answer(counted.url, f"EXPLAIN header=1 {sql}"))
        columns = set(re.findall(r"__table\d+\.(\w+)", plan)) & {
            "count", "sum", "min", "max", "latest", "unique_hashes",
        }  # fmt: skip
        assert columns == reads


def test_a_changed_metric_is_read_in_its_new_version_alone(counted: Counted) -> None:
    """Rows of the version before are still there."""
    fields = {"groupBy": {"model": "$.model", "region": "$.where.region"}, "valueProperty": "$.user"}
    id = counted.api.create_metric(_TYPE, "UNIQUE_COUNT", **fields)["id"]
    made = replace(counted, ids={**counted.ids, "changed": id})
    distinct = oracle.rows(counted.events, METRICS["UNIQUE_COUNT"])
    _wait_for(made, "changed", oracle.aggregate(distinct, "UNIQUE_COUNT"))
    changed = counted.api.client.patch(f"/v0/billableMetrics/{id}", json={"valueProperty": "$.model"})
    assert changed.status_code == 200, changed.text
    models = oracle.rows(counted.events, replace(METRICS["UNIQUE_COUNT"], value=["model"]))
    _wait_for(made, "changed", oracle.aggregate(models, "UNIQUE_COUNT"))
    versions = f"SELECT count(DISTINCT version) AS n FROM rollups_hour WHERE billable_metric_id = '{id}'"
    assert int(answer(made.url, versions)[0]["n"]) == 2


def _wait_for(made: Counted, name: str, total: Fraction) -> None:
    """Wait until the page shows it."""
    deadline = time.monotonic() + _PATIENCE
    while exact(made.rows(made.whole(name), "Usage, exactly")[0]["Exactly"]) != total:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _start(text: str) -> str:
    """A window's start as the oracle writes it."""
    return re.sub(r"[ T]", "T", text.removesuffix("Z")) + "Z"


def test_grafana_s_own_client_reads_every_panel_and_variable(
    counted: Counted, clickhouse_go: GoClient
) -> None:
    """The same rows through clickhouse-go, whose column types decide what Grafana draws."""
    view = counted.view("AVG", subject=ODD)
    statements = [sql_of(shown) for shown in panels(PAGE)]
    statements += [one["query"] for one in VARIABLES.values() if one["type"] == "query"]
    questions = [{"Query": view.rendered(sql), "Keep": 1_000} for sql in statements]
    for question, found in zip(questions, clickhouse_go.ask(counted.url, *questions), strict=True):
        assert found["error"] is None, question
        rows = answer(counted.url, str(question["Query"]))
        assert found["count"] == len(rows) > 0
        assert found["columns"] == list(rows[0])
        assert {type for type in found["types"] if not DRAWN.fullmatch(type)} == set(), question


def test_series_are_of_one_time_then_labels_then_one_number(
    counted: Counted, clickhouse_go: GoClient
) -> None:
    """What the data source makes series of, which it does only from rows in the order of time."""
    view = counted.view("AVG")
    for shown in panels(PAGE):
        if shown["type"] == "timeseries":
            assert shown["targets"][0]["format"] == 0
            [found] = clickhouse_go.ask(counted.url, {"Query": view.rendered(sql_of(shown)), "Keep": 9})
            time, *labels, number = found["types"]
            assert time == "DateTime"
            assert found["rows"][0][0] == answer(counted.url, view.rendered(sql_of(shown)))[0]["time"]
            assert set(labels) <= {"String"}
            assert number == "Decimal(76, 18)"
