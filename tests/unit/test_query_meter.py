"""`GET /v0/billableMetrics/{id}/meter` (contract 3.2 and 10.2), by the JSON text where digits matter."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from meterhouse.domain.rollup import Reading
from meterhouse.domain.usage import Usage, UsageQuestion
from tests.fakes_query import QueryService, event
from tests.fakes_usage import FakeUsage

pytestmark = pytest.mark.anyio

PERIOD = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


@pytest.fixture
def service() -> QueryService:
    service = QueryService()
    service.add(
        event("a", b'{"n":1.10,"model":"x"}', minute=0, subject="cus_1"),
        event("b", b'{"n":"3","model":"y"}', minute=1, subject="cus_2"),
        event("c", b'{"n":2,"model":"x"}', minute=61, subject="cus_1"),
        event("d", b'{"n":0.5}', minute=62, subject=""),
        event("e", b'{"n":"many"}', minute=63),
        event("f", b'{"n":100}', minute=64, namespace="org_b"),
    )
    return service


async def _meter(service: QueryService, id: str, **params: str) -> dict[str, Any]:
    response = await service.client.get(f"/v0/billableMetrics/{id}/meter", params=PERIOD | params)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = json.loads(response.text, parse_float=Decimal, parse_int=Decimal)
    return answer


@pytest.mark.parametrize(
    ("aggregation", "total"),
    [("SUM", "6.6"), ("COUNT", "5"), ("AVG", "1.65"), ("MIN", "0.5"), ("MAX", "3"), ("LATEST", "0.5")],
)
async def test_each_aggregation_shows_its_own_figure(
    service: QueryService, aggregation: str, total: str
) -> None:
    id = await service.metric(aggregation=aggregation)
    answer = await _meter(service, id)
    assert answer == {"object": "meter", "billableMetricId": id, "totalValue": Decimal(total)}


async def test_unique_count_counts_values_or_events(service: QueryService) -> None:
    values = await service.metric(aggregation="UNIQUE_COUNT", valueProperty="$.model")
    events = await service.metric(aggregation="UNIQUE_COUNT", valueProperty=...)
    assert (await _meter(service, values))["totalValue"] == 2
    assert (await _meter(service, events))["totalValue"] == 5


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("1E+3", "1000"),
        ("-1.50", "-1.5"),
        ("9007199254740993", "9007199254740993"),
    ],
)
async def test_every_digit_is_written_out_without_an_exponent(sent: str, shown: str) -> None:
    service = QueryService()
    service.add(event("a", f'{{"n":{sent}}}'.encode()))
    id = await service.metric()
    response = await service.client.get(f"/v0/billableMetrics/{id}/meter", params=PERIOD)
    assert f'"totalValue":{shown}}}' in response.text


async def test_windows_are_whole_and_in_order(service: QueryService) -> None:
    id = await service.metric()
    answer = await _meter(service, id, windowSize="HOUR", **{"from": "2026-05-01T12:00:30Z"})
    assert answer["totalValue"] == Decimal("5.5")
    assert answer["windowedValues"] == [
        {"windowStart": "2026-05-01T12:00:00Z", "windowEnd": "2026-05-01T13:00:00Z", "value": 3},
        {"windowStart": "2026-05-01T13:00:00Z", "windowEnd": "2026-05-01T14:00:00Z", "value": Decimal("2.5")},
    ]
    assert "groupedValues" not in answer


async def test_groups_come_by_value_then_by_text(service: QueryService) -> None:
    service.add(event("g", b'{"n":0.5,"model":"A"}', minute=3))
    id = await service.metric(groupBy={"model": "$.model"})
    answer = await _meter(service, id, groupBy="model")
    assert answer["groupedValues"] == [
        {"groupBy": {"model": "x"}, "value": Decimal("3.1"), "eventCount": 2},
        {"groupBy": {"model": "y"}, "value": 3, "eventCount": 1},
        {"groupBy": {"model": ""}, "value": Decimal("0.5"), "eventCount": 1},
        {"groupBy": {"model": "A"}, "value": Decimal("0.5"), "eventCount": 1},
    ]
    assert "windowedValues" not in answer
    assert "groupCount" not in answer


async def test_windows_and_groups_are_parallel(service: QueryService) -> None:
    id = await service.metric(groupBy={"model": "$.model"})
    answer = await _meter(service, id, windowSize="HOUR", groupBy="model, subject,model")
    cells = [
        (window["windowStart"][11:13], group["groupBy"], window["value"])
        for window, group in zip(answer["windowedValues"], answer["groupedValues"], strict=True)
    ]
    assert cells == [
        ("12", {"model": "x", "subject": "cus_1"}, Decimal("1.1")),
        ("12", {"model": "y", "subject": "cus_2"}, 3),
        ("13", {"model": "", "subject": ""}, Decimal("0.5")),
        ("13", {"model": "x", "subject": "cus_1"}, 2),
    ]
    assert [one["value"] for one in answer["windowedValues"]] == [
        one["value"] for one in answer["groupedValues"]
    ]


async def test_a_group_limit_restricts_the_series_but_not_the_total(service: QueryService) -> None:
    id = await service.metric(groupBy={"model": "$.model"})
    asked = {"groupBy": "model", "groupLimit": "1", "groupOffset": "1"}
    answer = await _meter(service, id, **asked)
    assert [one["groupBy"]["model"] for one in answer["groupedValues"]] == ["y"]
    series = await _meter(service, id, windowSize="HOUR", **asked | {"groupOffset": "0"})
    assert [one["groupBy"]["model"] for one in series["groupedValues"]] == ["x", "x"]
    for one in (answer, series):
        assert (one["groupCount"], one["totalValue"]) == (3, Decimal("6.6"))
    assert (await _meter(service, id, **asked | {"groupOffset": "9"}))["groupedValues"] == []


async def test_filters_name_dimensions_and_the_subject(service: QueryService) -> None:
    id = await service.metric(groupBy={"model": "$.model"})
    totals = {
        text: (await _meter(service, id, filterGroupBy=text))["totalValue"]
        for text in (
            '{"model": "x"}',
            '{"model":""}',
            '{"subject":""}',
            '{"model":"x","subject":"cus_2"}',
            "{}",
        )
    }
    assert list(totals.values()) == [Decimal("3.1"), Decimal("0.5"), Decimal("0.5"), 0, Decimal("6.6")]


async def test_two_different_subjects_at_once_are_nobody(service: QueryService) -> None:
    id = await service.metric()
    both = await _meter(service, id, subject="cus_1", filterGroupBy='{"subject":"cus_2"}', groupBy="subject")
    assert (both["totalValue"], both["groupedValues"]) == (0, [])
    same = await _meter(service, id, subject="cus_1", filterGroupBy='{"subject":"cus_1"}')
    assert same["totalValue"] == (await _meter(service, id, subject="cus_1"))["totalValue"] == Decimal("3.1")


async def test_nothing_is_zero_and_empty(service: QueryService) -> None:
    id = await service.metric()
    instant = {"from": PERIOD["from"], "to": PERIOD["from"]}
    answer = await _meter(service, id, windowSize="DAY", groupBy="subject", groupLimit="5", **instant)
    del answer["billableMetricId"]
    assert answer == {
        "object": "meter", "totalValue": 0, "windowedValues": [], "groupedValues": [], "groupCount": 0,
    }  # fmt: skip


async def test_a_metric_without_an_event_type_is_zero(service: QueryService) -> None:
    id = await service.metric(eventType=...)
    assert (await _meter(service, id, groupBy="subject"))["totalValue"] == 0


@pytest.mark.parametrize(
    "start", ["2026-05-01T12:00:30", "2026-05-01T17:30:30+05:30", "2026-05-01T12:00:30.0000009Z"]
)
async def test_timestamps_are_read_in_every_form_the_clients_send(service: QueryService, start: str) -> None:
    id = await service.metric()
    assert (await _meter(service, id, **{"from": start}))["totalValue"] == Decimal("5.5")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"from": "x"}, "from"),
        ({"from": "2026-05-03T00:00:00Z"}, "from"),
        ({"to": "1234"}, "to"),
        ({"windowSize": "WEEK"}, "windowSize"),
        ({"groupBy": "colour"}, "groupBy"),
        ({"groupBy": ""}, "groupBy"),
        ({"filterGroupBy": "model=x"}, "filterGroupBy"),
        ({"filterGroupBy": '{"model":1}'}, "filterGroupBy"),
        ({"filterGroupBy": '{"model":["x"]}'}, "filterGroupBy"),
        ({"filterGroupBy": '["model"]'}, "filterGroupBy"),
        ({"filterGroupBy": '{"model":"\\ud800"}'}, "filterGroupBy"),
        ({"filterGroupBy": "[" * 5000}, "filterGroupBy"),
        ({"filterGroupBy": '{"colour":"x"}'}, "filterGroupBy"),
        ({"groupBy": "model", "groupLimit": "0"}, "groupLimit"),
        ({"groupBy": "model", "groupLimit": "501"}, "groupLimit"),
        ({"groupBy": "model", "groupLimit": "5", "groupOffset": "100001"}, "groupOffset"),
        ({"groupBy": "model", "groupOffset": "1"}, "groupOffset"),
    ],
)
async def test_a_wrong_parameter_is_named(service: QueryService, params: dict[str, str], field: str) -> None:
    id = await service.metric(groupBy={"model": "$.model"})
    response = await service.client.get(f"/v0/billableMetrics/{id}/meter", params=PERIOD | params)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)


async def test_the_period_is_required(service: QueryService) -> None:
    id = await service.metric()
    response = await service.client.get(f"/v0/billableMetrics/{id}/meter")
    assert [(one["field"], one["code"]) for one in response.json()["errors"]] == [
        ("from", "required"), ("to", "required"),
    ]  # fmt: skip


async def test_a_dimension_of_the_coming_version_is_still_being_built(service: QueryService) -> None:
    id = await service.metric()
    service.metrics.building = True
    await service.client.patch(f"/v0/billableMetrics/{id}", json={"groupBy": {"model": "$.model"}})
    for params in ({"groupBy": "model"}, {"filterGroupBy": '{"model":"x"}'}):
        response = await service.client.get(f"/v0/billableMetrics/{id}/meter", params=PERIOD | params)
        assert response.status_code == 400
        assert "still being built" in response.json()["message"]


class ChangingUsage(FakeUsage):
    """While it answers, the version that was asked for is replaced and its rows go."""

    service: QueryService
    versions: list[int]

    async def usage(self, question: UsageQuestion) -> Usage:
        definition = question.definition
        self.versions.append(definition.version)
        if len(self.versions) > 1:
            return await super().usage(question)
        self.service.metrics.activate(definition.billable_metric_id)
        return Usage(Reading())


async def test_a_version_replaced_meanwhile_is_asked_again() -> None:
    usage = ChangingUsage()
    service = QueryService(usage=usage)
    usage.service, usage.versions = service, []
    id = await service.metric()
    service.add(event("a", b'{"n":1,"m":5}'))
    service.metrics.building = True
    await service.client.patch(f"/v0/billableMetrics/{id}", json={"valueProperty": "$.m"})
    assert (await _meter(service, id))["totalValue"] == 5
    assert usage.versions == [1, 2]
