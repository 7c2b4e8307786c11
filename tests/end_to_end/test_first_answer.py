"""From one POST to an exact total, as a newcomer does it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.api import Api, Json, cloud_event, decode


def test_one_posted_event_is_in_the_usage_that_waits_for_it(api: Api) -> None:
    metric = api.create_metric("first.answer", "SUM", valueProperty="$.tokens")
    body = {"type": "first.answer", "source": "/curl", "subject": "cus_1", "data": {"tokens": Decimal("0.1")}}
    response = api.post_single(body)
    assert response.status_code == 202
    assert response.headers["content-type"].split(";")[0] == "application/json"
    answer = decode(response.content)
    assert (answer["object"], answer["subject"], answer["namespace"]) == ("event", "cus_1", "org_dev")
    assert answer["id"] == answer["idempotencyKey"]
    assert api.total(metric["id"]) == Decimal("0.1")


def test_a_batch_says_how_many_and_where(api: Api) -> None:
    response = api.post_batch([cloud_event("batch.answer", f"b{i}") for i in range(3)])
    assert response.status_code == 202
    assert decode(response.content) == {
        "object": "ingest",
        "accepted": 3,
        "position": response.headers["meterhouse-position"],
    }


def test_sums_are_exact_where_floats_are_not(api: Api) -> None:
    metric = api.create_metric("exact.sum", "SUM", valueProperty="$.v")
    parts = [Decimal("0.1")] * 10 + [Decimal("90071992547409930.000000000000000001")]
    api.ingest(*[cloud_event("exact.sum", f"x{i}", {"v": part}) for i, part in enumerate(parts)])
    assert api.total(metric["id"]) == Decimal("90071992547409931.000000000000000001")


def test_a_repeated_event_counts_once(api: Api) -> None:
    metric = api.create_metric("once", "SUM", valueProperty="$.v")
    for _ in range(3):
        api.ingest(cloud_event("once", "r1", {"v": 2}), cloud_event("once", "r1", {"v": 2}))
    api.ingest(cloud_event("once", "r1", {"v": 1000}, time="2026-05-02T00:00:00Z"))
    assert api.total(metric["id"]) == 2


def test_the_same_id_of_another_source_is_another_event(api: Api) -> None:
    metric = api.create_metric("sources", "COUNT")
    api.ingest(cloud_event("sources", "s1", source="/a"), cloud_event("sources", "s1", source="/b"))
    assert api.total(metric["id"]) == 2


def test_the_newest_value_of_equal_times_is_the_one_sent_last(api: Api) -> None:
    metric = api.create_metric("latest.tie", "LATEST", valueProperty="$.v")
    api.ingest(*[cloud_event("latest.tie", f"l{v}", {"v": v}) for v in (3, 9, 5)])
    assert api.total(metric["id"]) == 5


def test_last_is_another_name_of_latest(api: Api) -> None:
    metric = api.create_metric("last.name", "LAST", valueProperty="$.v")
    assert metric["aggregation"] == "LATEST"


def test_the_position_may_be_a_header(api: Api) -> None:
    metric = api.create_metric("by.header", "COUNT")
    api.ingest(cloud_event("by.header", "h1"))
    response = api.client.get(
        f"/v0/billableMetrics/{metric['id']}/meter",
        params={"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"},
        headers={"meterhouse-after": api.position},
    )
    assert response.json()["totalValue"] == 1


def test_events_that_carry_only_an_external_subject_are_counted(api: Api) -> None:
    metric = api.create_metric("external", "COUNT")
    body = {"type": "external", "source": "/x", "externalSubject": "acme-7", "data": {}}
    assert api.post_single(body).status_code == 202
    assert api.total(metric["id"]) == 1
    page = api.get(
        f"/v0/billableMetrics/{metric['id']}/events",
        **{"from": "1970-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z"},
        externalSubject="acme-7",
    )
    assert [(one["subject"], one["externalSubject"]) for one in page["events"]] == [("", "acme-7")]


_BAD_EVENTS = {
    "type": cloud_event("bad", "b1") | {"type": 7},
    "source": {key: value for key, value in cloud_event("bad", "b2").items() if key != "source"},
    "time": cloud_event("bad", "b3", time="yesterday"),
    "id": cloud_event("bad", "b4\u0000"),
}


def test_a_batch_with_bad_events_names_each_and_writes_nothing(api: Api) -> None:
    metric = api.create_metric("bad", "COUNT")
    good = [cloud_event("bad", f"g{i}") for i in range(len(_BAD_EVENTS) + 1)]
    batch: list[Json] = [good[-1]]
    for fine, wrong in zip(good, _BAD_EVENTS.values(), strict=False):
        batch += [wrong, fine]
    response = api.post_batch(batch)
    assert response.status_code == 400
    body = decode(response.content)
    assert {"error", "message", "errors"} <= set(body)
    assert {(one["index"], one["field"]) for one in body["errors"]} == set(
        zip((1, 3, 5, 7), _BAD_EVENTS, strict=True)
    )
    api.ingest(cloud_event("bad", "afterwards"))
    assert api.total(metric["id"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v0/nothing", 404),
        ("GET", "/v0/billableMetrics/bm_none", 404),
        ("DELETE", "/v0/billableMetrics", 405),
        ("DELETE", "/v0/events", 405),
        ("GET", "/v0/billableMetrics?merchantId=org_dev&limit=1000", 400),
        ("GET", "/v0/billableMetrics?merchantId=org_dev&limit=x", 400),
    ],
)
def test_errors_have_the_contract_shape(api: Api, method: str, path: str, status: int) -> None:
    response = api.client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"].split(";")[0] == "application/json"
    body = response.json()
    assert isinstance(body["error"], str)
    assert isinstance(body["message"], str)
    assert "detail" not in body


def test_a_position_that_is_not_counted_in_time_is_a_504(api: Api) -> None:
    metric = api.create_metric("never", "COUNT")
    response = api.client.get(
        f"/v0/billableMetrics/{metric['id']}/meter",
        params={"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z", "after": "0:999999999"},
    )
    assert response.status_code == 504
    assert {"error", "message"} <= set(response.json())
