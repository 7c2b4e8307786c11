"""Reports of costs over HTTP and a real catalog (contract 3.11)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from query.costs.wire import CostReportBody
from tests.fakes_query import event
from tests.shop import Json, Shop, without

pytestmark = pytest.mark.anyio

PERIOD = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


async def report(shop: Shop, **asked: str) -> Json:
    return await shop.get("/v0/costs/report", **(PERIOD | {"groupBy": "cost"} | asked))


def told(groups: list[dict[str, Any]]) -> list[tuple[str, object, object]]:
    return [(one["key"], one["totalCost"], one["totalQuantity"]) for one in groups]


async def two_costs(shop: Shop) -> tuple[Json, Json]:
    """Tokens at 0.5 each, and 2 a call; events of two customers and of one subject that is nobody's."""
    customer = await shop.customer()
    shop.usage.events_of_log += [
        event("a", b'{"n":10,"model":"x"}', minute=0, subject=customer),
        event("b", b'{"n":4,"model":"y"}', minute=61, subject=customer),
        event("c", b'{"n":1,"model":"x"}', minute=62, subject="robot"),
        event("d", b'{"n":8,"model":"x"}', minute=-24 * 60, subject="robot"),
    ]
    tokens = await shop.cost(
        name="Tokens", unit="token", unitCost=Decimal("0.5"), groupBy={"model": "$.model"}
    )
    calls = await shop.cost(name="Calls", unit="call", unitCost=2, aggregation="COUNT", valueProperty=...)
    return tokens, calls


async def test_a_report_by_cost_is_answered_with_every_field(shop: Shop) -> None:
    tokens, calls = await two_costs(shop)
    unused = await shop.cost(name="Unused", eventType="none")
    answer = await report(shop, windowSize="HOUR", comparePriorPeriod="true")
    third = Decimal("55.555555555555555556")
    assert answer == {
        "object": "cost_report",
        "currency": "USD",
        "period": PERIOD,
        "groupBy": "cost",
        "totalCost": Decimal("13.5"),
        "totalQuantity": 18,
        "groups": [
            {
                "key": tokens["id"],
                "label": "Tokens",
                "totalCost": Decimal("7.5"),
                "totalQuantity": 15,
                "percentOfTotal": third,
                "isOther": False,
                "unit": "token",
                "priorPeriod": {"cost": 4, "changePercent": Decimal("87.5")},
            },
            {
                "key": calls["id"],
                "label": "Calls",
                "totalCost": 6,
                "totalQuantity": 3,
                "percentOfTotal": Decimal("44.444444444444444444"),
                "isOther": False,
                "unit": "call",
                "priorPeriod": {"cost": 2, "changePercent": 200},
            },
            {
                "key": unused["id"],
                "label": "Unused",
                "totalCost": 0,
                "totalQuantity": 0,
                "percentOfTotal": 0,
                "isOther": False,
                "priorPeriod": {"cost": 0, "changePercent": None},
            },
        ],
        "timeSeries": [
            {
                "windowStart": "2026-05-01T12:00:00Z",
                "windowEnd": "2026-05-01T13:00:00Z",
                "groups": {tokens["id"]: 5, calls["id"]: 2},
            },
            {
                "windowStart": "2026-05-01T13:00:00Z",
                "windowEnd": "2026-05-01T14:00:00Z",
                "groups": {tokens["id"]: Decimal("2.5"), calls["id"]: 4},
            },
        ],
        "availableDimensions": [],
        "groupCount": 3,
        "emptyGroupCount": 1,
        "warnings": [],
        "pagination": {"limit": 25, "offset": 0, "total": 3},
    }
    CostReportBody.model_validate(answer)


async def test_a_report_by_customer_adds_up_all_costs(shop: Shop) -> None:
    await two_costs(shop)
    answer = await report(shop, groupBy="customer")
    [acme, robot] = answer["groups"]
    assert (acme["label"], acme["totalCost"], acme["totalQuantity"]) == ("Acme", 11, 16)
    assert (robot["key"], robot["label"], robot["totalCost"]) == ("robot", "robot", Decimal("2.5"))
    assert not {"unit", "priorPeriod"} & acme.keys()
    assert (answer["timeSeries"], answer["groupCount"]) == ([], 2)
    one = await report(shop, groupBy="customer", subject="robot")
    assert told(one["groups"]) == [("robot", Decimal("2.5"), 2)]


