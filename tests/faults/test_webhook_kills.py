"""The process is killed in the middle of telling; every notice is told all the same, and none is made up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.api import Api, Json, cloud_event
from tests.receiver import ALLOWED, Receiver, receiving
from tests.running import Server, free_port, run_cli, wait_for

pytestmark = pytest.mark.faults

_ENVIRONMENT: Final = ALLOWED | {"METERHOUSE_WEBHOOKS_TIMEOUT": "2"}
_USED: Final = 12
_GRANTED: Final = 10


@pytest.mark.parametrize("point", ["changed", "found", "told", "claimed", "carried", "settled"])
def test_a_kill_while_telling_loses_and_makes_up_nothing(tmp_path: Path, point: str) -> None:
    data, port = tmp_path / "data", free_port()
    with receiving() as receiver:
        with Server(data, port=port, env=_ENVIRONMENT) as server, Api.of(server) as api:
            entitlement = _prepare(api, receiver)
            wait_for(lambda: _pending(api) == 0, "what was told at first is delivered")
            server.stop()
        faulty = _ENVIRONMENT | {"METERHOUSE_FAULT": f"{point}:1"}
        with Server(data, port=port, env=faulty) as server, Api.of(server) as api:
            _use(api, entitlement)
            wait_for(lambda: server.process.poll() is not None, f"it dies at {point}")
        with Server(data, port=port, env=_ENVIRONMENT) as server, Api.of(server) as api:
            _use(api, entitlement)
            receiver.wait("entitlement.balance_exhausted")
            wait_for(lambda: _pending(api) == 0, "everything is delivered")
            server.stop()
    assert receiver.forged == []
    assert Counter(map(_short, receiver.notices.values())) == {
        "grant.created": 1,
        "entitlement.balance_threshold 50%": 1,
        "entitlement.balance_threshold 1": 1,
        "entitlement.balance_exhausted": 1,
    }
    twice = [id for id, times in receiver.times.items() if times > 1]
    assert len(twice) <= 8, "at most those that were on their way"
    assert run_cli("check", "--data", str(data), seconds=120).returncode == 0


def _short(notice: Json) -> str:
    return " ".join(filter(None, (notice["type"], notice["data"].get("threshold"))))


def _pending(api: Api) -> int:
    found = api.client.get("/api/v1/webhooks/deliveries", params={"state": "pending"}).json()
    return int(found["pagination"]["total"])


def _prepare(api: Api, receiver: Receiver) -> Json:
    """A merchant that is told, and an entitlement of its."""
    api.client.post("/v0/webhooks")
    made = api.client.post("/api/v1/webhooks/endpoints", json={"url": f"{receiver.url}/"}).json()
    receiver.secrets["/"] = made["secret"]
    metric = api.create_metric("kill", "COUNT")["id"]
    own = {"merchantId": "org_dev"}
    metadata = {"billableMetricId": metric, "balanceThresholds": "50%,1"}
    feature = own | {"key": "kill", "name": "n", "productId": "prod_dev", "type": "metered"}
    consumer = {"consumer": {"name": "n", "email": "kill@example.com", "address": {}}}
    wanted = {
        "customerId": api.client.post("/v0/customers", json=own | consumer).json()["customerId"],
        "featureId": api.client.post("/v0/features", json=feature | {"metadata": metadata}).json()["id"],
        "template": {"type": "metered", "issueAfterReset": _GRANTED},
    }
    issued: Json = api.client.post("/v1/entitlements", json=wanted).json()
    return issued


def _use(api: Api, entitlement: Json) -> None:
    """Use it up, by events that are the same whenever they are sent; it may die meanwhile."""
    for number in range(_USED):
        event = cloud_event("kill", f"kill-{number}", subject=entitlement["customerId"])
        try:
            api.ingest({name: value for name, value in event.items() if name != "time"})
        except httpx.TransportError:
            return
