"""Products and billable metrics over HTTP (contract 3.2, 3.7 and 9)."""

from __future__ import annotations

import json

import pytest

from tests.fakes_query import MERCHANT, OTHER_KEY, QueryService, metric_body

pytestmark = pytest.mark.anyio


@pytest.fixture
def service() -> QueryService:
    return QueryService()


async def test_a_created_metric_has_every_field_of_the_contract(service: QueryService) -> None:
    body = metric_body(groupBy={"model": "$.model"}, productId="prod_a")
    response = await service.client.post("/v0/billableMetrics", json=body)
    assert response.status_code == 201
    created = response.json()
    assert created["id"].startswith("bm_")
    assert created == body | {
        "id": created["id"],
        "object": "billableMetric",
        "itemId": None,
        "eventFrom": None,
        "createdAt": "2026-05-01T12:00:01Z",
        "updatedAt": "2026-05-01T12:00:01Z",
    }
    assert (await service.client.get(f"/v0/billableMetrics/{created['id']}")).json() == created


async def test_last_is_the_other_name_of_latest(service: QueryService) -> None:
    response = await service.client.post("/v0/billableMetrics", json=metric_body(aggregation="LAST"))
    assert response.json()["aggregation"] == "LATEST"


async def test_a_count_keeps_no_value_property(service: QueryService) -> None:
    response = await service.client.post("/v0/billableMetrics", json=metric_body(aggregation="COUNT"))
    assert response.json()["valueProperty"] is None


async def test_without_a_product_a_metric_belongs_to_the_oldest_one(service: QueryService) -> None:
    response = await service.client.post("/v0/billableMetrics", json=metric_body())
    assert response.json()["productId"] == "prod_a"
    service.products.rows.clear()
    response = await service.client.post("/v0/billableMetrics", json=metric_body())
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "productId")


@pytest.mark.parametrize("event_type", ["t", ...])
async def test_a_sum_is_accepted_before_it_has_a_value_property(
    service: QueryService, event_type: object
) -> None:
    """The published READMEs create one, 0.2.16's without an event type too."""
    body = metric_body(valueProperty=..., eventType=event_type)
    response = await service.client.post("/v0/billableMetrics", json=body)
    assert (response.status_code, response.json()["valueProperty"]) == (201, None)
    path = f"/v0/billableMetrics/{response.json()['id']}"
    renamed = await service.client.patch(path, json={"name": "n2", "eventType": "t2"})
    assert (renamed.status_code, renamed.json()["eventType"]) == (200, "t2")
    given = await service.client.patch(path, json={"valueProperty": "$.n"})
    assert (given.status_code, given.json()["valueProperty"]) == (200, "$.n")
    cleared = await service.client.patch(path, json={"valueProperty": None})
    assert cleared.json()["errors"] == [
        {"field": "valueProperty", "message": "cannot be cleared for SUM", "code": "required"}
    ]


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("aggregation", "MEDIAN", "aggregation"),
        ("aggregation", ..., "aggregation"),
        ("name", "", "name"),
        ("name", "a\x00b", "name"),
        ("name", "\ud800", "name"),
        ("unit", ..., "unit"),
        ("merchantId", "nobody", "merchantId"),
        ("productId", "prod-1", "productId"),
        ("itemId", "x", "itemId"),
        ("valueProperty", "$.a[0]", "valueProperty"),
        ("groupBy", {"m": "m"}, "groupBy.m"),
        ("groupBy", {"": "$.m"}, "groupBy."),
        ("groupBy", {"subject": "$.m"}, "groupBy.subject"),
        ("groupBy", {"a,b": "$.m"}, "groupBy.a,b"),
        ("groupBy", {"a\nb": "$.m"}, "groupBy.a\nb"),
        ("groupBy", {"\ud800": "$.m"}, "groupBy.\ufffd\ufffd\ufffd"),
        ("groupBy", {f"d{i}": "$.m" for i in range(21)}, "groupBy"),
        ("eventFrom", "yesterday", "eventFrom"),
        ("eventFrom", 12, "eventFrom"),
    ],
)
async def test_a_wrong_field_is_named(service: QueryService, field: str, value: object, named: str) -> None:
    body = json.dumps(metric_body(**{field: value}))
    headers = {"content-type": "application/json"}
    response = await service.client.post("/v0/billableMetrics", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"] == "validation_error"
    assert named in [problem["field"] for problem in response.json()["errors"]]


async def test_a_product_of_nobody_or_another_merchant_is_not_found(service: QueryService) -> None:
    for product in ("prod_none", "prod_b"):
        body = metric_body(productId=product)
        assert (await service.client.post("/v0/billableMetrics", json=body)).status_code == 404


async def test_speaking_for_another_merchant_is_forbidden(service: QueryService) -> None:
    body = metric_body(merchantId="org_b")
    product = {"name": "n", "description": "d", "merchantId": "org_b"}
    asked = {"merchantId": "org_b"}
    assert (await service.client.post("/v0/billableMetrics", json=body)).status_code == 403
    assert (await service.client.post("/v0/products", json=product)).status_code == 403
    assert (await service.client.get("/v0/billableMetrics", params=asked)).status_code == 403
    assert (await service.client.get("/v0/products", params=asked)).status_code == 403


async def test_another_merchants_objects_are_not_found(service: QueryService) -> None:
    id = await service.metric()
    period = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}
    async with service.client_of(OTHER_KEY) as stranger:
        for path in (f"/v0/billableMetrics/{id}", "/v0/products/prod_a"):
            assert (await stranger.get(path)).status_code == 404
            assert (await stranger.patch(path, json={"name": "mine"})).status_code == 404
        for path in (f"/v0/billableMetrics/{id}/meter", f"/v0/billableMetrics/{id}/events"):
            assert (await stranger.get(path, params=period)).status_code == 404


