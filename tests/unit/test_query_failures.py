"""Whatever goes wrong is answered in the contract's shape (1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import structlog

from meterhouse.domain.errors import CatalogUnavailable, StoreUnavailable
from meterhouse.domain.usage import Usage, UsageQuestion
from meterhouse.telemetry.request_id import add_request_id
from query.route import MAX_BODY_BYTES
from tests.fakes_query import FakeWatermark, QueryService, metric_body
from tests.fakes_usage import FakeUsage

pytestmark = pytest.mark.anyio

PERIOD = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


class AbsentStore(FakeUsage):
    async def usage(self, question: UsageQuestion) -> Usage:
        raise StoreUnavailable("connection refused by ch-7.internal")


class BrokenStore(FakeUsage):
    async def usage(self, question: UsageQuestion) -> Usage:
        raise ZeroDivisionError


class AbsentCatalog(FakeWatermark):
    async def counted(self) -> Mapping[int, int]:
        raise CatalogUnavailable


@pytest.fixture
def service() -> QueryService:
    return QueryService()


def _assert_shape(body: dict[str, Any]) -> None:
    assert isinstance(body["error"], str)
    assert isinstance(body["message"], str)
    assert "detail" not in body


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic key_a", "Bearer wrong"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v0/products"),
        ("POST", "/v0/products"),
        ("GET", "/v0/products/prod_a"),
        ("PATCH", "/v0/products/prod_a"),
        ("GET", "/v0/features"),
        ("POST", "/v0/features"),
        ("GET", "/v0/features/feat_1"),
        ("PATCH", "/v0/features/feat_1"),
        ("DELETE", "/v0/features/feat_1"),
        ("GET", "/v0/items"),
        ("POST", "/v0/items"),
        ("PATCH", "/v0/items/itm_1"),
        ("POST", "/v0/externalReferences"),
        ("DELETE", "/v0/externalReferences/xrf_1"),
        ("GET", "/v0/fees"),
        ("POST", "/v0/fees"),
        ("DELETE", "/v0/fees/fee_1"),
        ("POST", "/v0/prices"),
        ("GET", "/v0/prices/price_1"),
        ("DELETE", "/v0/prices/price_1"),
        ("POST", "/v0/plans"),
        ("GET", "/v0/plans/available"),
        ("PATCH", "/v0/plans/plan_1"),
        ("POST", "/v0/plans/plan_1/versions"),
        ("PATCH", "/v0/plans/plan_1/versions/1"),
        ("GET", "/v0/customers"),
        ("POST", "/v0/customers"),
        ("GET", "/v0/customers/cus_1"),
        ("PATCH", "/v0/customers/cus_1"),
        ("DELETE", "/v0/customers/cus_1"),
        ("GET", "/v0/billableMetrics"),
        ("POST", "/v0/billableMetrics"),
        ("GET", "/v0/billableMetrics/bm_1"),
        ("PATCH", "/v0/billableMetrics/bm_1"),
        ("GET", "/v0/billableMetrics/bm_1/meter"),
        ("GET", "/v0/billableMetrics/bm_1/events"),
        ("GET", "/api/v1/events/e1"),
    ],
)
async def test_who_asks_comes_before_what_is_asked(
    service: QueryService, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    async with service.client_of(None) as client:
        response = await client.request(method, path, content=b"{", headers=headers)
    assert response.status_code == 401
    _assert_shape(response.json())


async def test_the_scheme_may_be_written_in_any_case(service: QueryService) -> None:
    response = await service.client.get("/v0/products", headers={"authorization": "bEARER key_a"})
    assert response.status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b"[]", b"1", b"null", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize(
    "path",
    [
        "/v0/products",
        "/v0/features",
        "/v0/items",
        "/v0/prices",
        "/v0/plans",
        "/v0/customers",
        "/v0/billableMetrics",
    ],
)
async def test_a_body_that_is_no_json_object_is_a_validation_error(
    service: QueryService, path: str, body: bytes
) -> None:
    response = await service.client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    _assert_shape(response.json())
    assert response.json()["errors"][0]["field"] == "body"


async def test_a_body_of_another_type_is_refused(service: QueryService) -> None:
    response = await service.client.post("/v0/products", content=b"a=b", headers={"content-type": "text/csv"})
    assert response.status_code == 415
    _assert_shape(response.json())


async def test_a_charset_beside_the_type_is_fine(service: QueryService) -> None:
    response = await service.client.post(
        "/v0/products",
        content=b'{"name":"n","description":"d","merchantId":"org_a"}',
        headers={"content-type": "Application/JSON; charset=utf-8"},
    )
    assert response.status_code == 201


async def test_a_body_over_the_limit_is_refused(service: QueryService) -> None:
    body = metric_body(description="x" * MAX_BODY_BYTES)
    response = await service.client.post("/v0/billableMetrics", json=body)
    assert response.status_code == 413
    _assert_shape(response.json())


@pytest.mark.parametrize(
    "path",
    [
        "/", "/v0", "/v0/products/", "/v0/billableMetrics/bm/1%20%C3%BC", "/v0/products/bm_1",
        "/v0/features/feat_none", "/v0/features/prod_a", "/v0/items/fee_1", "/v0/prices/price_",
        "/v0/plans/p", "/v0/customers/cus_none", "/v0/customers/org_1",
        "/v0/billableMetrics/bm_", "/v0/billableMetrics/bm_a-b", "/v0/billableMetrics/bm_none",
        "/api/v1/events/",
    ],
)  # fmt: skip
async def test_what_is_not_there_is_not_found(service: QueryService, path: str) -> None:
    response = await service.client.get(path)
    assert response.status_code == 404
    assert response.json()["error"] == "not_found"
    _assert_shape(response.json())


async def test_a_method_that_is_not_there_names_those_that_are(service: QueryService) -> None:
    response = await service.client.delete("/v0/billableMetrics")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    _assert_shape(response.json())
    response = await service.client.put("/v0/products/prod_a", json={})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, PATCH")
    response = await service.client.put("/v0/customers/cus_1", json={})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, PATCH, DELETE")


async def test_an_absent_store_is_a_503_that_says_when_to_retry() -> None:
    for service in (QueryService(usage=AbsentStore()), QueryService(watermark=AbsentCatalog())):
        id = await service.metric()
        response = await service.client.get(f"/v0/billableMetrics/{id}/meter", params=PERIOD)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        _assert_shape(response.json())
        assert "internal" not in response.text


async def test_a_bug_is_a_500_in_shape_and_a_log_line_with_its_request_id() -> None:
    service = QueryService(usage=BrokenStore())
    id = await service.metric()
    with structlog.testing.capture_logs(processors=[add_request_id]) as logs:
        response = await service.client.get(f"/v0/billableMetrics/{id}/meter", params=PERIOD)
    assert response.status_code == 500
    _assert_shape(response.json())
    (line,) = logs
    assert line["request_id"] == response.headers["x-request-id"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_a_store_that_is_away_is_told_with_the_request_and_the_reason() -> None:
    service = QueryService(usage=AbsentStore())
    id = await service.metric()
    asked = {"x-request-id": "mine"}
    with structlog.testing.capture_logs(processors=[add_request_id]) as logs:
        response = await service.client.get(f"/v0/billableMetrics/{id}/meter", params=PERIOD, headers=asked)
    (line,) = logs
    assert line["request_id"] == response.headers["x-request-id"] == "mine"
    assert (line["status"], line["path"]) == (503, f"/v0/billableMetrics/{id}/meter")
    assert "StoreUnavailable" in line["error"]


async def test_every_answer_carries_an_id_of_its_own() -> None:
    service = QueryService()
    answers = [
        await service.client.get("/v0/products/prod_a"),
        await service.client.get("/v0/products/prod_z"),
        await service.client_of(None).get("/v0/products/prod_a"),
        await service.client.get("/nothing"),
    ]
    assert [one.status_code for one in answers] == [200, 404, 401, 404]
    assert len({one.headers["x-request-id"] for one in answers}) == 4
