"""Every aggregation, window, grouping and filter against a recomputation of the test's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, product
from typing import Any, Final

import pytest

from tests import oracle
from tests.api import Api
from tests.events import random_events
from tests.oracle import Metric
from tests.running import Server

_TYPE: Final = "usage.test"
_DIMENSIONS: Final = {"model": ["model"], "region": ["where", "region"]}
_AMOUNT: Final = ["usage", "amount"]
_SIZES: Final = (None, "MINUTE", "HOUR", "DAY", "MONTH")
_GROUPS: Final = ((), ("subject",), ("model",), ("region", "model"), ("subject", "region"))
_FILTERS: Final[tuple[dict[str, str], ...]] = (
    {}, {"model": "swift"}, {"region": ""}, {"subject": "cus_b"}, {"model": "1", "region": "eu"},
)  # fmt: skip

METRICS: Final = {
    **{
        name: Metric(aggregation=name, event_type=_TYPE, value=_AMOUNT, dimensions=_DIMENSIONS)
        for name in ("SUM", "AVG", "MIN", "MAX", "LATEST")
    },
    "COUNT": Metric(aggregation="COUNT", event_type=_TYPE, dimensions=_DIMENSIONS),
    "UNIQUE_COUNT": Metric(
        aggregation="UNIQUE_COUNT", event_type=_TYPE, value=["user"], dimensions=_DIMENSIONS
    ),
    "UNIQUE_COUNT of events": Metric(aggregation="UNIQUE_COUNT", event_type=_TYPE, dimensions=_DIMENSIONS),
}


@dataclass(frozen=True)
class Sent:
    """What the server was given, and what it made of the metrics."""

    api: Api
    events: list[dict[str, Any]]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def sent(server: Server) -> Iterator[Sent]:
    """Half of the events come before the metrics; they come one by one and in batches."""
    events = random_events(seed=3, count=600, event_type=_TYPE)
    with Api.of(server) as api:
        half = len(events) // 2
        _send(api, events[:half])
        ids = {name: _created(api, metric) for name, metric in METRICS.items()}
        _send(api, events[half:])
        yield Sent(api, events, ids)


def _send(api: Api, events: list[dict[str, Any]]) -> None:
    for start in range(0, len(events), 50):
        chunk = events[start : start + 50]
        api.ingest(*chunk[:40])
        for event in chunk[40:]:
            response = api.post_single(_as_single(event))
            assert response.status_code == 202, response.text


def _as_single(event: dict[str, Any]) -> dict[str, Any]:
    """The same event in the words of POST /v0/events."""
    shared = {name: event[name] for name in ("type", "source", "subject", "data")}
    return shared | {"idempotencyKey": event["id"], "timestamp": event["time"]}


def _created(api: Api, metric: Metric) -> str:
    fields: dict[str, object] = {
        "groupBy": {name: "$." + ".".join(path) for name, path in metric.dimensions.items()}
    }
    if metric.value is not None:
        fields["valueProperty"] = "$." + ".".join(metric.value)
    return str(api.create_metric(metric.event_type, metric.aggregation, **fields)["id"])


@pytest.mark.parametrize("name", METRICS)
def test_usage_equals_an_independent_recomputation(sent: Sent, name: str) -> None:
    metric = METRICS[name]
    counted = oracle.rows(sent.events, metric)
    periods = cycle(_periods(counted))
    for size, group_by, filters in product(_SIZES, _GROUPS, _FILTERS):
        start, end = next(periods)
        asked = {"start": start, "end": end}
        asked |= {"windowSize": size} if size else {}
        asked |= {"groupBy": ",".join(group_by)} if group_by else {}
        asked |= {"filterGroupBy": json.dumps(filters)} if filters else {}
        answer = sent.api.meter(sent.ids[name], **asked)
        total, cells = oracle.answer(
            counted,
            aggregation=metric.aggregation,
            start=oracle.at(start),
            end=oracle.at(end),
            size=size,
            group_by=group_by,
            filters=filters,
        )
        assert oracle.exact(answer["totalValue"]) == total, (name, asked)
        expected = {cell: (value, events if group_by else None) for cell, (value, events) in cells.items()}
        assert _cells(answer, size, group_by) == expected, (name, asked)
        _assert_ordered(answer, size, group_by)


def _periods(counted: list[oracle.Row]) -> list[tuple[str, str]]:
    """All of it, calendar bounds, and ragged ones that begin and end at events to the microsecond."""
    times = sorted(row.at for row in counted)
    first, last = times[len(times) // 5].isoformat(), times[4 * len(times) // 5].isoformat()
    return [
        ("1970-01-01T00:00:00Z", "2199-12-31T00:00:00Z"),
        ("2026-04-30T00:00:00Z", "2026-05-02T00:00:00Z"),
        (first.replace("+00:00", "Z"), last.replace("+00:00", "Z")),
        ("2026-04-29T22:00:00.000001Z", "2026-05-01T23:59:59.999999Z"),
    ]


def _cells(
    answer: dict[str, Any], size: str | None, group_by: tuple[str, ...]
) -> dict[oracle.Cell, tuple[Fraction, int | None]]:
    """The answer in the oracle's form; without groups there are no event counts."""
    windows, groups = answer.get("windowedValues"), answer.get("groupedValues")
    assert (windows is not None) == (size is not None)
    assert (groups is not None) == bool(group_by)
    if windows is None and groups is None:
        return {}
    length = len(windows if windows is not None else groups or [])
    found: dict[oracle.Cell, tuple[Fraction, int | None]] = {}
    for i in range(length):
        start, group, events, value = "", (), None, None
        if windows is not None:
            start, value = _checked_window(windows[i], size or "")
        if groups is not None:
            group, events = tuple(groups[i]["groupBy"][key] for key in group_by), groups[i]["eventCount"]
            assert set(groups[i]["groupBy"]) == set(group_by)
            assert value is None or value == groups[i]["value"]
            value = groups[i]["value"]
        assert (start, group) not in found
        found[start, group] = (oracle.exact(value), events)
    assert groups is None or len(groups) == length
    return found


