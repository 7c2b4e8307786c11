"""A key of one merchant sees nothing of another's, tried on every route that the server describes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from tests.api import Api, cloud_event
from tests.running import Server, run_cli

_OPEN: Final = {"/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"}


@dataclass(frozen=True)
class Victim:
    """What merchant org_dev has; every piece of it carries `mark`, which nobody else may ever read."""

    api: Api
    mark: str
    product: str
    customer: str
    metric: str
    event: str

    def state(self) -> tuple[object, ...]:
        """All that a stranger could have changed."""
        lists = [
            self.api.get(path, merchantId="org_dev", limit="100")["pagination"]["total"]
            for path in ("/v0/products", "/v0/customers", "/v0/billableMetrics")
        ]
        return (
            *lists,
            self.api.get(f"/v0/products/{self.product}"),
            self.api.get(f"/v0/customers/{self.customer}"),
            self.api.get(f"/v0/billableMetrics/{self.metric}"),
            self.api.meter(self.metric),
            self.api.record(self.event),
        )


def _customer(mark: str) -> dict[str, object]:
    consumer = {"name": mark, "email": f"{mark}@example.com", "address": {"city": mark}}
    return {"merchantId": "org_dev", "consumer": consumer, "externalId": mark}


@pytest.fixture(scope="module")
def victim(server: Server) -> Iterator[Victim]:
    mark = f"mark{secrets.token_hex(6)}"
    with Api.of(server) as api:
        product = api.client.post(
            "/v0/products", json={"name": mark, "description": mark, "merchantId": "org_dev"}
        ).json()["id"]
        customer = api.client.post("/v0/customers", json=_customer(mark)).json()["customerId"]
        metric = api.create_metric(
            mark, "SUM", valueProperty="$.v", groupBy={"model": "$.model"}, name=mark, productId=product
        )
        api.ingest(cloud_event(mark, f"id-{mark}", {"v": 1, "model": mark}, subject=mark))
        yield Victim(api, mark, product, customer, metric["id"], f"id-{mark}")


@pytest.fixture(scope="module")
def stranger(server: Server) -> Iterator[httpx.Client]:
    """Another merchant's key, once the server knows it."""
    made = run_cli("keys", "create", "--merchant", "org_stranger", "--data", str(server.data))
    assert made.returncode == 0, made.stdout + made.stderr
    with Api(server.url, made.stdout.splitlines()[-1]) as api:
        deadline = time.monotonic() + 5
        while api.client.get("/v0/products").status_code != 200:
            assert time.monotonic() < deadline, "the key does not work"
        yield api.client


def _operations(server: Server) -> list[tuple[str, str, dict[str, Any]]]:
    document = httpx.get(f"{server.url}/openapi.json").json()
    found = [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ("get", "put", "post", "patch", "delete") and path not in _OPEN
    ]
    assert {"/v0/events", "/api/v1/events", "/v0/products/{id}"} <= {path for _, path, _ in found}
    return found


