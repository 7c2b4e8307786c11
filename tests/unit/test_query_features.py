"""Features over HTTP (contract 3.3 and 9)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.fakes_query import MERCHANT, OTHER_KEY, OTHER_MERCHANT, QueryService, feature_body

pytestmark = pytest.mark.anyio


@pytest.fixture
def service() -> QueryService:
    return QueryService()


async def post(service: QueryService, **fields: object) -> httpx.Response:
    return await service.client.post("/v0/features", json=feature_body(**fields))


async def made(service: QueryService, **fields: object) -> dict[str, Any]:
    """A new feature, as it was answered."""
    response = await post(service, **fields)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_a_created_feature_has_every_field_of_the_contract(service: QueryService) -> None:
    metric = await service.metric()
    body = await made(service, metadata={"billableMetricId": metric, "tier": "gold"})
    assert body["id"].startswith("feat_")
    assert body == {
        "id": body["id"],
        "object": "feature",
        "key": "api-calls",
        "name": "API calls",
        "type": "metered",
        "merchantId": MERCHANT,
        "productId": "prod_a",
        "metadata": {"billableMetricId": metric, "tier": "gold"},
        "createdAt": "2026-05-01T12:00:02Z",
        "updatedAt": "2026-05-01T12:00:02Z",
    }
    assert (await service.client.get(f"/v0/features/{body['id']}")).json() == body


async def test_a_feature_is_boolean_and_without_metadata_unless_it_is_said(service: QueryService) -> None:
    body = await made(service, type=...)
    assert (body["type"], body["metadata"]) == ("boolean", {})


@pytest.mark.parametrize("key", ["a", "api-calls", "api_calls", "v2-api_calls-3", "0"])
async def test_keys_are_words_of_small_letters_and_digits(service: QueryService, key: str) -> None:
    assert (await made(service, key=key))["key"] == key


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        *[
            ({"key": key}, "key")
            for key in ("", "BAD KEY", "Api", "-a", "a-", "a--b", "a-_b", "ä", "a\n", "a" * 256)
        ],
        ({"key": ...}, "key"),
        ({"key": None}, "key"),
        ({"name": ...}, "name"),
        ({"name": ""}, "name"),
        ({"merchantId": ...}, "merchantId"),
        ({"merchantId": "bad-id"}, "merchantId"),
        ({"productId": ...}, "productId"),
        ({"productId": "bm_1"}, "productId"),
        ({"type": "other"}, "type"),
        ({"type": None}, "type"),
        ({"metadata": None}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {"billableMetricId": "bm_none"}}, "metadata.billableMetricId"),
        ({"metadata": {"billableMetricId": "prod_a"}}, "metadata.billableMetricId"),
        ({"metadata": {"billableMetricId": ""}}, "metadata.billableMetricId"),
    ],
)
async def test_a_wrong_field_is_named(service: QueryService, fields: dict[str, object], named: str) -> None:
    response = await post(service, **fields)
    assert response.status_code == 400, response.text
    assert [problem["field"] for problem in response.json()["errors"]] == [named]


async def test_another_merchants_billable_metric_measures_nothing_here(service: QueryService) -> None:
    metric = await service.metric()
    theirs = {"merchantId": OTHER_MERCHANT, "productId": "prod_b", "metadata": {"billableMetricId": metric}}
    async with service.client_of(OTHER_KEY) as stranger:
        response = await stranger.post("/v0/features", json=feature_body(**theirs))
        assert (response.status_code, response.json()["errors"][0]["field"]) == (
            400,
            "metadata.billableMetricId",
        )


async def test_a_product_has_a_key_once(service: QueryService) -> None:
    first = await made(service)
    response = await post(service, name="another")
    assert (response.status_code, response.json()["error"]) == (409, "conflict")
    second = await made(service, key="other")
    path = f"/v0/features/{second['id']}"
    assert (await service.client.patch(path, json={"key": "api-calls"})).status_code == 409
    assert (await service.client.patch(path, json={"key": "other"})).status_code == 200
    assert (await service.client.delete(f"/v0/features/{first['id']}")).status_code == 204
    assert (await service.client.patch(path, json={"key": "api-calls"})).json()["key"] == "api-calls"


async def test_what_is_absent_stays(service: QueryService) -> None:
    before = await made(service, metadata={"tier": "gold"})
    path = f"/v0/features/{before['id']}"
    assert (await service.client.patch(path, json={})).json() == before
    changed = (await service.client.patch(path, json={"name": "n2", "type": "static"})).json()
    assert changed == before | {"name": "n2", "type": "static", "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] > before["updatedAt"]
    cleared = (await service.client.patch(path, json={"metadata": {}})).json()
    assert (cleared["metadata"], cleared["name"]) == ({}, "n2")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key": None}, "key"),
        ({"key": "BAD"}, "key"),
        ({"name": None}, "name"),
        ({"type": None}, "type"),
        ({"metadata": None}, "metadata"),
        ({"metadata": {"billableMetricId": "bm_none"}}, "metadata.billableMetricId"),
    ],
)
async def test_a_change_to_nothing_sensible_is_refused_by_name(
    service: QueryService, changes: dict[str, object], field: str
) -> None:
    response = await service.client.patch(f"/v0/features/{(await made(service))['id']}", json=changes)
    assert response.status_code == 400
    assert [problem["field"] for problem in response.json()["errors"]] == [field]


async def test_features_are_listed_by_product_and_key(service: QueryService) -> None:
    features = [await made(service, key=f"key-{number}") for number in range(3)]
    asked = {"productId": "prod_a", "limit": "2", "offset": "1"}
    page = (await service.client.get("/v0/features", params=asked)).json()
    assert page == {
        "object": "list",
        "data": features[1:],
        "pagination": {"limit": 2, "offset": 1, "total": 3},
    }
    for key, found in (("key-1", features[1:2]), ("api", []), ("NO KEY", [])):
        page = (await service.client.get("/v0/features", params={"productId": "prod_a", "key": key})).json()
        assert (page["data"], page["pagination"]["total"]) == (found, len(found))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "productId"),
        ({"productId": "feat_1"}, "productId"),
        ({"productId": "prod_a", "limit": "101"}, "limit"),
        ({"productId": "prod_a", "offset": "-1"}, "offset"),
    ],
)
async def test_a_question_that_cannot_be_answered_names_its_field(
    service: QueryService, asked: dict[str, str], field: str
) -> None:
    response = await service.client.get("/v0/features", params=asked)
    assert response.status_code == 400
    assert [problem["field"] for problem in response.json()["errors"]] == [field]


async def test_another_merchants_product_and_features_are_not_found(service: QueryService) -> None:
    feature = await made(service)
    path = f"/v0/features/{feature['id']}"
    assert (await post(service, merchantId=OTHER_MERCHANT)).status_code == 403
    assert (await post(service, productId="prod_b")).status_code == 404
    assert (await service.client.get("/v0/features", params={"productId": "prod_b"})).status_code == 404
    async with service.client_of(OTHER_KEY) as stranger:
        assert (await stranger.get("/v0/features", params={"productId": "prod_a"})).status_code == 404
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.patch(path, json={"name": "mine"})).status_code == 404
        assert (await stranger.patch(path, json={})).status_code == 404
        assert (await stranger.delete(path)).status_code == 404
    assert (await service.client.get(path)).json() == feature


async def test_a_deleted_feature_is_gone(service: QueryService) -> None:
    path = f"/v0/features/{(await made(service))['id']}"
    response = await service.client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert (await service.client.get(path)).status_code == 404
    assert (await service.client.delete(path)).status_code == 404
    page = (await service.client.get("/v0/features", params={"productId": "prod_a"})).json()
    assert (page["data"], page["pagination"]["total"]) == ([], 0)
    assert (await post(service)).status_code == 201