async def test_what_is_absent_stays_and_null_clears(service: QueryService) -> None:
    id = await service.metric(
        groupBy={"m": "$.m"}, productId="prod_a", itemId="itm_1", eventFrom="2026-05-01T00:00:00Z"
    )
    changes = {"name": "n2", "groupBy": None, "eventFrom": None}
    changed = (await service.client.patch(f"/v0/billableMetrics/{id}", json=changes)).json()
    assert (changed["name"], changed["groupBy"], changed["eventFrom"]) == ("n2", None, None)
    assert (changed["itemId"], changed["eventType"], changed["unit"]) == ("itm_1", "t", "tokens")
    assert changed["updatedAt"] > changed["createdAt"]


async def test_an_empty_change_changes_nothing(service: QueryService) -> None:
    id = await service.metric()
    before = (await service.client.get(f"/v0/billableMetrics/{id}")).json()
    response = await service.client.patch(f"/v0/billableMetrics/{id}", json={})
    assert (response.status_code, response.json()) == (200, before)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"aggregation": "MAX"}, "aggregation"),
        ({"productId": "prod_b"}, "productId"),
        ({"merchantId": "org_b"}, "merchantId"),
        ({"name": None}, "name"),
        ({"valueProperty": None}, "valueProperty"),
    ],
)
async def test_what_cannot_change_is_refused_by_name(
    service: QueryService, changes: dict[str, object], field: str
) -> None:
    id = await service.metric()
    response = await service.client.patch(f"/v0/billableMetrics/{id}", json=changes)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)


async def test_saying_what_stands_is_no_change(service: QueryService) -> None:
    id = await service.metric()
    same = {"aggregation": "SUM", "productId": "prod_a", "merchantId": MERCHANT}
    response = await service.client.patch(f"/v0/billableMetrics/{id}", json=same)
    assert (response.status_code, response.json()["updatedAt"]) == (200, response.json()["createdAt"])


async def test_lists_are_paged_and_filtered(service: QueryService) -> None:
    ids = [await service.metric(productId="prod_a", itemId=item) for item in ("itm_1", "itm_2", "itm_1")]
    asked = {"merchantId": MERCHANT, "limit": "1", "offset": "1", "itemId": "itm_1"}
    page = (await service.client.get("/v0/billableMetrics", params=asked)).json()
    assert page["object"] == "list"
    assert [metric["id"] for metric in page["data"]] == [ids[2]]
    assert page["pagination"] == {"limit": 1, "offset": 1, "total": 2}
    everything = (await service.client.get("/v0/billableMetrics", params={"merchantId": MERCHANT})).json()
    assert [metric["id"] for metric in everything["data"]] == ids


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("limit", "0", "1 to 100"),
        ("limit", "101", "1 to 100"),
        ("offset", "-1", "from 0"),
        ("limit", "x", ""),
    ],
)
async def test_a_limit_out_of_range_names_the_range(
    service: QueryService, name: str, value: str, says: str
) -> None:
    for path in ("/v0/billableMetrics", "/v0/products"):
        response = await service.client.get(path, params={"merchantId": MERCHANT, name: value})
        assert response.status_code == 400
        (problem,) = response.json()["errors"]
        assert problem["field"] == name
        assert says in problem["message"]


async def test_listing_metrics_needs_a_merchant(service: QueryService) -> None:
    response = await service.client.get("/v0/billableMetrics")
    assert response.json()["errors"] == [
        {"field": "merchantId", "message": "is required", "code": "required"}
    ]


async def test_products_are_created_changed_and_listed(service: QueryService) -> None:
    body = {"name": "n", "description": "d", "merchantId": MERCHANT, "metadata": {"tier": "gold"}}
    response = await service.client.post("/v0/products", json=body)
    assert response.status_code == 201
    created = response.json()
    assert {name: created[name] for name in body} == body
    assert (created["object"], created["createdAt"]) == ("product", created["updatedAt"])
    path = f"/v0/products/{created['id']}"
    assert (await service.client.patch(path, json={})).json() == created
    changed = (await service.client.patch(path, json={"description": "d2"})).json()
    assert (changed["name"], changed["description"]) == ("n", "d2")
    assert (await service.client.get(path)).json() == changed
    page = (await service.client.get("/v0/products")).json()
    assert [product["id"] for product in page["data"]] == ["prod_a", created["id"]]
    assert (await service.client.patch(path, json={"name": None})).status_code == 400
