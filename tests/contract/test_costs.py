"""Costs over HTTP and a real catalog (contract 3.11), and how they are counted there."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from meterhouse.domain.billable_metric import Aggregation, VersionState
from tests.contract.test_progress_ledger import LOG, counted_to, run_backfills
from tests.fakes_query import MERCHANT, OTHER_MERCHANT, event
from tests.servers.catalogs import CatalogStore
from tests.shop import Json, Shop, cost_body, without

pytestmark = pytest.mark.anyio

PERIOD = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


async def test_a_cost_is_answered_with_every_field(shop: Shop) -> None:
    cost = await shop.cost(unit="token", groupBy={"model": "$.model"}, merchantId=MERCHANT)
    assert cost["id"][:4] == "cst_"
    assert cost == {
        "id": cost["id"],
        "object": "cost",
        "type": "metered",
        "name": "Compute",
        "currency": "USD",
        "unitCost": "0.002",
        "unit": "token",
        "aggregation": "SUM",
        "eventType": "t",
        "valueProperty": "$.n",
        "groupBy": {"model": "$.model"},
        "productId": "prod_a",
        "merchantId": MERCHANT,
        "createdAt": cost["createdAt"],
        "updatedAt": cost["updatedAt"],
        "deletedAt": None,
    }
    assert await shop.get(f"/v0/costs/{cost['id']}") == cost


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("0", "0"),
        ("-0.0", "0.0"),
        ("1.50", "1.50"),
        ("1E+2", "100"),
        ("2e-7", "0.0000002"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
    ],
)
async def test_a_unit_cost_keeps_its_digits(shop: Shop, sent: str, shown: str) -> None:
    cost = await shop.cost(unitCost=Decimal(sent))
    assert cost["unitCost"] == shown
    assert await shop.get(f"/v0/costs/{cost['id']}") == cost


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"type": "fixed"}, "type"),
        ({"type": ...}, "type"),
        ({"name": ""}, "name"),
        ({"unitCost": "0.002"}, "unitCost"),
        ({"unitCost": True}, "unitCost"),
        ({"unitCost": Decimal("-0.1")}, "unitCost"),
        ({"unitCost": Decimal("1E-19")}, "unitCost"),
        ({"unitCost": Decimal("1E+20")}, "unitCost"),
        ({"currency": "usd"}, "currency"),
        ({"productId": ...}, "productId"),
        ({"aggregation": "MEDIAN"}, "aggregation"),
        ({"eventType": ...}, "eventType"),
        ({"valueProperty": ...}, "valueProperty"),
        ({"valueProperty": "n"}, "valueProperty"),
        ({"groupBy": {"subject": "$.s"}}, "groupBy.subject"),
    ],
)
async def test_a_wrong_field_is_named(quick: Shop, fields: Json, named: str) -> None:
    response = await quick.posted("/v0/costs", cost_body(**fields))
    assert response.status_code == 400, response.text
    assert [problem["field"] for problem in response.json()["errors"]] == [named]


async def test_a_cost_of_another_product_or_merchant_is_refused(shop: Shop) -> None:
    body = {"type": "metered", "name": "n", "unitCost": 1, "currency": "USD", "aggregation": "COUNT"}
    for status, fields in ((404, {"productId": "prod_b"}), (404, {"productId": "prod_none"})):
        response = await shop.posted("/v0/costs", body | {"eventType": "t"} | fields)
        assert response.status_code == status, response.text
    theirs = body | {"eventType": "t", "productId": "prod_a", "merchantId": OTHER_MERCHANT}
    assert (await shop.posted("/v0/costs", theirs)).status_code == 403
    assert (await shop.client.get("/v0/costs", params={"merchantId": OTHER_MERCHANT})).status_code == 403


async def test_another_merchants_cost_is_not_found(shop: Shop) -> None:
    cost = await shop.cost()
    path = f"/v0/costs/{cost['id']}"
    assert (await shop.stranger.get(path)).status_code == 404
    assert (await shop.stranger.patch(path, json={"name": "n"})).status_code == 404
    assert (await shop.stranger.patch(path, json={})).status_code == 404
    assert (await shop.stranger.delete(path)).status_code == 404
    assert (await shop.stranger.get(f"{path}/summary", params=PERIOD)).status_code == 404
    assert (await shop.stranger.get("/v0/costs")).json()["data"] == []
    assert await shop.get(path) == cost


async def test_costs_are_listed_by_product_oldest_first(shop: Shop) -> None:
    costs = [await shop.cost() for _ in range(3)]
    other = await shop.cost(productId=await shop.product())
    page = await shop.get("/v0/costs", productId="prod_a", limit="2", offset="1")
    assert page == {
        "object": "list",
        "data": costs[1:],
        "pagination": {"limit": 2, "offset": 1, "total": 3},
    }
    assert (await shop.get("/v0/costs", merchantId=MERCHANT))["data"] == [*costs, other]


async def test_a_cost_is_no_billable_metric_that_is_listed_or_priced(shop: Shop) -> None:
    cost, metric = await shop.cost(), await shop.metric()
    listed = await shop.get("/v0/billableMetrics", merchantId=MERCHANT)
    assert ([one["id"] for one in listed["data"]], listed["pagination"]["total"]) == ([metric], 1)
    assert (await shop.client.get(f"/v0/billableMetrics/{cost['id']}")).status_code == 404
    usage = await shop.client.get(f"/v0/billableMetrics/{cost['id']}/meter", params=PERIOD)
    assert usage.status_code == 404
    assert (await shop.get("/v0/costs"))["data"] == [cost]
    assert (await shop.client.get(f"/v0/costs/{metric}")).status_code == 404
    price = await shop.price_body() | {"billableMetricId": cost["id"]}
    assert (await shop.posted("/v0/prices", price)).status_code == 400


async def test_what_is_absent_stays_and_null_clears(shop: Shop) -> None:
    before = await shop.cost(unit="token", aggregation="UNIQUE_COUNT", groupBy={"model": "$.model"})
    path = f"/v0/costs/{before['id']}"
    assert await shop.changed(path) == before
    changed = await shop.changed(path, name="n2", unitCost=Decimal("1.0"), currency="EUR", type="metered")
    assert changed == before | {
        "name": "n2",
        "unitCost": "1.0",
        "currency": "EUR",
        "updatedAt": changed["updatedAt"],
    }
    assert changed["updatedAt"] > before["updatedAt"]
    cleared = await shop.changed(path, unit=None, valueProperty=None, groupBy=None)
    assert (cleared["unit"], cleared["valueProperty"], cleared["groupBy"]) == (None, None, None)
    assert await shop.get(path) == cleared


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": None}, "name"),
        ({"unitCost": None}, "unitCost"),
        ({"unitCost": Decimal("-1")}, "unitCost"),
        ({"aggregation": None}, "aggregation"),
        ({"eventType": None}, "eventType"),
        ({"valueProperty": None}, "valueProperty"),
        ({"productId": "prod_x"}, "productId"),
        ({"merchantId": OTHER_MERCHANT}, "merchantId"),
    ],
)
async def test_a_change_that_makes_no_cost_changes_nothing(shop: Shop, changes: Json, named: str) -> None:
    before = await shop.cost()
    path = f"/v0/costs/{before['id']}"
    response = await shop.patched(path, changes | {"currency": "EUR"})
    assert response.status_code == 400, response.text
    assert [problem["field"] for problem in response.json()["errors"]] == [named]
    assert await shop.get(path) == before


async def test_changes_at_once_do_not_make_together_what_neither_made(store: CatalogStore) -> None:
    """SUM needs a value: whichever change is second is refused."""
    async with Shop.open(store.url) as one, Shop.open(store.url) as two:
        for cost in [await one.cost(aggregation="UNIQUE_COUNT") for _ in range(5)]:
            path = f"/v0/costs/{cost['id']}"
            answers = await asyncio.gather(
                one.client.patch(path, json={"aggregation": "SUM"}),
                two.client.patch(path, json={"valueProperty": None}),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 400]
            stands = await one.get(path)
            assert (stands["aggregation"], stands["valueProperty"]) in {
                ("SUM", "$.n"),
                ("UNIQUE_COUNT", None),
            }


async def test_a_deleted_cost_is_gone(shop: Shop) -> None:
    cost = await shop.cost()
    path = f"/v0/costs/{cost['id']}"
    response = await shop.client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert (await shop.client.get(path)).status_code == 404
    assert (await shop.client.patch(path, json={"name": "n"})).status_code == 404
    assert (await shop.client.delete(path)).status_code == 404
    assert (await shop.client.get(f"{path}/summary", params=PERIOD)).status_code == 404
    assert (await shop.get("/v0/costs"))["pagination"]["total"] == 0


# --- how it is counted ---


async def test_a_cost_counts_earlier_events_too(shop: Shop) -> None:
    ledger = shop.catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    cost = await shop.cost()
    [backfill] = await ledger.backfills(live)
    assert (backfill.definition.billable_metric_id, backfill.progress.until) == (cost["id"], 100)
    assert (await shop.catalog.metrics.get(MERCHANT, cost["id"])).shown.state is VersionState.BUILDING
    await run_backfills(ledger, live)
    assert (await shop.catalog.metrics.get(MERCHANT, cost["id"])).shown.state is VersionState.ACTIVE


async def test_how_a_cost_adds_up_is_part_of_its_version(shop: Shop) -> None:
    ledger = shop.catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    cost = await shop.cost()
    await run_backfills(ledger, live)
    then = await shop.catalog.newest()
    assert (await shop.changed(f"/v0/costs/{cost['id']}", aggregation="MAX"))["aggregation"] == "MAX"
    serving = await shop.catalog.metrics.get(MERCHANT, cost["id"])
    versions = [
        (one.definition.version, one.definition.aggregation) for one in (serving.shown, serving.newest)
    ]
    assert versions == [(1, Aggregation.SUM), (2, Aggregation.MAX)]
    assert [one.aggregation for one in await shop.catalog.at(then)] == [Aggregation.SUM]
    await run_backfills(ledger, live)
    serving = await shop.catalog.metrics.get(MERCHANT, cost["id"])
    assert serving.shown.definition.aggregation is Aggregation.MAX


async def test_a_new_unit_cost_counts_nothing_again(shop: Shop) -> None:
    cost = await shop.cost()
    before = await shop.catalog.newest()
    await shop.changed(f"/v0/costs/{cost['id']}", unitCost=Decimal("3"), name="n2", unit="token")
    assert await shop.catalog.newest() == before


@pytest.mark.parametrize("is_complete", [True, False])
async def test_a_deleted_cost_is_counted_no_more(shop: Shop, is_complete: bool) -> None:
    ledger = shop.catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    cost = await shop.cost()
    if is_complete:
        await run_backfills(ledger, live)
        await shop.changed(f"/v0/costs/{cost['id']}", eventType="other")
    await shop.client.delete(f"/v0/costs/{cost['id']}")
    assert await shop.catalog.at(await shop.catalog.newest()) == []
    assert await shop.catalog.metrics.all_serving() == []
    assert not await ledger.backfills(live)
    assert await shop.catalog.versions(LOG).building() == []
    droppable = await shop.catalog.versions(LOG).droppable()
    assert {one.version for one in droppable} == ({1, 2} if is_complete else {1})


# --- what it costs ---


async def test_a_summary_is_usage_times_the_unit_cost(shop: Shop) -> None:
    shop.usage.events_of_log += [
        event("a", b'{"n":1.10,"model":"x"}', minute=0, subject="cus_1"),
        event("b", b'{"n":3,"model":"y"}', minute=1, subject="cus_2"),
        event("c", b'{"n":2,"model":"x"}', minute=61, subject="cus_1"),
    ]
    cost = await shop.cost(unit="token", unitCost=Decimal("0.001"), groupBy={"model": "$.model"})
    path = f"/v0/costs/{cost['id']}/summary"
    assert await shop.get(path, groupBy="model", window="HOUR", **PERIOD) == {
        "id": cost["id"],
        "object": "cost",
        "name": "Compute",
        "type": "metered",
        "currency": "USD",
        "eventType": "t",
        "unit": "token",
        "totalCost": Decimal("0.0061"),
        "totalQuantity": Decimal("6.1"),
        "groups": [
            {"dimensions": {"model": "x"}, "quantity": Decimal("3.1"), "cost": Decimal("0.0031")},
            {"dimensions": {"model": "y"}, "quantity": 3, "cost": Decimal("0.003")},
        ],
        "timeSeries": [
            {
                "windowStart": "2026-05-01T12:00:00Z",
                "windowEnd": "2026-05-01T13:00:00Z",
                "quantity": Decimal("4.1"),
                "cost": Decimal("0.0041"),
            },
            {
                "windowStart": "2026-05-01T13:00:00Z",
                "windowEnd": "2026-05-01T14:00:00Z",
                "quantity": 2,
                "cost": Decimal("0.002"),
            },
        ],
    }
    filtered = await shop.get(path, subject="cus_1", filterGroupBy='{"model":"x"}', **PERIOD)
    assert filtered["totalQuantity"] == Decimal("3.1")
    assert not filtered.keys() & {"groups", "timeSeries"}


async def test_a_cost_has_every_digit_and_no_exponent(shop: Shop) -> None:
    shop.usage.events_of_log.append(event("a", b'{"n":99999999999999999999.999999999999999999}'))
    cost = await shop.cost(unitCost=Decimal("99999999999999999999.999999999999999999"))
    response = await shop.client.get(f"/v0/costs/{cost['id']}/summary", params=PERIOD)
    exact = str((10**38 - 1) ** 2)
    assert f'"totalCost":{exact[:-36]}.{exact[-36:]},' in response.text


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from": ...}, "from"),
        ({"to": "2026-04-01T00:00:00Z"}, "from"),
        ({"window": "MONTH"}, "window"),
        ({"groupBy": "colour"}, "groupBy"),
        ({"filterGroupBy": "{"}, "filterGroupBy"),
        ({"filterGroupBy": '{"colour":"red"}'}, "filterGroupBy"),
    ],
)
async def test_a_summary_refuses_what_it_cannot_answer(quick: Shop, asked: Json, field: str) -> None:
    cost = await quick.cost()
    params = without({**PERIOD, **asked})
    response = await quick.client.get(f"/v0/costs/{cost['id']}/summary", params=params)
    assert response.status_code == 400, response.text
    assert [problem["field"] for problem in response.json()["errors"]] == [field]


async def test_a_summary_of_a_first_backfill_says_so(shop: Shop) -> None:
    cost = await shop.cost()
    response = await shop.client.get(f"/v0/costs/{cost['id']}/summary", params=PERIOD)
    assert response.headers["meterhouse-version-state"] == "building"
    asked = PERIOD | {"groupBy": "cost"}
    response = await shop.client.get("/v0/costs/report", params=asked)
    assert response.headers["meterhouse-version-state"] == "building"
