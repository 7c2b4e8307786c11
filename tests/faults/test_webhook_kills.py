"""The process is killed in the middle of telling; every notice is told all the same, and none is made up."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.api import Api, Json, cloud_event
from tests.receiver import ALLOWED, Receiver, receiving
from tests.running import Server, free_port, run_cli, wait_for
from tests.servers.distributed import Distributed

pytestmark = pytest.mark.faults

_ENVIRONMENT: Final = ALLOWED | {"METERHOUSE_WEBHOOKS_TIMEOUT": "2"}
_USED: Final = 12
_GRANTED: Final = 10
_TOLD: Final = {
    "grant.created": 1,
    "entitlement.balance_threshold 50%": 1,
    "entitlement.balance_threshold 1": 1,
    "entitlement.balance_exhausted": 1,
}


@pytest.mark.parametrize("point", ["changed", "found", "told", "claimed", "carried", "settled"])
def test_a_kill_while_telling_loses_and_makes_up_nothing(tmp_path: Path, point: str) -> None:
    data, port = tmp_path / "data", free_port()
    with receiving() as receiver:
        with Server(data, port=port, env=_ENVIRONMENT) as server, Api.of(server) as api:
            endpoint = _endpoint(api, receiver)
            entitlement = _entitled(api, "kill")
            wait_for(lambda: _pending(api, endpoint) == 0, "what was told at first is delivered")
            server.stop()
        faulty = _ENVIRONMENT | {"METERHOUSE_FAULT": f"{point}:1"}
        with Server(data, port=port, env=faulty) as server, Api.of(server) as api:
            _use(api, entitlement, "kill")
            wait_for(lambda: server.process.poll() is not None, f"it dies at {point}")
        with Server(data, port=port, env=_ENVIRONMENT) as server, Api.of(server) as api:
            _use(api, entitlement, "kill")
            receiver.wait("entitlement.balance_exhausted")
            wait_for(lambda: _pending(api, endpoint) == 0, "everything is delivered")
            server.stop()
    assert receiver.forged == []
    assert Counter(map(_short, receiver.notices.values())) == _TOLD
    twice = [id for id, times in receiver.times.items() if times > 1]
    assert len(twice) <= 8, "at most those that were on their way"
    assert run_cli("check", "--data", str(data), seconds=120).returncode == 0


def test_another_aggregator_tells_on_and_two_together_tell_once(distributed: Distributed) -> None:
    """The first dies before it wrote down what it carried; later there are two that could tell the same."""
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving())
        for name in ("query-1", "aggregator-1", "aggregator-2"):
            distributed.kill(name)
        distributed.start("query-1", ready=True, **_ENVIRONMENT)
        distributed.start("aggregator-1", ready=True, **_ENVIRONMENT, METERHOUSE_FAULT="carried:2")
        api = stack.enter_context(distributed.api())
        endpoint = _endpoint(api, receiver)
        stack.callback(api.client.delete, f"/api/v1/webhooks/endpoints/{endpoint}")
        first = _entitled(api, "told-first")
        wait_for(lambda: _pending(api, endpoint) == 0, "the first carries its grant")
        _use(api, first, "told-first")
        distributed.wait_until_killed("aggregator-1")
        distributed.start("aggregator-2", ready=True, **_ENVIRONMENT)
        receiver.wait("entitlement.balance_exhausted")
        wait_for(lambda: _pending(api, endpoint) == 0, "the other has told it all")
        assert Counter(map(_short, receiver.notices.values())) == _TOLD
        assert sum(receiver.times.values()) <= len(_TOLD) + 3, "at most those that were on their way"
        before = set(receiver.notices)
        distributed.start("aggregator-1", ready=True, **_ENVIRONMENT)
        second = _entitled(api, "told-second")
        _use(api, second, "told-second")
        receiver.wait("entitlement.balance_exhausted", 2)
        wait_for(lambda: _pending(api, endpoint) == 0, "both have told it all")
    fresh = {id: one for id, one in receiver.notices.items() if id not in before}
    assert Counter(map(_short, fresh.values())) == _TOLD
    assert {receiver.times["/", id] for id in fresh} == {1}
    assert receiver.forged == []


def _short(notice: Json) -> str:
    return " ".join(filter(None, (notice["type"], notice["data"].get("threshold"))))


def _pending(api: Api, endpoint: str) -> int:
    asked = {"state": "pending", "endpointId": endpoint}
    found = api.client.get("/api/v1/webhooks/deliveries", params=asked).json()
    return int(found["pagination"]["total"])


def _endpoint(api: Api, receiver: Receiver) -> str:
    """Where a merchant that is told is told."""
    api.client.post("/v0/webhooks")
    api.client.patch("/v0/webhooks", json={"enabled": True})
    made = api.client.post("/api/v1/webhooks/endpoints", json={"url": f"{receiver.url}/"})
    assert made.status_code == 201, made.text
    receiver.secrets["/"] = made.json()["secret"]
    return str(made.json()["id"])


def _entitled(api: Api, name: str) -> Json:
    """An entitlement that events of that type use up."""
    metric = api.create_metric(name, "COUNT")["id"]
    own = {"merchantId": "org_dev"}
    metadata = {"billableMetricId": metric, "balanceThresholds": "50%,1"}
    feature = own | {"key": name, "name": "n", "productId": "prod_dev", "type": "metered"}
    consumer = {"consumer": {"name": "n", "email": f"{name}@example.com", "address": {}}}
    wanted = {
        "customerId": api.client.post("/v0/customers", json=own | consumer).json()["customerId"],
        "featureId": api.client.post("/v0/features", json=feature | {"metadata": metadata}).json()["id"],
        "template": {"type": "metered", "issueAfterReset": _GRANTED},
    }
    response = api.client.post("/v1/entitlements", json=wanted)
    assert response.status_code == 201, response.text
    issued: Json = response.json()
    return issued


def _use(api: Api, entitlement: Json, name: str) -> None:
    """Use it up, by events that are the same whenever they are sent; it may die meanwhile."""
    for number in range(_USED):
        event = cloud_event(name, f"{name}-{number}", subject=entitlement["customerId"])
        try:
            api.ingest({name: value for name, value in event.items() if name != "time"})
        except httpx.TransportError:
            return
