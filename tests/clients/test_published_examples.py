"""What is published as an example of an operation is answered, for every operation that is offered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import httpx
import pytest
from paygentic_sdk import errors

from query.not_offered import offered
from query.routes import ROUTERS
from tests.api import Api
from tests.clients.conftest import Caller, Running
from tests.clients.examples import EXAMPLES, Example
from tests.clients.own import Own

_OFFERED: Final = frozenset(one.accessor for _, one, is_offered in offered(ROUTERS) if is_offered)
# It would let all that the other tests have be counted anew: test_paygentic_063_resets.py runs it elsewhere.
_APART: Final = "merchants.reset"
_RUN: Final = [
    pytest.param(accessor, example, id=f"{accessor}-{number}")
    for accessor, examples in EXAMPLES.items()
    if accessor in _OFFERED and accessor != _APART
    for number, example in enumerate(examples, 1)
]

# A merchant does it once and for all, and whoever comes later is told so.
_ONCE: Final = frozenset({"webhooks.enable"})


@pytest.fixture
def api(server: Running) -> Iterator[Api]:
    with Api(server.url, server.key) as api:
        yield api


@pytest.fixture
def own(api: Api) -> Own:
    return Own(api)


def test_every_operation_that_is_offered_has_an_example() -> None:
    assert {accessor for accessor, examples in EXAMPLES.items() if examples} >= _OFFERED


@pytest.mark.anyio
@pytest.mark.parametrize(("accessor", "example"), _RUN)
async def test_the_example_of_an_operation_is_answered(
    call: Caller, own: Own, accessor: str, example: Example
) -> None:
    try:
        await call(accessor, **example(own))  # it raises for any answer but the one that it expects
    except errors.BadRequest as refused:
        if accessor not in _ONCE or '"DUPLICATE_RESOURCE"' not in refused.body:
            raise


class Request(NamedTuple):
    """What the usage guide sends without a client; `accessor` names the operation that it is."""

    accessor: str
    method: str
    path: str
    body: dict[str, Any] | None
    status: int


def _guide(own: Own) -> list[Request]:
    """The guide's requests, among them those whose paths and names are only there (contract, 10.7)."""
    merchant, customer, metric = own.merchant, own.customer(), own.metric()
    event = {"type": "api-call", "source": "my-api-service", "subject": customer, "data": {"tokens": 1500}}
    address = {"line1": "123 Main St", "city": "San Francisco", "state": "CA", "postalCode": "94105"}
    consumer = {"name": "Acme", "email": f"{own.mark()}@example.com", "address": address | {"country": "US"}}
    acme = {"merchantId": merchant, "consumer": consumer, "externalId": own.mark()}
    period = "from=2026-04-01T00:00:00Z&to=2026-04-30T00:00:00Z"
    return [
        Request("events.ingest", "POST", "/v0/events", event, 202),
        Request("customers.create", "POST", "/v0/customers", acme, 201),
        Request("customers.list", "GET", f"/v0/customers?merchantId={merchant}", None, 200),
        Request("customers.get", "GET", f"/v0/customers/{customer}", None, 200),
        Request("entitlements.list", "GET", f"/v1/entitlements?customerId={customer}", None, 200),
        Request(
            "entitlements.list",
            "GET",
            f"/v1/entitlements?customerId={customer}&featureKey=api-calls",
            None,
            200,
        ),
        Request("billable_metrics.list", "GET", f"/v0/billableMetrics?merchantId={merchant}", None, 200),
        Request("billable_metrics.meter", "GET", f"/v0/billableMetrics/{metric}/meter?{period}", None, 200),
        Request("plans.list", "GET", f"/v0/plans?merchantId={merchant}", None, 200),
    ]


def _guide_to_subscriptions(own: Own) -> list[Request]:
    path = f"/v0/subscriptions/{own.subscription()}"
    wanted = {"planId": own.plan(), "customerId": own.customer(), "startedAt": "2026-04-17T00:00:00Z"}
    named = {"name": "Acme Pro Subscription", "autoCharge": True}
    reason = {"reason": "Customer requested cancellation"}
    return [
        Request("subscriptions.list", "GET", f"/v0/subscriptions?merchantId={own.merchant}", None, 200),
        Request("subscriptions.create", "POST", "/v0/subscriptions", wanted | named, 201),
        Request("subscriptions.get", "GET", path, None, 200),
        Request("subscriptions.generate_portal_link", "POST", f"{path}/portal-link", None, 200),
        Request("subscriptions.terminate", "POST", f"{path}/terminate", reason, 200),
    ]


def _send(api: Api, one: Request) -> httpx.Response:
    return api.client.request(one.method, one.path, json=one.body)


def test_the_requests_of_the_usage_guide_are_answered(api: Api, own: Own) -> None:
    asked = _guide(own) + (_guide_to_subscriptions(own) if "subscriptions.create" in _OFFERED else [])
    for one in asked:
        if one.accessor in _OFFERED:
            response = _send(api, one)
            assert response.status_code == one.status, (one, response.text)


def test_a_zip_code_by_the_name_that_the_guide_has_is_kept(api: Api, own: Own) -> None:
    [created] = [one for one in _guide(own) if one.accessor == "customers.create"]
    customer = api.get(f"/v0/customers/{_send(api, created).json()['customerId']}")
    assert customer["organization"]["address"]["zipCode"] == "94105"
