"""Usage is what the current definition says over every accepted event."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.api import Api, Json, cloud_event, decode


def _patch(api: Api, metric: Json, **changes: object) -> Json:
    response = api.client.patch(f"/v0/billableMetrics/{metric['id']}", json=changes)
    assert response.status_code == 200, response.text
    changed: Json = decode(response.content)
    assert {name: changed[name] for name in changes} == changes
    return changed


def _fill(api: Api, event_type: str) -> None:
    """Ten events an hour apart: values 0..9 and a hundred times that, models a and b."""
    api.ingest(
        *[
            cloud_event(
                event_type,
                f"{event_type}/{i}",
                {"v": i, "w": i * 100, "model": "ab"[i % 2]},
                time=f"2026-05-01T{i:02}:00:00Z",
            )
            for i in range(10)
        ]
    )


def test_a_metric_created_after_the_events_counts_them(api: Api) -> None:
    _fill(api, "before.metric")
    metric = api.create_metric("before.metric", "SUM", valueProperty="$.v", groupBy={"model": "$.model"})
    answer = api.meter(metric["id"], groupBy="model")
    assert answer["totalValue"] == 45
    assert [(one["groupBy"], one["value"], one["eventCount"]) for one in answer["groupedValues"]] == [
        ({"model": "b"}, 25, 5),
        ({"model": "a"}, 20, 5),
    ]


def test_another_value_property_recounts_history(api: Api) -> None:
    metric = api.create_metric("revalued", "SUM", valueProperty="$.v")
    _fill(api, "revalued")
    assert api.total(metric["id"]) == 45
    _patch(api, metric, valueProperty="$.w")
    assert api.total(metric["id"]) == 4500
    api.ingest(cloud_event("revalued", "late", {"v": 1, "w": 7}, time="2026-05-01T03:30:00Z"))
    assert api.total(metric["id"]) == 4507


def test_another_event_type_recounts_history(api: Api) -> None:
    metric = api.create_metric("type.one", "COUNT")
    _fill(api, "type.one")
    api.ingest(cloud_event("type.two", "t2"))
    assert api.total(metric["id"]) == 10
    _patch(api, metric, eventType="type.two")
    assert api.total(metric["id"]) == 1


def test_a_new_dimension_groups_history(api: Api) -> None:
    metric = api.create_metric("regrouped", "COUNT")
    _fill(api, "regrouped")
    _patch(api, metric, groupBy={"model": "$.model"})
    answer = api.meter(metric["id"], groupBy="model")
    assert {one["groupBy"]["model"]: one["value"] for one in answer["groupedValues"]} == {"a": 5, "b": 5}


def test_event_from_includes_its_own_instant_and_can_be_cleared(api: Api) -> None:
    metric = api.create_metric("from", "COUNT", eventFrom="2026-05-01T04:00:00Z")
    _fill(api, "from")
    assert api.total(metric["id"]) == 6
    _patch(api, metric, eventFrom="2026-05-01T04:00:00.000001Z")
    assert api.total(metric["id"]) == 5
    _patch(api, metric, eventFrom=None)
    assert api.total(metric["id"]) == 10


def test_several_changes_at_once_end_at_the_last(api: Api) -> None:
    _fill(api, "hurried")
    metric = api.create_metric("hurried", "SUM", valueProperty="$.v")
    for path in ("$.w", "$.v", "$.w", "$.v", "$.w"):
        _patch(api, metric, valueProperty=path)
    assert api.total(metric["id"]) == 4500


def test_a_new_name_recounts_nothing(api: Api) -> None:
    metric = api.create_metric("renamed", "SUM", valueProperty="$.v")
    _fill(api, "renamed")
    assert api.total(metric["id"]) == 45
    _patch(api, metric, name="another", description="words", unit="more")
    assert api.total(metric["id"]) == 45


def test_a_metric_without_event_type_counts_nothing_until_it_has_one(api: Api) -> None:
    body = {"name": "typeless", "description": "d", "unit": "u", "aggregation": "COUNT"}
    body |= {"merchantId": "org_dev", "productId": "prod_dev"}
    response = api.client.post("/v0/billableMetrics", json=body)
    assert response.status_code == 201
    metric = decode(response.content)
    _fill(api, "typed.later")
    assert api.total(metric["id"]) == 0
    _patch(api, metric, eventType="typed.later")
    assert api.total(metric["id"]) == 10


@pytest.mark.parametrize("changes", [{"aggregation": "COUNT"}, {"productId": "prod_other"}])
def test_aggregation_and_product_do_not_change(api: Api, changes: dict[str, str]) -> None:
    metric = api.create_metric("fixed", "SUM", valueProperty="$.v")
    response = api.client.patch(f"/v0/billableMetrics/{metric['id']}", json=changes)
    after = api.get(f"/v0/billableMetrics/{metric['id']}")
    assert (after["aggregation"], after["productId"]) == ("SUM", "prod_dev")
    assert response.status_code in (200, 400)


def test_late_events_land_in_the_window_of_their_own_time(api: Api) -> None:
    metric = api.create_metric("late", "SUM", valueProperty="$.v")
    _fill(api, "late")
    api.total(metric["id"])
    api.ingest(cloud_event("late", "years", {"v": Decimal("0.5")}, time="2019-02-28T23:59:59.999999Z"))
    answer = api.meter(metric["id"], windowSize="MONTH")
    assert [(one["windowStart"][:10], one["value"]) for one in answer["windowedValues"]] == [
        ("2019-02-01", Decimal("0.5")),
        ("2026-05-01", 45),
    ]
