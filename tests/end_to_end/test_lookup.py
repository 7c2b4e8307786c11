"""Nothing disappears: what became of an event can be asked."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.api import Api, cloud_event


def test_a_counted_event_names_the_metrics_and_values(api: Api) -> None:
    tokens = api.create_metric("seen", "SUM", valueProperty="$.tokens", groupBy={"model": "$.model"})
    calls = api.create_metric("seen", "COUNT")
    event = cloud_event("seen", "seen-1", {"tokens": Decimal("1.50"), "model": "swift"}, team="blue")
    api.ingest(event)
    record = api.record("seen-1")
    assert record["object"] == "eventRecord"
    assert record["namespace"] == "org_dev"
    assert record["disposition"] == "counted"
    assert {name: record["event"][name] for name in event if name != "time"} == {
        name: event[name] for name in event if name != "time"
    }
    assert record["repeats"] == {"count": 0, "conflicts": []}
    by_metric = {one["billableMetricId"]: one for one in record["metrics"]}
    assert set(by_metric) == {tokens["id"], calls["id"]}
    assert {one["outcome"] for one in record["metrics"]} == {"counted"}
    assert by_metric[tokens["id"]]["value"] == "1.5"
    assert by_metric[tokens["id"]]["dimensions"] == {"model": "swift"}
    usage = {one["billableMetricId"]: one for one in record["usage"]}
    assert (usage[tokens["id"]]["value"], usage[calls["id"]]["value"]) == ("1.5", "1")


def test_a_repeat_is_counted_among_the_repeats(api: Api) -> None:
    api.create_metric("again", "COUNT")
    for _ in range(3):
        api.ingest(cloud_event("again", "again-1", {"v": 1}))
    assert api.record("again-1")["repeats"] == {"count": 2, "conflicts": []}


def test_a_repeat_inside_one_batch_is_found_too(api: Api) -> None:
    api.ingest(cloud_event("again", "again-2", {"v": 1}), cloud_event("again", "again-2", {"v": 1}))
    assert api.record("again-2")["repeats"] == {"count": 1, "conflicts": []}


def test_a_conflict_shows_what_differs(api: Api) -> None:
    api.ingest(cloud_event("clash", "clash-1", {"tokens": 1, "same": "x"}))
    api.ingest(cloud_event("clash", "clash-1", {"tokens": 2, "same": "x"}))
    record = api.record("clash-1")
    assert record["event"]["data"]["tokens"] == 1
    assert record["repeats"]["count"] == 1
    (conflict,) = record["repeats"]["conflicts"]
    assert {"receivedAt", "position", "differences"} <= set(conflict)
    (path,) = conflict["differences"]
    assert "tokens" in path


def test_an_event_that_nothing_counts_is_unmatched(api: Api) -> None:
    api.ingest(cloud_event("nobody.counts.this", "lonely"))
    record = api.record("lonely")
    assert (record["disposition"], record["metrics"]) == ("unmatched", [])


@pytest.mark.parametrize("value", [None, "many", [], True, Decimal("1E+30")])
def test_an_unusable_value_is_never_a_zero_and_says_why(api: Api, value: object) -> None:
    kind = f"unusable.{type(value).__name__}"
    metric = api.create_metric(kind, "MIN", valueProperty="$.v")
    api.ingest(cloud_event(kind, kind, {"v": value}), cloud_event(kind, f"{kind}/fine", {"v": 5}))
    record = api.record(kind)
    assert record["disposition"] == "unusable"
    (outcome,) = record["metrics"]
    assert outcome["outcome"] == "unusable"
    assert outcome["reason"]
    assert api.total(metric["id"]) == 5


def test_an_event_before_event_from_says_so(api: Api) -> None:
    api.create_metric("early", "COUNT", eventFrom="2026-05-01T13:00:00Z")
    api.ingest(cloud_event("early", "early-1"))
    (outcome,) = api.record("early-1")["metrics"]
    assert outcome["outcome"] == "beforeEventFrom"


def test_a_metric_that_comes_later_shows_in_the_record(api: Api) -> None:
    api.ingest(cloud_event("later", "later-1", {"v": 3}))
    assert api.record("later-1")["metrics"] == []
    metric = api.create_metric("later", "SUM", valueProperty="$.v")
    (outcome,) = api.record("later-1")["metrics"]
    assert (outcome["billableMetricId"], outcome["value"]) == (metric["id"], "3")


def test_an_id_of_several_sources_asks_for_the_source(api: Api) -> None:
    api.ingest(cloud_event("shared", "shared-1", source="/a"), cloud_event("shared", "shared-1", source="/b"))
    ambiguous = api.client.get("/api/v1/events/shared-1", params={"after": api.position})
    assert ambiguous.status_code == 409
    assert "/a" in ambiguous.text
    assert "/b" in ambiguous.text
    assert api.record("shared-1", source="/b")["event"]["source"] == "/b"


def test_an_event_that_never_came_is_not_found(api: Api) -> None:
    assert api.client.get("/api/v1/events/never-came").status_code == 404
