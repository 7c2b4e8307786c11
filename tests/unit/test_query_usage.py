"""`GET /api/v1/billable-metrics/{id}/usage` and its POSTs, over usage in memory (docs/queries.md)."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from meterhouse.settings import QuerySettings
from tests.fakes_query import MERCHANT, QueryService, event

pytestmark = pytest.mark.anyio

DAY = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


@pytest.fixture
async def service() -> QueryService:
    service = QueryService()
    service.add(
        event("a", b'{"n":1.10,"model":"gpt-4","region":"eu"}', minute=0, subject="cus_1"),
        event("b", b'{"n":"3","model":"gpt-5","region":"us"}', minute=1, subject="cus_2"),
        event("c", b'{"n":2,"model":"gpt-4","region":"us"}', minute=61, subject="cus_1"),
        event("d", b'{"n":0.5,"model":"opus"}', minute=62, subject=""),
        event("e", b'{"n":4,"model":"o","region":"eu"}', minute=-24 * 60, subject="cus_1"),
        event("f", b'{"n":100}', minute=64, namespace="org_b"),
    )
    await service.metric(groupBy={"model": "$.model", "region": "$.region"})
    return service


def _id(service: QueryService) -> str:
    return next(iter(service.metrics.rows))


async def _get(service: QueryService, **params: object) -> dict[str, Any]:
    url = f"/api/v1/billable-metrics/{_id(service)}/usage"
    response = await service.client.get(url, params=DAY | params)  # type: ignore[arg-type] # lists repeat
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def _post(service: QueryService, **body: object) -> dict[str, Any]:
    url = f"/api/v1/billable-metrics/{_id(service)}/usage/query"
    response = await service.client.post(url, json=DAY | body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def _refused(service: QueryService, **body: object) -> list[dict[str, Any]]:
    url = f"/api/v1/billable-metrics/{_id(service)}/usage/query"
    response = await service.client.post(url, json=DAY | body)
    assert response.status_code == 400, response.text
    errors: list[dict[str, Any]] = response.json()["errors"]
    return errors


async def test_an_answer_says_what_it_is_of_and_how_fresh(service: QueryService) -> None:
    assert await _get(service) == {
        "object": "usage",
        "billableMetricId": _id(service),
        "version": 1,
        "state": "active",
        "aggregation": "SUM",
        "unit": "tokens",
        "watermark": "0:6",
        "from": "2026-05-01T00:00:00Z",
        "to": "2026-05-02T00:00:00Z",
        "timeZone": "UTC",
        "value": "6.6",
        "eventCount": 4,
    }


async def test_get_and_post_answer_the_same(service: QueryService) -> None:
    by_url = await _get(
        service,
        windowSize="WEEK",
        timeZone="Europe/Berlin",
        subject=["cus_1", "cus_2"],
        groupBy="model,subject",
        filter='{"dimension":"model","prefix":"gpt"}',
        orderBy="group",
        limit=2,
    )
    in_body = await _post(
        service,
        windowSize="WEEK",
        timeZone="Europe/Berlin",
        subject=["cus_1", "cus_2"],
        groupBy=["model", "subject"],
        filter={"dimension": "model", "prefix": "gpt"},
        orderBy="group",
        limit=2,
    )
    assert by_url == in_body
    assert [one["group"]["subject"] for one in by_url["groups"]] == ["cus_1", "cus_2"]


async def test_windows_are_shown_by_the_clocks_of_the_zone(service: QueryService) -> None:
    answer = await _get(service, windowSize="HOUR", timeZone="Asia/Kolkata")
    assert answer["windows"] == [
        {
            "windowStart": "2026-05-01T17:00:00+05:30",
            "windowEnd": "2026-05-01T18:00:00+05:30",
            "value": "4.1",
            "eventCount": 2,
        },
        {
            "windowStart": "2026-05-01T18:00:00+05:30",
            "windowEnd": "2026-05-01T19:00:00+05:30",
            "value": "2.5",
            "eventCount": 2,
        },
    ]
    assert answer["from"] == "2026-05-01T05:30:00+05:30"


@pytest.mark.parametrize(
    ("filter", "value"),
    [
        ({"dimension": "model", "eq": "gpt-4"}, "3.1"),
        ({"dimension": "model", "ne": "gpt-4"}, "3.5"),
        ({"dimension": "model", "in": ["gpt-4", "opus"]}, "3.6"),
        ({"dimension": "model", "in": []}, "0"),
        ({"dimension": "model", "notIn": ["gpt-4", "opus"]}, "3"),
        ({"dimension": "region", "exists": True}, "6.1"),
        ({"dimension": "region", "exists": False}, "0.5"),
        ({"dimension": "model", "prefix": "gpt-"}, "6.1"),
        ({"dimension": "subject", "eq": ""}, "0.5"),
        ({"and": [{"dimension": "region", "eq": "us"}, {"dimension": "subject", "prefix": "cus"}]}, "5"),
        ({"or": [{"dimension": "region", "eq": "eu"}, {"dimension": "model", "eq": "opus"}]}, "1.6"),
        (
            {"and": [{"or": [{"dimension": "model", "eq": "gpt-4"}]}, {"dimension": "region", "eq": "us"}]},
            "2",
        ),
    ],
)
async def test_filters(service: QueryService, filter: dict[str, Any], value: str) -> None:
    assert (await _post(service, filter=filter))["value"] == value
    assert (await _get(service, filter=json.dumps(filter)))["value"] == value


async def test_groups_come_by_value_and_in_pages(service: QueryService) -> None:
    for order, expected in {
        "-value": ["gpt-4", "gpt-5", "opus"],
        "value": ["opus", "gpt-5", "gpt-4"],
        "group": ["gpt-4", "gpt-5", "opus"],
        "-group": ["opus", "gpt-5", "gpt-4"],
    }.items():
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await _get(service, groupBy="model", orderBy=order, limit=1, **cursor)
            assert (page["groupCount"], page["value"]) == (3, "6.6")
            found += [one["group"]["model"] for one in page["groups"]]
            if page["nextCursor"] is None:
                break
            cursor = {"cursor": page["nextCursor"]}
        assert found == expected


async def test_a_page_stays_in_place_while_events_arrive(service: QueryService) -> None:
    first = await _get(service, groupBy="model", orderBy="group", limit=2)
    service.add(event("g", b'{"n":50,"model":"aaa"}', minute=3))
    second = await _get(service, groupBy="model", orderBy="group", limit=2, cursor=first["nextCursor"])
    assert [one["group"]["model"] for one in second["groups"]] == ["opus"]


async def test_the_rest_of_the_largest_is_other_from_states(service: QueryService) -> None:
    answer = await _get(service, groupBy="model", top=1, windowSize="HOUR")
    assert [(one["group"], one["value"]) for one in answer["groups"]] == [({"model": "gpt-4"}, "3.1")]
    assert [one["value"] for one in answer["groups"][0]["windows"]] == ["1.1", "2"]
    assert (answer["other"]["value"], answer["other"]["eventCount"]) == ("3.5", 2)
    assert [one["value"] for one in answer["other"]["windows"]] == ["3", "0.5"]
    assert (answer["value"], answer["groupCount"], answer["nextCursor"]) == ("6.6", 3, None)
    assert "windows" not in answer


async def test_a_remainder_of_unique_values_is_not_a_sum(service: QueryService) -> None:
    unique = await service.metric(
        aggregation="UNIQUE_COUNT", valueProperty="$.region", groupBy={"model": "$.model"}
    )
    service.add(event("g", b'{"n":1,"model":"gpt-5","region":"eu"}', minute=5))
    url = f"/api/v1/billable-metrics/{unique}/usage"
    response = await service.client.get(
        url, params=DAY | {"groupBy": "model", "top": "1", "orderBy": "group"}
    )
    answer = response.json()
    assert (answer["groups"][0]["value"], answer["other"]["value"], answer["value"]) == ("2", "2", "2")


async def test_the_period_before(service: QueryService) -> None:
    answer = await _get(service, compare="previous", groupBy="model", top=2)
    assert (answer["previousFrom"], answer["previousTo"]) == ("2026-04-30T00:00:00Z", "2026-05-01T00:00:00Z")
    assert (answer["value"], answer["previousValue"], answer["change"]) == ("6.6", "4", "2.6")
    assert [(one["previousValue"], one["change"]) for one in answer["groups"]] == [("0", "3.1"), ("0", "3")]
    assert (answer["other"]["previousValue"], answer["other"]["change"]) == ("4", "-3.5")


async def test_several_metrics_in_one_request(service: QueryService) -> None:
    count = await service.metric(aggregation="COUNT")
    body = {
        "queries": [
            DAY | {"billableMetricId": count},
            DAY | {"billableMetricId": _id(service), "groupBy": ["region"]},
        ]
    }
    response = await service.client.post("/api/v1/usage/query", json=body)
    assert response.status_code == 200, response.text
    assert [(one["billableMetricId"], one["value"]) for one in response.json()["data"]] == [
        (count, "4"),
        (_id(service), "6.6"),
    ]
    assert response.headers["meterhouse-counted"] == "0:6"


async def test_another_merchants_metric_is_not_there(service: QueryService) -> None:
    theirs = service.client_of("key_b")
    url = f"/api/v1/billable-metrics/{_id(service)}/usage"
    assert (await theirs.get(url, params=DAY)).status_code == 404
    assert (await theirs.post(f"{url}/query", json=DAY)).status_code == 404
    body = {"queries": [DAY | {"billableMetricId": _id(service)}]}
    assert (await theirs.post("/api/v1/usage/query", json=body)).status_code == 404


# --- tables ---


async def _table(service: QueryService, accept: str, **params: object) -> bytes:
    url = f"/api/v1/billable-metrics/{_id(service)}/usage"
    response = await service.client.get(url, params=DAY | params, headers={"accept": accept})  # type: ignore[arg-type] # as above
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith(accept)
    assert response.headers["meterhouse-counted"] == "0:6"
    return response.content


async def test_csv_has_a_row_a_window_and_group(service: QueryService) -> None:
    text = (
        await _table(service, "text/csv", groupBy="model", windowSize="HOUR", top=1, timeZone="Asia/Kolkata")
    ).decode()
    assert list(csv.reader(io.StringIO(text))) == [
        ["windowStart", "windowEnd", "model", "other", "value", "eventCount"],
        ["2026-05-01T17:00:00+05:30", "2026-05-01T18:00:00+05:30", "gpt-4", "false", "1.1", "1"],
        ["2026-05-01T18:00:00+05:30", "2026-05-01T19:00:00+05:30", "gpt-4", "false", "2", "1"],
        ["2026-05-01T17:00:00+05:30", "2026-05-01T18:00:00+05:30", "", "true", "3", "1"],
        ["2026-05-01T18:00:00+05:30", "2026-05-01T19:00:00+05:30", "", "true", "0.5", "1"],
    ]


async def test_csv_without_windows_and_groups_is_one_row(service: QueryService) -> None:
    text = (await _table(service, "text/csv", compare="previous")).decode()
    assert text == "value,eventCount,previousValue,change\r\n6.6,4,4,2.6\r\n"


async def test_arrow_keeps_every_digit(service: QueryService) -> None:
    service.usage.events_of_log[0] = event(
        "a", b'{"n":99999999999999999999.999999999999999999,"model":"gpt-4"}', minute=0
    )
    body = await _table(service, "application/vnd.apache.arrow.stream", groupBy="model", windowSize="DAY")
    table = pa.ipc.open_stream(body).read_all()
    assert table.schema.field("windowStart").type == pa.timestamp("us", "UTC")
    assert table.to_pylist()[0] == {
        "windowStart": datetime(2026, 5, 1, tzinfo=UTC),
        "windowEnd": datetime(2026, 5, 2, tzinfo=UTC),
        "model": "gpt-4",
        "value": Decimal("100000000000000000001.999999999999999999"),
        "eventCount": 2,
    }


async def test_a_table_names_the_next_page_in_a_header(service: QueryService) -> None:
    url = f"/api/v1/billable-metrics/{_id(service)}/usage"
    asked = DAY | {"groupBy": "model", "limit": "2"}
    first = await service.client.get(url, params=asked, headers={"accept": "text/csv"})
    cursor = first.headers["meterhouse-next-cursor"]
    rest = await service.client.get(url, params=asked | {"cursor": cursor}, headers={"accept": "text/csv"})
    assert rest.text == "model,value,eventCount\r\nopus,0.5,1\r\n"
    assert "meterhouse-next-cursor" not in rest.headers


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("text/html, text/csv;q=0.1", "text/csv"),
    ],
)
async def test_accept_chooses_the_form(service: QueryService, accept: str, answered: str) -> None:
    url = f"/api/v1/billable-metrics/{_id(service)}/usage"
    response = await service.client.get(url, params=DAY, headers={"accept": accept})
    assert response.headers["content-type"].startswith(answered)


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "text/csv;q=0"])
async def test_a_form_that_is_not_offered_is_a_406(service: QueryService, accept: str) -> None:
    url = f"/api/v1/billable-metrics/{_id(service)}/usage"
    response = await service.client.get(url, params=DAY, headers={"accept": accept})
    assert (response.status_code, response.json()["error"]) == (406, "not_acceptable")


# --- refusals ---


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "../etc/passwd"}, "timeZone"),
        ({"timeZone": 3}, "timeZone"),
        ({"windowSize": "FORTNIGHT"}, "windowSize"),
        ({"from": "2026-05-03T00:00:00Z"}, "from"),
        ({"groupBy": ["colour"]}, "groupBy"),
        ({"groupBy": ["model", "model"]}, "groupBy"),
        ({"limit": 5}, "limit"),
        ({"orderBy": "value"}, "orderBy"),
        ({"groupBy": ["model"], "top": 1, "limit": 5}, "top"),
        ({"groupBy": ["model"], "limit": 0}, "limit"),
        ({"groupBy": ["model"], "cursor": "%%%"}, "cursor"),
        ({"groupBy": ["model"], "cursor": "bm9uZQ"}, "cursor"),
        ({"filter": {"dimension": "colour", "eq": "red"}}, "filter"),
        ({"filter": {"dimension": "model"}}, "filter"),
        ({"filter": {"dimension": "model", "eq": "a", "ne": "b"}}, "filter"),
        ({"filter": {"dimension": "model", "like": "a"}}, "filter.like"),
        ({"filter": {"and": []}}, "filter.and"),
        ({"filter": {"and": [{"dimension": "model", "in": "gpt"}]}}, "filter.and.0.in"),
        ({"filter": "model=gpt"}, "filter"),
        ({"subjects": ["cus_1"]}, "subjects"),
        ({"windowSize": "MINUTE", "from": "2020-05-01T00:00:00Z"}, "windowSize"),
    ],
)
async def test_a_wrong_field_is_named(service: QueryService, body: dict[str, Any], field: str) -> None:
    errors = await _refused(service, **body)
    assert [one["field"] for one in errors] == [field]


async def test_a_cursor_of_another_question_is_refused(service: QueryService) -> None:
    page = await _get(service, groupBy="model", limit=1)
    errors = await _refused(service, groupBy=["region"], limit=1, cursor=page["nextCursor"])
    assert "another question" in errors[0]["message"]


async def test_a_filter_nested_too_deeply_is_refused(service: QueryService) -> None:
    nested: dict[str, Any] = {"dimension": "model", "eq": "a"}
    for _ in range(12):
        nested = {"and": [nested]}
    [error] = await _refused(service, filter=nested)
    assert (error["field"], error["code"]) == ("filter", "too_large")


async def test_parameters_of_a_url_are_refused_by_name(service: QueryService) -> None:
    url = f"/api/v1/billable-metrics/{_id(service)}/usage"
    for wrong, field in (
        ({"from": "yesterday"}, "from"),
        ({"filter": "{"}, "filter"),
        ({"timeZone": "x"}, "timeZone"),
    ):
        response = await service.client.get(url, params=DAY | wrong)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)


async def test_windows_within_the_limit_are_answered(service: QueryService) -> None:
    largest = QuerySettings().max_windows
    assert largest >= 44_640  # a month of minutes
    month = {"from": "2026-05-01T00:00:00Z", "to": "2026-06-01T00:00:00Z", "windowSize": "MINUTE"}
    assert len((await _get(service, **month))["windows"]) == 4


async def test_a_metric_without_an_event_type_counts_nothing(service: QueryService) -> None:
    id = await service.metric(eventType=..., valueProperty=...)
    response = await service.client.get(
        f"/api/v1/billable-metrics/{id}/usage", params=DAY | {"windowSize": "DAY", "groupBy": "subject"}
    )
    assert (response.json()["value"], response.json()["groups"]) == ("0", [])
    assert service.metrics.rows[id].merchant_id == MERCHANT
