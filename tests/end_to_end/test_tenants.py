"""A key of one merchant sees nothing of another's, tried on every route that the server describes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import httpx
import pytest

from tests.api import Api, cloud_event
from tests.running import Server, run_cli

_LISTS: Final = (
    "/v0/products", "/v0/items", "/v0/externalReferences", "/v0/fees", "/v0/prices", "/v0/customers",
    "/v0/billableMetrics", "/v0/costs", "/v0/testClocks", "/v0/subscriptions",
)  # fmt: skip
_EVER: Final = {"from": "1970-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z"}
_ASKED: Final[Mapping[str, dict[str, str]]] = {
    "/v0/costs/report": {"groupBy": "cost"},
    "/v0/revenue": {"startTime": _EVER["from"], "endTime": _EVER["to"]},
}
_OPEN: Final = {"/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"}


@dataclass(frozen=True)
class Victim:
    """What merchant org_dev has; every piece of it carries `mark`, which nobody else may ever read."""

    api: Api
    mark: str
    product: str
    feature: str
    item: str
    reference: str
    fee: str
    price: str
    cost: str
    plan: str
    customer: str
    clock: str
    subscription: str
    metric: str
    entitlement: str
    grant: str
    purchase: str
    endpoint: str
    delivery: str
    event: str

    def state(self) -> tuple[object, ...]:
        """All that a stranger could have changed."""
        lists = [
            self.api.get(path, merchantId="org_dev", limit="100")["pagination"]["total"] for path in _LISTS
        ]
        return (
            *lists,
            self.api.get(f"/v0/products/{self.product}"),
            self.api.get("/v0/features", productId=self.product),
            self.api.get(f"/v0/features/{self.feature}"),
            self.api.get(f"/v0/items/{self.item}"),
            self.api.get(f"/v0/externalReferences/{self.reference}"),
            self.api.get(f"/v0/fees/{self.fee}"),
            self.api.get(f"/v0/prices/{self.price}"),
            self.api.get(f"/v0/costs/{self.cost}"),
            self.api.get("/v0/costs/report", groupBy="cost", costId=self.cost, **_EVER),
            self.api.get(f"/v0/plans/{self.plan}"),
            self.api.get(f"/v0/plans/{self.plan}/versions"),
            self.api.get(f"/v0/customers/{self.customer}"),
            self.api.get(f"/v0/testClocks/{self.clock}"),
            self.api.get(f"/v0/subscriptions/{self.subscription}"),
            self.api.get(f"/v0/subscriptions/{self.subscription}/intervals"),
            self.api.get(f"/v0/subscriptions/{self.subscription}/intervalChanges"),
            self.api.get(f"/v0/billableMetrics/{self.metric}"),
            self.api.get(f"/v1/entitlements/{self.entitlement}"),
            self.api.get("/v0/webhooks"),
            self.api.get("/api/v1/webhooks/endpoints"),
            self.api.get(f"/api/v1/webhooks/deliveries/{self.delivery}"),
            self.api.get(f"/v1/entitlements/{self.entitlement}/grants", includeVoided="true"),
            self.api.meter(self.metric),
            self.api.record(self.event),
        )


_SOLD: Final = (
    ("feature", "/v0/features"),
    ("item", "/v0/items"),
    ("reference", "/v0/externalReferences"),
    ("fee", "/v0/fees"),
    ("price", "/v0/prices"),
    ("cost", "/v0/costs"),
    ("plan", "/v0/plans"),
)


_KINDS: Final = {path: kind for kind, path in _SOLD}


def _sold(kind: str, mark: str, ids: Mapping[str, str]) -> dict[str, object]:
    """What asks for one of `_SOLD`, by the ids of those before it."""
    own: dict[str, object] = {"name": mark, "merchantId": "org_dev"}
    match kind:
        case "feature":
            return own | {"key": mark, "productId": ids["product"]}
        case "item":
            return own | {"catalogId": ids["product"], "metadata": {"mark": mark}}
        case "reference":
            named = {"entityType": "item", "entityId": ids["item"], "provider": "sage", "externalId": mark}
            return own | named
        case "fee":
            return own | {"description": mark, "productId": ids["product"], "itemId": ids["item"]}
        case "cost":
            counted = {"aggregation": "COUNT", "eventType": mark, "productId": ids["product"]}
            return own | counted | {"type": "metered", "unitCost": 1, "currency": "USD"}
        case "plan":
            return own | {"productId": ids["product"], "currency": "USD", "prices": [ids["price"]]}
        case _:
            own = {"invoiceDisplayName": mark, "paymentTerm": "in_arrears", "feeId": ids["fee"]}
            return own | {"properties": {"unitPrice": "1"}, "feature": {"featureId": ids["feature"]}}


_HELD: Final[Mapping[str, dict[str, object]]] = {
    "/v1/entitlements": {"template": {"type": "boolean"}},
    "/v1/entitlements/{entitlementId}/grants": {"amount": 1, "idempotencyKey": "stolen"},
    "/v1/entitlements/{entitlementId}/grants/purchase": {
        "amount": 1, "price": "5.00", "idempotencyKey": "stolen",
    },
    "/api/v1/grant-purchases/{invoiceId}/payment": {},
    "/api/v1/webhooks/endpoints": {"url": "https://stolen.invalid/"},
    "/api/v1/webhooks/endpoints/{id}/secret": {},
    "/api/v1/webhooks/deliveries/{id}/replay": {},
}  # fmt: skip


_SUBSCRIBED: Final[Mapping[tuple[str, str], dict[str, object]]] = {
    ("post", "/v0/testClocks"): {"merchantId": "org_dev"},
    ("patch", "/v0/testClocks/{id}"): {"advanceBy": "P1D"},
    ("patch", "/v0/subscriptions/{id}"): {"autoCharge": True},
    ("post", "/v0/subscriptions/{id}/termination"): {"reason": "stolen"},
    ("post", "/v0/subscriptions/{id}/terminate"): {"reason": "stolen"},
    ("post", "/v0/subscriptions/{id}/portal"): {},
    ("post", "/v0/subscriptions/{id}/portal-link"): {},
    ("post", "/v0/subscriptions/{id}/reconciliations"): {},
    ("post", "/v0/subscriptions/{id}/intervals"): {"remove": [{"id": "stolen"}]},
    ("post", "/v0/subscriptions/{id}/versionMigration"): {"targetVersionNumber": 1},
    ("post", "/v0/merchants/{merchantId}/reset"): {"scope": "merchant", "keepCatalog": False},
}


def _subscription(mark: str, ids: Mapping[str, str]) -> dict[str, object]:
    own: dict[str, object] = {"name": mark, "startedAt": "2026-05-01T00:00:00Z"}
    return own | {"planId": ids["plan"], "customerId": ids["customer"], "testClockId": ids["clock"]}


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
        made = {"product": product}
        for kind, path in _SOLD:
            response = api.client.post(path, json=_sold(kind, mark, made))
            assert response.status_code == 201, response.text
            made[kind] = response.json()["id"]
        made["clock"] = api.client.post("/v0/testClocks", json={"name": mark}).json()["id"]
        customer = api.client.post("/v0/customers", json=_customer(mark)).json()["customerId"]
        subscribed = _subscription(mark, made | {"customer": customer})
        made["subscription"] = api.client.post("/v0/subscriptions", json=subscribed).json()["id"]
        metric = api.create_metric(
            mark, "SUM", valueProperty="$.v", groupBy={"model": "$.model"}, name=mark, productId=product
        )
        api.ingest(cloud_event(mark, f"id-{mark}", {"v": 1, "model": mark}, subject=mark))
        endpoint = _told(api, mark)
        made |= {"customer": customer, "metric": metric["id"], "endpoint": endpoint} | _held(
            api, mark, customer, metric["id"], product
        )
        [told, *_] = api.get("/api/v1/webhooks/deliveries", endpointId=endpoint)["data"]
        made["delivery"] = told["id"]
        yield Victim(api=api, mark=mark, event=f"id-{mark}", **made)


def _told(api: Api, mark: str) -> str:
    """An endpoint of webhooks that are paused, so that nothing is delivered."""
    api.client.post("/v0/webhooks")
    api.client.patch("/v0/webhooks", json={"enabled": False})
    wanted = {"url": f"https://{mark}.invalid/", "eventTypes": ["grant.created"], "description": mark}
    made = api.client.post("/api/v1/webhooks/endpoints", json=wanted)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def _held(api: Api, mark: str, customer: str, metric: str, product: str) -> dict[str, str]:
    """An entitlement with a grant and a purchase, by what they are."""
    feature = {"key": f"{mark}-held", "name": mark, "merchantId": "org_dev", "productId": product}
    by_metric = {"type": "metered", "metadata": {"billableMetricId": metric}}
    made = api.client.post("/v0/features", json=feature | by_metric).json()["id"]
    wanted = {"customerId": customer, "featureId": made, "template": {"type": "metered"}}
    issued = api.client.post("/v1/entitlements", json=wanted | {"metadata": {"mark": mark}}).json()["id"]
    path = f"/v1/entitlements/{issued}/grants"
    granted = api.client.post(path, json={"amount": 5, "idempotencyKey": mark}).json()["id"]
    bought = {"amount": 5, "price": "5.00", "idempotencyKey": mark}
    invoice = api.client.post(f"{path}/purchase", json=bought).json()["invoiceId"]
    return {"entitlement": issued, "grant": granted, "purchase": invoice}


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


def _address(victim: Victim, path: str) -> str:
    """The path, of what `victim` has."""
    ids = {
        "/v0/products/": victim.product,
        "/v0/features/": victim.feature,
        "/v0/items/": victim.item,
        "/v0/externalReferences/": victim.reference,
        "/v0/fees/": victim.fee,
        "/v0/prices/": victim.price,
        "/v0/costs/": victim.cost,
        "/v0/plans/": victim.plan,
        "/v0/customers/": victim.customer,
        "/v0/testClocks/": victim.clock,
        "/v0/merchants/": "org_dev",
        "/v0/subscriptions/": victim.subscription,
        "/v0/billableMetrics/": victim.metric,
        "/v1/entitlements/": victim.entitlement,
        "/api/v1/grant-purchases/": victim.purchase,
        "/api/v1/customers/": victim.customer,
        "/api/v1/webhooks/endpoints/": victim.endpoint,
        "/api/v1/webhooks/deliveries/": victim.delivery,
        "/api/v1/events/": victim.event,
        "/api/v1/billable-metrics/": victim.metric,
    }
    places = {"{version}": "1", "{versionNumber}": "1", "{key}": "model", "{grantId}": victim.grant}
    address = reduce(lambda text, place: text.replace(*place), places.items(), path)
    if "{" in address:
        (owner,) = [one for prefix, one in ids.items() if path.startswith(prefix)]
        address = address[: address.index("{")] + owner + address[address.index("}") + 1 :]
    return address


def _parameters(victim: Victim, path: str, operation: dict[str, Any]) -> dict[str, str]:
    """Nothing may hide behind a missing parameter: these satisfy every route."""
    whose = {"merchantId": "org_dev", "productId": victim.product, "customerId": victim.customer}
    asked = _EVER | whose | _ASKED.get(path, {})
    if not path.startswith("/api/v1/"):
        return asked
    known = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
    return {name: value for name, value in asked.items() if name in known}  # it refuses all others


def _request(victim: Victim, method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """A request for exactly what `victim` has; an operation that this does not know yet fails the test."""
    request: dict[str, Any] = {"method": method.upper(), "url": _address(victim, path)}
    if method == "get":
        return request | {"params": _parameters(victim, path, operation)}
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
            body = _EVER
        case "post", "/api/v1/usage/query":
            body = {"queries": [_EVER | {"billableMetricId": victim.metric}]}
        case "post", (
            "/api/v1/billable-metrics/{id}/versions/{version}/cancel" | "/api/v1/customers/{id}/portal"
        ):
            body = {}
        case "post", "/v0/products":
            body = {"name": "theirs", "description": "theirs", "merchantId": "org_dev"}
        case "post", "/v0/billableMetrics":
            body = {
                "name": "theirs", "description": "theirs", "unit": "u", "aggregation": "COUNT",
                "merchantId": "org_dev", "productId": victim.product, "eventType": victim.mark,
            }  # fmt: skip
        case "post", "/v0/webhooks":
            return request | {"params": {"merchantId": "org_dev"}}
        case "post", path if path in _KINDS:
            body = _sold(_KINDS[path], victim.mark, vars(victim))
            body |= {"merchantId": "org_stranger"}  # the rest is the victim's
        case "post", path if path in _HELD:
            body = _HELD[path] | {"customerId": victim.customer, "featureId": victim.feature}
        case "post", "/v0/subscriptions":
            body = _subscription(victim.mark, vars(victim))
        case _ if (method, path) in _SUBSCRIBED:
            body = _SUBSCRIBED[method, path]
        case "patch", "/v0/externalReferences/{id}":
            body = {"externalLabel": "stolen"}
        case "post", "/v0/plans/{id}/versions":
            body = {"prices": [victim.price]}
        case "patch", "/v0/plans/{id}/versions/{versionNumber}":
            body = {"default": True}
        case "patch", "/v0/prices/{id}":
            body = {"invoiceDisplayName": "stolen"}
        case "post", "/v0/customers":
            body = _customer(victim.mark)
        case "patch", "/v0/customers/{id}":
            body = {"externalId": "stolen"}
        case "delete", _:
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
    for method, path, operation in _operations(server):
        request = _request(victim, method, path, operation)
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
        for method, path, operation in _operations(server):
            response = nobody.request(**_request(victim, method, path, operation))
            assert response.status_code == 401, (method, path, response.text)
            assert {"error", "message"} <= set(response.json())
