"""What usage costs, against a recomputation of the test's own from the events as they were sent."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import cycle, product
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests import oracle
from tests.api import Api, cloud_event
from tests.end_to_end.test_usage import METRICS
from tests.events import random_events
from tests.running import Server, free_port, wait_for

_TYPE: Final = "cost.test"
_UNIT_COSTS: Final = [
    Decimal(text) for text in ("0.002", "1", "0", "0.000000000000000001", "12345678901234567890.5", "2.50")
]
_FILTERS: Final[tuple[dict[str, str], ...]] = ({}, {"model": "swift"}, {"region": ""}, {"subject": "cus_b"})

# Each with the start of the period before: as many days or months, or as long.
_PERIODS: Final = (
    ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z", "2026-04-30T00:00:00Z"),
    ("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-04-01T00:00:00Z"),
    ("2026-05-01T00:00:00.000001Z", "2026-05-02T12:00:00Z", "2026-04-29T12:00:00.000002Z"),
)


@dataclass(frozen=True)
class Priced:
    """A cost that the server was given, and what it counts of the events."""

    id: str
    aggregation: str
    unit_cost: Fraction
    rows: list[oracle.Row]


@dataclass(frozen=True)
class Figures:
    cost: Fraction = Fraction(0)
    quantity: Fraction = Fraction(0)

    def __add__(self, other: Figures) -> Figures:
        return Figures(self.cost + other.cost, self.quantity + other.quantity)


Groups = dict[str, Figures]


@dataclass(frozen=True)
class Sent:
    api: Api
    costs: dict[str, Priced]


@pytest.fixture(scope="module")
def sent(server: Server) -> Iterator[Sent]:
    """Half of the events come before the costs."""
    events = [one | {"source": "/costs"} for one in random_events(seed=4, count=500, event_type=_TYPE)]
    with Api.of(server) as api:
        api.ingest(*events[:250])
        unit_costs = cycle(_UNIT_COSTS)
        costs = {name: _created(api, name, next(unit_costs), events) for name in METRICS}
        api.ingest(*events[250:])
        yield Sent(api, costs)


def _created(api: Api, name: str, unit_cost: Decimal, events: list[dict[str, Any]]) -> Priced:
    metric = replace(METRICS[name], event_type=_TYPE)
    fields: dict[str, object] = {
        "groupBy": {name: "$." + ".".join(path) for name, path in metric.dimensions.items()}
    }
    if metric.value is not None:
        fields["valueProperty"] = "$." + ".".join(metric.value)
    made = api.create_cost(_TYPE, metric.aggregation, unit_cost, **fields)
    return Priced(made["id"], metric.aggregation, Fraction(unit_cost), oracle.rows(events, metric))


def _figures(quantity: Fraction, cost: Priced) -> Figures:
    return Figures(quantity * cost.unit_cost, quantity)


def _shown(one: Mapping[str, Any], cost: str = "cost", quantity: str = "quantity") -> Figures:
    return Figures(oracle.exact(one[cost]), oracle.exact(one[quantity]))


@pytest.mark.parametrize("name", METRICS)
def test_a_summary_equals_an_independent_recomputation(sent: Sent, name: str) -> None:
    cost = sent.costs[name]
    periods = cycle(_PERIODS)
    sizes, groupings = (None, "MINUTE", "HOUR", "DAY"), ((), ("model",), ("subject", "region"))
    for size, group_by, filters in product(sizes, groupings, _FILTERS):
        start, end, _ = next(periods)
        asked = {"from": start, "to": end}
        asked |= {"window": size} if size else {}
        asked |= {"groupBy": ",".join(group_by)} if group_by else {}
        asked |= {"filterGroupBy": json.dumps(filters)} if filters else {}
        answer = sent.api.get(f"/v0/costs/{cost.id}/summary", **asked)

        def expected(
            size: str | None, group_by: Sequence[str], start: str = start, end: str = end
        ) -> tuple[Fraction, Mapping[oracle.Cell, tuple[Fraction, int]]]:
            return oracle.answer(
                cost.rows,
                aggregation=cost.aggregation,
                start=oracle.at(start),
                end=oracle.at(end),
                size=size,
                group_by=group_by,
                filters=filters,  # noqa: B023 # asked for at once
            )

        total, _ = expected(None, ())
        assert _shown(answer, "totalCost", "totalQuantity") == _figures(total, cost), asked
        groups = {
            ("", tuple(one["dimensions"][key] for key in group_by)): _shown(one)
            for one in answer.get("groups", [])
        }
        of_groups = expected(None, group_by)[1] if group_by else {}
        assert groups == {cell: _figures(value, cost) for cell, (value, _) in of_groups.items()}, asked
        windows = {(one["windowStart"], ()): _shown(one) for one in answer.get("timeSeries", [])}
        of_windows = expected(size, ())[1] if size else {}
        assert windows == {cell: _figures(value, cost) for cell, (value, _) in of_windows.items()}, asked


_DIMENSION: Final = {"customer": ("subject",), "model": ("model",), "cost": ()}


def _by_key(
    costs: Sequence[Priced], period: tuple[str, str], group_by: str, filters: Mapping[str, str]
) -> Groups:
    """What each group costs: by cost all of them, else those with events."""
    groups: defaultdict[str, Figures] = defaultdict(Figures)
    for cost in costs:
        total, cells = oracle.answer(
            cost.rows,
            aggregation=cost.aggregation,
            start=oracle.at(period[0]),
            end=oracle.at(period[1]),
            group_by=_DIMENSION[group_by],
            filters=filters,
        )
        if group_by == "cost":
            groups[cost.id] += _figures(total, cost)
        for (_, group), (value, _) in cells.items():
            groups[group[0]] += _figures(value, cost)
    return dict(groups)


def _series(
    costs: Sequence[Priced], period: tuple[str, str], size: str, group_by: str, filters: Mapping[str, str]
) -> dict[tuple[str, str], Fraction]:
    """By window and key."""
    found: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for cost in costs:
        _, cells = oracle.answer(
            cost.rows,
            aggregation=cost.aggregation,
            start=oracle.at(period[0]),
            end=oracle.at(period[1]),
            size=size,
            group_by=_DIMENSION[group_by],
            filters=filters,
        )
        for (start, group), (value, _) in cells.items():
            found[start, group[0] if group else cost.id] += value * cost.unit_cost
    return dict(found)


@pytest.mark.parametrize("names", [("SUM", "COUNT"), tuple(METRICS), ("LATEST",)])
def test_a_report_equals_an_independent_recomputation(sent: Sent, names: tuple[str, ...]) -> None:
    costs = [sent.costs[name] for name in names]
    groupings = ("cost", "customer", "model") if len(costs) == 1 else ("cost", "customer")
    tops = cycle((1, 2, 25))
    for group_by, size, filters, times in product(groupings, (None, "DAY", "MONTH"), _FILTERS, _PERIODS):
        start, end, before_start = times
        asked: dict[str, str | Sequence[str]] = {
            "from": start,
            "to": end,
            "costId": [cost.id for cost in costs],
            "groupBy": group_by,
            "topN": str(top := next(tops)),
            "comparePriorPeriod": "true",
        }
        asked |= {"windowSize": size} if size else {}
        asked |= {"filterGroupBy": json.dumps(filters)} if filters else {}
        answer = sent.api.get("/v0/costs/report", **asked)
        now = _by_key(costs, (start, end), group_by, filters)
        before = _by_key(costs, (before_start, start), group_by, filters)
        keys = sorted({*now, *before}, key=lambda key: (-now.get(key, Figures()).cost, key))
        place = {key: key if number < top else "__other__" for number, key in enumerate(keys)}
        assert answer["groupCount"] == len(keys), asked
        whole = sum(now.values(), Figures())
        assert _shown(answer, "totalCost", "totalQuantity") == whole, asked
        shown = {one["key"]: _shown(one, "totalCost", "totalQuantity") for one in answer["groups"]}
        assert list(shown) == list(dict.fromkeys(place.values())), asked
        assert shown == _folded(now, place), asked
        past = _folded(before, place)
        for one in answer["groups"]:
            assert oracle.exact(one["percentOfTotal"]) == _percent(shown[one["key"]].cost, whole.cost)
            assert oracle.exact(one["priorPeriod"]["cost"]) == past[one["key"]].cost
        series: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for (window, key), amount in _series(costs, (start, end), size or "DAY", group_by, filters).items():
            series[window, place[key]] += amount
        found = {
            (window["windowStart"], key): oracle.exact(amount)
            for window in answer["timeSeries"]
            for key, amount in window["groups"].items()
        }
        assert found == (dict(series) if size else {}), asked


def _folded(groups: Groups, place: Mapping[str, str]) -> Groups:
    folded = dict.fromkeys(place.values(), Figures())
    for key, figures in groups.items():
        folded[place[key]] += figures
    return folded


def _percent(part: Fraction, whole: Fraction) -> Fraction:
    return Fraction(round(part * 100 / whole * 10**18), 10**18) if whole else Fraction(0)


def test_a_report_reads_what_was_just_sent(server: Server, api: Api) -> None:
    cost = api.create_cost("cost.fresh", "SUM", Decimal("0.5"), valueProperty="$.n")
    period = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}
    for number in range(1, 6):
        api.ingest(cloud_event("cost.fresh", f"fresh{number}", {"n": 2}))
        summary = api.get(f"/v0/costs/{cost['id']}/summary", **period)
        report = api.get("/v0/costs/report", costId=cost["id"], groupBy="customer", **period)
        assert summary["totalCost"] == report["totalCost"] == number


def test_a_cost_that_adds_up_otherwise_counts_every_event_again(api: Api) -> None:
    cost = api.create_cost("cost.changed", "COUNT", Decimal(1), valueProperty="$.n")
    api.ingest(*[cloud_event("cost.changed", f"changed{n}", {"n": n}) for n in (5, 7, 3)])
    period = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}
    path = f"/v0/costs/{cost['id']}"
    assert api.get(f"{path}/summary", **period)["totalQuantity"] == 3
    for aggregation, quantity in (("MAX", 7), ("SUM", 15), ("LATEST", 3)):
        changed = api.client.patch(path, json={"aggregation": aggregation, "valueProperty": "$.n"})
        assert changed.status_code == 200, changed.text
        assert api.get(f"{path}/summary", **period)["totalQuantity"] == quantity


def test_the_record_of_an_event_says_what_a_cost_made_of_it(api: Api) -> None:
    cost = api.create_cost("cost.record", "SUM", Decimal("0.5"), valueProperty="$.n")
    api.ingest(cloud_event("cost.record", "cost-record", {"n": 2}))
    record = api.record("cost-record")
    assert record["disposition"] == "counted"
    [outcome] = record["metrics"]
    assert (outcome["billableMetricId"], outcome["value"]) == (cost["id"], "2")


def test_a_deleted_cost_leaves_no_rows_behind(tmp_path: Path) -> None:
    port = free_port()
    with Server(tmp_path, "--clickhouse-port", str(port)) as server, Api.of(server) as api:
        kept = api.create_cost("cost.deleted", "COUNT", Decimal(1))
        cost = api.create_cost("cost.deleted", "COUNT", Decimal(1))
        api.ingest(*[cloud_event("cost.deleted", f"deleted{n}") for n in range(5)])
        period = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}
        assert api.get("/v0/costs/report", groupBy="cost", **period)["totalCost"] == 10
        assert api.client.delete(f"/v0/costs/{cost['id']}").status_code == 204
        assert api.get("/v0/costs/report", groupBy="cost", **period)["totalCost"] == 5
        clickhouse = f"http://127.0.0.1:{port}"
        rows = "SELECT DISTINCT billable_metric_id FROM metered_events WHERE namespace != ''"
        wait_for(lambda: _column(clickhouse, rows) == [kept["id"]], "its rows are deleted")
        listed = "SELECT billable_metric_id FROM billable_metrics"
        wait_for(lambda: _column(clickhouse, listed) == [kept["id"]], "it is no longer listed")


def _column(clickhouse: str, statement: str) -> list[str]:
    answer = httpx.post(clickhouse, content=f"{statement} FORMAT TSV")
    assert answer.status_code == 200, answer.text
    return answer.text.split()