def _checked_window(shown: dict[str, Any], size: str) -> tuple[str, Any]:
    start = oracle.at(shown["windowStart"])
    assert oracle.window(start, size) == (start, oracle.at(shown["windowEnd"]))
    return oracle.rendered(start), shown["value"]


def _assert_ordered(answer: dict[str, Any], size: str | None, group_by: tuple[str, ...]) -> None:
    groups = [tuple(one["groupBy"][key] for key in group_by) for one in answer.get("groupedValues", [])]
    if size is not None:
        starts = [oracle.at(one["windowStart"]) for one in answer["windowedValues"]]
        keys = list(zip(starts, groups, strict=True)) if group_by else starts
        assert keys == sorted(keys)
    elif group_by:
        order = [(-one["value"], group) for one, group in zip(answer["groupedValues"], groups, strict=True)]
        assert order == sorted(order)


@pytest.mark.parametrize("name", ["SUM", "UNIQUE_COUNT"])
def test_a_group_limit_shows_the_largest_groups_and_counts_them_all(sent: Sent, name: str) -> None:
    everything = sent.api.meter(sent.ids[name], groupBy="subject,model")
    page = sent.api.meter(sent.ids[name], groupBy="subject,model", groupLimit="3", groupOffset="2")
    assert page["groupedValues"] == everything["groupedValues"][2:5]
    assert page["groupCount"] == len(everything["groupedValues"])
    assert page["totalValue"] == everything["totalValue"]


def test_a_group_limit_restricts_a_series_to_the_largest_groups(sent: Sent) -> None:
    top = sent.api.meter(sent.ids["SUM"], groupBy="subject", groupLimit="2")["groupedValues"]
    whole = sent.api.meter(sent.ids["SUM"], groupBy="subject", windowSize="DAY")
    series = sent.api.meter(sent.ids["SUM"], groupBy="subject", windowSize="DAY", groupLimit="2")
    shown = [one["groupBy"] for one in top]
    kept = [i for i, one in enumerate(whole["groupedValues"]) if one["groupBy"] in shown]
    assert series["groupedValues"] == [whole["groupedValues"][i] for i in kept]
    assert series["windowedValues"] == [whole["windowedValues"][i] for i in kept]


def test_the_subject_parameter_is_the_subject_filter(sent: Sent) -> None:
    by_parameter = sent.api.meter(sent.ids["SUM"], subject="cus_b", windowSize="HOUR")
    by_filter = sent.api.meter(sent.ids["SUM"], filterGroupBy='{"subject":"cus_b"}', windowSize="HOUR")
    assert by_parameter == by_filter


def test_the_event_list_shows_each_counted_event_once_newest_first(sent: Sent) -> None:
    counted = {"/".join((event["source"], event["id"])) for event in sent.events if event["type"] == _TYPE}
    shown: list[dict[str, Any]] = []
    while True:
        page = sent.api.get(
            f"/v0/billableMetrics/{sent.ids['COUNT']}/events",
            **{"from": "1970-01-01T00:00:00Z", "to": "2199-12-31T00:00:00Z"},
            limit="200",
            offset=str(len(shown)),
        )
        shown += page["events"]
        if not page["events"]:
            break
    assert page["pagination"]["total"] == len(shown)
    assert len(shown) == len(oracle.rows(sent.events, METRICS["COUNT"]))
    assert {"/".join((one["source"], one["id"])) for one in shown} <= counted
    times = [oracle.at(one["time"]) for one in shown]
    assert times == sorted(times, reverse=True)