def _request(victim: Victim, method: str, path: str) -> dict[str, Any]:
    """A request for exactly what `victim` has; an operation that this does not know yet fails the test."""
    ids = {
        "/v0/products/": victim.product,
        "/v0/customers/": victim.customer,
        "/v0/billableMetrics/": victim.metric,
    }
    ids |= {"/api/v1/events/": victim.event, "/api/v1/billable-metrics/": victim.metric}
    address = path.replace("{version}", "1").replace("{key}", "model")
    if "{" in address:
        (owner,) = [one for prefix, one in ids.items() if path.startswith(prefix)]
        address = address[: address.index("{")] + owner + address[address.index("}") + 1 :]
    request: dict[str, Any] = {"method": method.upper(), "url": address}
    if method == "get":
        # Nothing may hide behind a missing parameter: these satisfy every route.
        params = {"from": "1970-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z", "merchantId": "org_dev"}
        return request | {"params": params}
    match method, path:
        case "post", "/v0/events":
            body: object = {
                "type": victim.mark, "source": "/test", "subject": victim.mark, "namespace": "org_dev",
                "idempotencyKey": f"stolen-{victim.mark}", "data": {"v": 10},
            }  # fmt: skip
        case "post", "/api/v1/events":
            body = cloud_event(victim.mark, f"stolen2-{victim.mark}", {"v": 10}, namespace="org_dev")
        case "post", "/api/v1/events/dry-run":
            body = cloud_event(victim.mark, f"stolen3-{victim.mark}", {"v": 10}, namespace="org_dev")
        case "post", "/api/v1/billable-metrics/{id}/usage/query":
            body = {"from": "1970-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z"}
        case "post", "/api/v1/usage/query":
            question = {"from": "1970-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z"}
            body = {"queries": [question | {"billableMetricId": victim.metric}]}
        case "post", "/api/v1/billable-metrics/{id}/versions/{version}/cancel":
            body = {}
        case "post", "/v0/products":
            body = {"name": "theirs", "description": "theirs", "merchantId": "org_dev"}
        case "post", "/v0/billableMetrics":
            body = {
                "name": "theirs", "description": "theirs", "unit": "u", "aggregation": "COUNT",
                "merchantId": "org_dev", "productId": victim.product, "eventType": victim.mark,
            }  # fmt: skip
        case "post", "/v0/customers":
            body = _customer(victim.mark)
        case "patch", "/v0/customers/{id}":
            body = {"externalId": "stolen"}
        case "delete", "/v0/customers/{id}":
            return request
        case "patch", _:
            body = {"name": "stolen"}
        case _:
            pytest.fail(f"teach this test what to send to {method} {path}")
    return request | {"json": body}


def test_a_stranger_reads_and_changes_nothing_on_any_route(
    server: Server, victim: Victim, stranger: httpx.Client
) -> None:
    before = victim.state()
    for method, path, _ in _operations(server):
        request = _request(victim, method, path)
        response = stranger.request(**request)
        told = (method, path, response.status_code, response.text)
        assert response.status_code < 500, told
        if "{" in path:
            assert response.status_code in (403, 404), told
            repeated = (str(request["url"]), victim.event)  # what the stranger said may be said back
            heard = response.text.replace(repeated[0], "").replace(repeated[1], "")
            assert victim.mark not in heard, told
        elif method == "get":
            assert victim.mark not in response.text, told
        elif path != "/api/v1/events":  # there a namespace is at most an extension of one's own event
            assert response.status_code in (400, 403, 404), told
    assert victim.state() == before


def test_a_stranger_may_use_the_same_event_id(victim: Victim, stranger: httpx.Client) -> None:
    """An identity includes the merchant, so nobody can block another's events by guessing ids."""
    before = victim.state()
    event = cloud_event("mine", victim.event, {"v": 2})
    headers = {"content-type": "application/cloudevents+json"}
    response = stranger.post("/api/v1/events", json=event, headers=headers)
    assert response.status_code == 202, response.text
    params = {"after": response.headers["meterhouse-position"]}
    record = stranger.get(f"/api/v1/events/{victim.event}", params=params).json()
    assert (record["namespace"], record["event"]["data"]) == ("org_stranger", {"v": 2})
    assert record["repeats"]["count"] == 0
    assert victim.state() == before


def test_a_stranger_may_have_a_customer_like_anothers(victim: Victim, stranger: httpx.Client) -> None:
    """Who guesses an email or an externalId learns nothing: consumers belong to their merchant."""
    before = victim.state()
    response = stranger.post("/v0/customers", json=_customer(victim.mark) | {"merchantId": "org_stranger"})
    assert response.status_code == 201, response.text
    own = victim.api.get(f"/v0/customers/{victim.customer}")
    named = {"merchantId": "org_stranger", "consumerId": own["consumerId"]}
    assert stranger.post("/v0/customers", json=named).status_code == 404
    path = f"/v0/customers/{response.json()['customerId']}"
    assert stranger.get(path).json()["consumerId"] != own["consumerId"]
    assert stranger.delete(path).status_code == 204
    assert victim.state() == before


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic bWhfZGV2", "Bearer", ""])
def test_no_route_answers_without_a_good_key(
    server: Server, victim: Victim, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    with httpx.Client(base_url=server.url, headers=headers) as nobody:
        for method, path, _ in _operations(server):
            response = nobody.request(**_request(victim, method, path))
            assert response.status_code == 401, (method, path, response.text)
            assert {"error", "message"} <= set(response.json())