async def test_a_report_of_one_cost_goes_by_its_dimensions(shop: Shop) -> None:
    tokens, calls = await two_costs(shop)
    answer = await report(shop, groupBy="model", costId=tokens["id"])
    assert told(answer["groups"]) == [("x", Decimal("5.5"), 11), ("y", 2, 4)]
    assert answer["availableDimensions"] == ["model"]
    assert [one["unit"] for one in answer["groups"]] == ["token", "token"]
    filtered = await report(shop, groupBy="customer", costId=tokens["id"], filterGroupBy='{"model":"y"}')
    assert (filtered["totalCost"], len(filtered["groups"])) == (2, 1)
    both = await shop.client.get(
        "/v0/costs/report",
        params={**PERIOD, "groupBy": "cost", "costId": [tokens["id"], calls["id"]]},
    )
    assert both.json()["availableDimensions"] == []
    # A cost without the dimension has no event with that text.
    everywhere = await report(shop, filterGroupBy='{"model":"x"}')
    assert told(everywhere["groups"]) == [(tokens["id"], Decimal("5.5"), 11), (calls["id"], 0, 0)]


async def test_all_groups_but_the_first_are_folded_into_one(shop: Shop) -> None:
    for number, cost in enumerate((5, 9, 3, 9, 1)):
        shop.usage.events_of_log.append(event(f"e{number}", b'{"n":%d}' % cost, subject=f"cus_{number}"))
    await shop.cost(unitCost=1)
    answer = await report(shop, groupBy="customer", topN="2", windowSize="DAY")
    assert told(answer["groups"]) == [("cus_1", 9, 9), ("cus_3", 9, 9), ("__other__", 9, 9)]
    assert [one["isOther"] for one in answer["groups"]] == [False, False, True]
    assert [one["groups"] for one in answer["timeSeries"]] == [{"cus_1": 9, "cus_3": 9, "__other__": 9}]
    assert (answer["totalCost"], answer["groupCount"], answer["pagination"]["total"]) == (27, 5, 3)
    smallest = await report(shop, groupBy="customer", topN="2", sort="totalQuantity", sortDir="asc")
    assert told(smallest["groups"]) == [("cus_4", 1, 1), ("cus_2", 3, 3), ("__other__", 23, 23)]
    page = await report(shop, groupBy="customer", topN="2", limit="1", offset="1", windowSize="DAY")
    assert told(page["groups"]) == [("cus_3", 9, 9)]
    assert [one["groups"] for one in page["timeSeries"]] == [{"cus_3": 9}]
    assert page["pagination"] == {"limit": 1, "offset": 1, "total": 3}


async def test_empty_groups_may_be_left_out(shop: Shop) -> None:
    used = await shop.cost(unitCost=0)
    await shop.cost(eventType="none")
    shop.usage.events_of_log += [
        event("a", b'{"n":1}', subject="cus_1"),
        event("b", b'{"n":1}', minute=-24 * 60, subject="cus_2"),
    ]
    answer = await report(shop, excludeEmpty="true")
    assert told(answer["groups"]) == [(used["id"], 0, 1)]
    assert (answer["groupCount"], answer["emptyGroupCount"], answer["pagination"]["total"]) == (2, 1, 1)
    compared = await report(shop, groupBy="customer", comparePriorPeriod="true")
    assert told(compared["groups"]) == [("cus_1", 0, 1), ("cus_2", 0, 0)]
    kept = await report(shop, groupBy="customer", comparePriorPeriod="true", excludeEmpty="true")
    assert told(kept["groups"]) == [("cus_1", 0, 1)]


async def test_a_report_is_in_one_currency(shop: Shop) -> None:
    dollars, euros = await shop.cost(), await shop.cost(currency="EUR")
    assert [one["key"] for one in (await report(shop))["groups"]] == [dollars["id"]]
    in_euros = await report(shop, currency="EUR")
    assert (in_euros["currency"], [one["key"] for one in in_euros["groups"]]) == ("EUR", [euros["id"]])
    named = await report(shop, costId=euros["id"])
    assert (named["currency"], [one["key"] for one in named["groups"]]) == ("EUR", [euros["id"]])
    nothing = await report(shop, costId=euros["id"], currency="USD")
    assert nothing["groups"] == []
    assert nothing["warnings"] == [f"{euros['id']} is in EUR, so it is not part of this report"]


