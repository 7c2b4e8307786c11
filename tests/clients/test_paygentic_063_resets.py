"""The published paygentic-sdk 0.6.3, unmodified: a sandbox begins anew."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from paygentic_sdk import errors

from tests.api import Api, cloud_event
from tests.clients.conftest import Caller
from tests.clients.examples import EXAMPLES
from tests.clients.own import Own
from tests.running import Server, run_cli
from tests.servers.distributed import Distributed

pytestmark = pytest.mark.anyio

_EVER: Final[dict[str, Any]] = {
    "from_": datetime(2026, 1, 1, tzinfo=UTC),
    "to": datetime(2027, 1, 1, tzinfo=UTC),
}


class Sandbox:
    """A merchant of a running server, with a key and a product, that is marked as a sandbox."""

    def __init__(self, running: Server | Distributed) -> None:
        mark = secrets.token_hex(4)
        self.url, self.key = running.url, f"mh_sdk{mark}"
        self.merchant, self.product = f"org_sdk{mark}", f"prod_sdk{mark}"
        self._running = running
        self.provision("--product", self.product, "--key", self.key, "--sandbox")

    def provision(self, *options: str) -> None:
        if isinstance(self._running, Server):
            where, env = ["--data", str(self._running.data)], {}
        else:
            where, env = [], dict(self._running.environment)
        done = run_cli("provision", "--merchant", self.merchant, *options, *where, env=env)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server(server: Server | Distributed) -> Sandbox:
    """Where the other tests see the merchant that they share, these see one of their own."""
    return Sandbox(server)


@pytest.fixture
def api(server: Sandbox) -> Iterator[Api]:
    with Api(server.url, server.key) as api:
        yield api


@pytest.fixture
def own(api: Api, server: Sandbox) -> Own:
    return Own(api, server.merchant)


async def total(call: Caller, metric: str, api: Api) -> float:
    """Usage of the metric, once all that was sent is counted."""
    headers = {"Meterhouse-After": api.position}
    return float((await call("billable_metrics.meter", id=metric, **_EVER, http_headers=headers)).total_value)


def metric_of(api: Api, server: Sandbox, event_type: str) -> str:
    own = {"merchantId": server.merchant, "productId": server.product, "valueProperty": "$.v"}
    return str(api.create_metric(event_type, "SUM", **own)["id"])


async def test_usage_and_customers_begin_anew(call: Caller, api: Api, own: Own, server: Sandbox) -> None:
    type, customer = own.mark(), own.customer()
    metric = metric_of(api, server, type)
    events = [cloud_event(type, f"e{number}", {"v": 1}, subject=customer) for number in range(30)]
    api.ingest(*events)
    assert await total(call, metric, api) == 30
    await call(
        "merchants.reset",
        merchant_id=server.merchant,
        merchant_reset={"scope": "merchant", "keep_catalog": True},
    )
    assert await total(call, metric, api) == 0
    with pytest.raises(errors.Error) as gone:
        await call("customers.get", id=customer)
    assert gone.value.status_code == 404
    for _ in range(2):
        api.ingest(*events[:20])
    assert await total(call, metric, api) == 20
    await call(
        "merchants.reset",
        merchant_id=server.merchant,
        merchant_reset={"scope": "merchant", "keep_catalog": False},
    )
    assert (await call("billable_metrics.list", merchant_id=server.merchant)).data == []
    server.provision("--product", server.product)  # it is there again


async def test_the_published_example_resets_one_customer(
    call: Caller, api: Api, own: Own, server: Sandbox
) -> None:
    [example] = EXAMPLES["merchants.reset"]
    type, asked = own.mark(), example(own)
    metric = metric_of(api, server, type)
    customer, other = asked["merchant_reset"]["customer_id"], own.customer()
    api.ingest(
        *[cloud_event(type, f"{type}one{number}", {"v": 1}, subject=customer) for number in range(20)],
        *[cloud_event(type, f"{type}other{number}", {"v": 1}, subject=other) for number in range(20)],
    )
    assert await total(call, metric, api) == 40
    for _ in range(2):
        await call("merchants.reset", **asked)
    assert await total(call, metric, api) == 20
    assert (await call("customers.get", id=other)).id == other


async def test_what_is_no_sandbox_or_anothers_is_a_typed_refusal(call: Caller, server: Sandbox) -> None:
    wanted = {"scope": "merchant", "keep_catalog": False}
    with pytest.raises(errors.Error) as strange:
        await call("merchants.reset", merchant_id="org_dev", merchant_reset=wanted)
    assert strange.value.status_code == 404
    server.provision("--no-sandbox")
    try:
        with pytest.raises(errors.Error) as refused:
            await call("merchants.reset", merchant_id=server.merchant, merchant_reset=wanted)
    finally:
        server.provision("--sandbox")
    assert (refused.value.status_code, refused.value.data.error) == (403, "forbidden")
