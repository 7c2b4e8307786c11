"""The events of a metric, and the record of one event (contract 3.2 and 10.1, decisions 18 and 19)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from meterhouse.adapters.cloudevents_json import encode
from meterhouse.domain.instant import MINUTE
from meterhouse.domain.position import Position
from meterhouse.domain.usage import Repeat
from tests.fakes_query import MERCHANT, NOW, OTHER_KEY, QueryService, event

pytestmark = pytest.mark.anyio

PERIOD = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


@pytest.fixture
def service() -> QueryService:
    return QueryService()


async def _events(service: QueryService, id: str, **params: str) -> dict[str, Any]:
    response = await service.client.get(f"/v0/billableMetrics/{id}/events", params=PERIOD | params)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = json.loads(response.text, parse_float=Decimal)
    return answer


async def _record(service: QueryService, id: str, **params: str) -> dict[str, Any]:
    response = await service.client.get(f"/api/v1/events/{id}", params=params)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = json.loads(response.text, parse_float=Decimal)
    return answer


async def test_events_are_listed_newest_first_with_their_data_as_sent(service: QueryService) -> None:
    service.add(event("a", b'{"n": 1.10}'), event("b", b'{"n":2}', minute=1, external_id="x-1", subject=""))
    service.add(event("c", b'{"n":2}', minute=2, subject="", external_subject="acme"))
    id = await service.metric()
    page = await _events(service, id)
    assert (page["object"], page["billableMetricId"]) == ("list", id)
    assert page["pagination"] == {"limit": 20, "offset": 0, "total": 3}
    assert [one["id"] for one in page["events"]] == ["c", "b", "a"]
    assert page["events"][2] == {
        "id": "a", "object": "meterEvent", "type": "t", "source": "s", "subject": "cus_1",
        "time": "2026-05-01T12:00:00Z", "idempotencyKey": "a", "data": {"n": Decimal("1.10")},
    }  # fmt: skip
    assert (page["events"][0]["subject"], page["events"][0]["externalSubject"]) == ("", "acme")
    assert (page["events"][1]["externalId"], "externalSubject" in page["events"][1]) == ("x-1", False)


async def test_the_event_list_is_filtered_and_paged(service: QueryService) -> None:
    service.add(*[event(f"e{i}", minute=i, external_id=f"x{i % 2}") for i in range(5)])
    id = await service.metric(aggregation="COUNT")
    page = await _events(service, id, externalId="x0", limit="1", offset="1")
    assert ([one["id"] for one in page["events"]], page["pagination"]["total"]) == (["e2"], 3)
    assert (await _events(service, id, subject="nobody"))["events"] == []


@pytest.mark.parametrize(
    ("data", "attributes", "shown"),
    [
        (b"", {}, {}),
        (b"[1, 2]", {}, {"value": [1, 2]}),
        (b'"text"', {}, {"value": "text"}),
        (b"null", {}, {"value": None}),
        (b"", {"data_base64": "AAE="}, {"data_base64": "AAE="}),
    ],
)
async def test_data_that_is_no_object_is_wrapped(
    service: QueryService, data: bytes, attributes: dict[str, str], shown: object
) -> None:
    service.add(event("a", data, attributes=attributes))
    id = await service.metric(aggregation="COUNT")
    assert (await _events(service, id))["events"][0]["data"] == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "201"), ("offset", "-1"), ("from", "x"), ("to", "2026-04-30T00:00:00Z")],
)
async def test_a_wrong_parameter_of_the_list_is_a_400(service: QueryService, name: str, value: str) -> None:
    id = await service.metric()
    response = await service.client.get(f"/v0/billableMetrics/{id}/events", params=PERIOD | {name: value})
    assert response.status_code == 400


async def test_a_metric_without_an_event_type_has_no_events(service: QueryService) -> None:
    service.add(event("a"))
    page = await _events(service, await service.metric(eventType=...))
    assert (page["events"], page["pagination"]["total"]) == ([], 0)


async def test_a_record_says_what_each_metric_made_of_the_event(service: QueryService) -> None:
    counted = await service.metric(groupBy={"model": "$.model"}, name="Tokens")
    unique = await service.metric(aggregation="UNIQUE_COUNT", valueProperty="$.model", name="Models")
    unusable = await service.metric(valueProperty="$.model", name="Models summed")
    early = await service.metric(aggregation="COUNT", eventFrom="2027-01-01T00:00:00Z", name="Later")
    await service.metric(eventType="another")
    service.add(event("a", b'{"n":1.10,"model":"x"}', attributes={"region": "eu", "tries": 2}))
    record = await _record(service, "a")
    assert {name: value for name, value in record.items() if name not in ("metrics", "usage")} == {
        "object": "eventRecord",
        "event": {
            "specversion": "1.0", "id": "a", "source": "s", "type": "t", "subject": "cus_1",
            "time": "2026-05-01T12:00:00Z", "region": "eu", "tries": 2,
            "data": {"n": Decimal("1.10"), "model": "x"},
        },
        "namespace": MERCHANT,
        "receivedAt": "2026-05-01T12:00:00Z",
        "position": "0:1",
        "disposition": "counted",
        "hiddenBefore": None,
        "repeats": {"count": 0, "conflicts": []},
    }  # fmt: skip
    outcomes = {one["billableMetricId"]: one for one in record["metrics"]}
    assert set(outcomes) == {counted, unique, unusable, early}
    assert outcomes[counted] == {
        "billableMetricId": counted, "name": "Tokens", "outcome": "counted", "value": "1.1",
        "dimensions": {"model": "x"}, "reason": None,
    }  # fmt: skip
    assert (outcomes[unique]["outcome"], outcomes[unique]["value"]) == ("counted", "x")
    assert (outcomes[unusable]["outcome"], outcomes[unusable]["value"]) == ("unusable", None)
    assert "not a number" in outcomes[unusable]["reason"]
    assert outcomes[early]["outcome"] == "beforeEventFrom"


async def test_a_record_says_what_usage_the_event_is_part_of(service: QueryService) -> None:
    total = await service.metric(groupBy={"model": "$.model"})
    models = await service.metric(aggregation="UNIQUE_COUNT", valueProperty="$.model")
    await service.metric(valueProperty="$.model")  # cannot use it
    service.add(
        event("a", b'{"n":1.10,"model":"x"}'),
        event("same hour", b'{"n":2,"model":"x"}', minute=59),
        event("other model", b'{"n":4,"model":"y"}', minute=1),
        event("other hour", b'{"n":8,"model":"x"}', minute=60),
        event("other subject", b'{"n":16,"model":"x"}', subject="cus_2"),
    )
    hour = {"windowStart": "2026-05-01T12:00:00Z", "windowEnd": "2026-05-01T13:00:00Z"}
    assert (await _record(service, "a"))["usage"] == [
        {"billableMetricId": total, **hour, "value": "3.1", "eventCount": 2},
        {"billableMetricId": models, **hour, "value": "2", "eventCount": 3},
    ]


@pytest.mark.parametrize("data", [b'{"n":true}', b'{"n":"\\ud800"}', b'"\\ud800"', b""])
async def test_an_event_that_no_metric_could_use_is_unusable(service: QueryService, data: bytes) -> None:
    await service.metric()
    service.add(event("a", data), event("b", data, type="unknown"))
    assert (await _record(service, "a"))["disposition"] == "unusable"
    assert ((await _record(service, "b"))["disposition"], (await _record(service, "b"))["metrics"]) == (
        "unmatched", [],
    )  # fmt: skip


async def test_a_repeat_counts_once_and_a_conflict_says_where_it_differs(service: QueryService) -> None:
    first = event("a", b'{"n":1,"model":"x"}')
    other = event("a", b'{"n":2,"model":"x"}')
    service.add(first)
    service.usage.repeats["a"] = (
        Repeat(NOW + MINUTE, Position(0, 7), b""),
        Repeat(NOW + 2 * MINUTE, Position(0, 9), encode(other).value),
    )
    assert (await _record(service, "a"))["repeats"] == {
        "count": 2,
        "conflicts": [{"receivedAt": "2026-05-01T12:02:00Z", "position": "0:9", "differences": ["$.data.n"]}],
    }


async def test_an_id_of_several_sources_names_them(service: QueryService) -> None:
    service.add(event("a", source="/one"), event("a", source="/two"))
    response = await service.client.get("/api/v1/events/a")
    assert (response.status_code, response.json()["error"]) == (409, "conflict")
    assert "/one" in response.json()["message"]
    assert "/two" in response.json()["message"]
    assert (await _record(service, "a", source="/two"))["event"]["source"] == "/two"
    assert (await service.client.get("/api/v1/events/a", params={"source": "/no"})).status_code == 404


@pytest.mark.parametrize("id", ["a/b", "/a", "a/", "a b", "a%2Fb", "ü?#", "..%2f"])
async def test_any_event_id_can_be_looked_up(service: QueryService, id: str) -> None:
    service.add(event(id))
    escaped = "".join([f"%{byte:02X}" for byte in id.encode()])
    assert (await _record(service, escaped))["event"]["id"] == id


async def test_an_unknown_or_another_merchants_event_is_not_found(service: QueryService) -> None:
    service.add(event("a"))
    assert (await service.client.get("/api/v1/events/b")).status_code == 404
    async with service.client_of(OTHER_KEY) as stranger:
        assert (await stranger.get("/api/v1/events/a")).status_code == 404