async def test_a_cost_that_is_not_there_is_left_out_with_a_warning(shop: Shop) -> None:
    cost = await shop.cost()
    both = {"costId": [cost["id"], "cst_none"], "groupBy": "cost", **PERIOD}
    answer = (await shop.client.get("/v0/costs/report", params=both)).json()
    assert [one["key"] for one in answer["groups"]] == [cost["id"]]
    assert answer["warnings"] == ["there is no cost cst_none"]
    await shop.client.delete(f"/v0/costs/{cost['id']}")
    gone = await report(shop, costId=cost["id"], groupBy="model")
    assert (gone["groups"], gone["warnings"]) == ([], [f"there is no cost {cost['id']}"])
    assert (await report(shop))["groups"] == []
    theirs = await shop.stranger.get("/v0/costs/report", params={**both, "costId": cost["id"]})
    assert theirs.json()["warnings"] == gone["warnings"]


async def test_the_prior_period_is_as_many_whole_months(shop: Shop) -> None:
    await shop.cost(unitCost=1)
    shop.usage.events_of_log += [event("a", b'{"n":3}'), event("b", b'{"n":2}', minute=-30 * 24 * 60)]
    month = {"from": "2026-05-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}
    [group] = (await report(shop, comparePriorPeriod="true", **month))["groups"]
    assert group["priorPeriod"] == {"cost": 2, "changePercent": 50}


async def test_a_group_that_is_named_as_the_rest_is_part_of_it(shop: Shop) -> None:
    await shop.cost(unitCost=1)
    shop.usage.events_of_log += [
        event("a", b'{"n":3}', subject="__other__"),
        event("b", b'{"n":2}', subject="cus_1"),
    ]
    answer = await report(shop, groupBy="customer", windowSize="MONTH")
    assert told(answer["groups"]) == [("cus_1", 2, 2), ("__other__", 3, 3)]
    assert [one["groups"] for one in answer["timeSeries"]] == [{"cus_1": 2, "__other__": 3}]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"groupBy": ...}, "groupBy"),
        ({"groupBy": "model"}, "groupBy"),
        ({"costId": "COST", "groupBy": "colour"}, "groupBy"),
        ({"costId": "bm_1"}, "costId.0"),
        ({"topN": "26"}, "topN"),
        ({"topN": "0"}, "topN"),
        ({"limit": "101"}, "limit"),
        ({"windowSize": "MINUTE"}, "windowSize"),
        ({"sort": "key"}, "sort"),
        ({"sortDir": "up"}, "sortDir"),
        ({"currency": "usd"}, "currency"),
        ({"to": "2026-04-01T00:00:00Z"}, "from"),
        ({"filterGroupBy": "[]"}, "filterGroupBy"),
        ({"filterGroupBy": '{"colour":"red"}'}, "filterGroupBy"),
        ({"filterGroupBy": '{"a":"1","b":"1","c":"1","d":"1","e":"1","f":"1"}'}, "filterGroupBy"),
        ({"filterGroupBy": '{"model":"%s"}' % ("x" * 4096)}, "filterGroupBy"),
    ],
)
async def test_a_report_refuses_what_it_cannot_answer(quick: Shop, asked: Json, field: str) -> None:
    cost = await quick.cost(groupBy={"model": "$.model"})
    params = without({**PERIOD, "groupBy": "cost", **asked})
    if params.get("costId") == "COST":
        params["costId"] = cost["id"]
    response = await quick.client.get("/v0/costs/report", params=params)
    assert response.status_code == 400, response.text
    assert [problem["field"] for problem in response.json()["errors"]] == [field]


async def test_a_report_without_any_cost_is_empty(quick: Shop) -> None:
    answer = await report(quick)
    assert (answer["currency"], answer["groups"], answer["totalCost"]) == ("USD", [], 0)


async def test_another_merchants_costs_are_not_reported(shop: Shop) -> None:
    await two_costs(shop)
    asked = PERIOD | {"groupBy": "cost"}
    answer = await shop.stranger.get("/v0/costs/report", params=asked)
    assert answer.json()["groups"] == []
    refused = await shop.client.get("/v0/costs/report", params=asked | {"merchantId": "org_b"})
    assert refused.status_code == 403
