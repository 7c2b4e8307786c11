"""Notices of a running server, to a receiver that verifies them; docs/webhooks.md among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.api import Api, Json, cloud_event
from tests.end_to_end.test_metrics import samples
from tests.pages import compare, walk
from tests.receiver import ALLOWED, Receiver, receiving
from tests.running import Server, run_cli, wait_for

_PAGE: Final = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose org_dev may have receivers on this machine."""
    environment = ALLOWED | {"METERHOUSE_LOG_LEVEL": "DEBUG"}
    with Server(tmp_path_factory.mktemp("webhooks") / "data", env=environment) as running:
        yield running


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api.of(server) as calls:
        calls.client.post("/v0/webhooks")
        yield calls


def _endpoint(api: Api, receiver: Receiver, path: str) -> str:
    """An endpoint at a path of the receiver."""
    made = api.client.post("/api/v1/webhooks/endpoints", json={"url": receiver.url + path}).json()
    receiver.secrets[path] = made["secret"]
    return str(made["id"])


def _held(api: Api, name: str, **template: object) -> Json:
    """An entitlement to count events of that type."""
    own = {"merchantId": "org_dev"}
    metric = api.create_metric(name, "COUNT")["id"]
    feature = own | {"key": name, "name": name, "productId": "prod_dev", "type": "metered"}
    metadata = {"billableMetricId": metric}
    consumer = {"consumer": {"name": name, "email": f"{name}@example.com", "address": {}}}
    wanted = {
        "customerId": api.client.post("/v0/customers", json=own | consumer).json()["customerId"],
        "featureId": api.client.post("/v0/features", json=feature | {"metadata": metadata}).json()["id"],
        "template": {"type": "metered"} | template,
    }
    response = api.client.post("/v1/entitlements", json=wanted)
    assert response.status_code == 201, response.text
    held: Json = response.json()
    return held


def test_the_page_tells_what_happens(server: Server, receiver: Receiver) -> None:
    names = {"RECEIVER": f"{receiver.url}/page"}
    with Api.of(server) as api:
        for path in walk(_PAGE, api, names):
            receiver.secrets["/page"] = names.get("SECRET", "")
            if path == "/v0/events":
                [notice] = receiver.wait("entitlement.balance_threshold")
                compare(json.loads(_shown_notice()), notice, names)
                wait_for(lambda: _is_delivered(api), "the answer is written down")
        api.client.delete(f"/api/v1/webhooks/endpoints/{names['ENDPOINT']}")
    assert receiver.forged == []


def _shown_notice() -> str:
    start = _PAGE.index('```json\n{"type"') + len("```json\n")
    return _PAGE[start : _PAGE.index("```", start)]


def _is_delivered(api: Api) -> bool:
    pending = api.client.get("/api/v1/webhooks/deliveries", params={"state": "pending"}).json()
    return bool(pending["pagination"]["total"] == 0)


def test_what_becomes_of_grants_and_balances_is_told(server: Server, api: Api, receiver: Receiver) -> None:
    _endpoint(api, receiver, "/told")
    held = _held(api, "told")
    path = f"/v1/entitlements/{held['id']}/grants"
    grant = api.client.post(path, json={"amount": 2, "idempotencyKey": "k"}).json()
    for number in range(2):
        event = cloud_event("told", f"told-{number}", subject=held["customerId"])
        api.ingest({name: value for name, value in event.items() if name != "time"})
    [exhausted] = receiver.wait("entitlement.balance_exhausted")
    shown = exhausted["data"]["entitlement"]
    assert (shown["id"], shown["balance"], shown["usageInPeriod"]) == (held["id"], 0, 2)
    api.client.delete(f"{path}/{grant['id']}")
    [voided] = receiver.wait("grant.voided")
    assert voided["data"]["grant"]["id"] == grant["id"]
    assert grant in [one["data"]["grant"] for one in receiver.wait("grant.created")]
    assert receiver.forged == []
    wait_for(lambda: _is_delivered(api), "the answers are written down")
    shown = samples(server.url)
    for name in (
        "looks_total",
        "notices_total",
        'attempts_total{state="delivered"}',
        "delivery_seconds_count",
    ):
        assert shown[f"meterhouse_notifier_{name}"] > 0


def test_the_dead_are_listed_and_replayed_on_the_command_line(
    server: Server, api: Api, receiver: Receiver
) -> None:
    endpoint = _endpoint(api, receiver, "/gone")
    path = f"/api/v1/webhooks/endpoints/{endpoint}"
    receiver.statuses["/gone"] = 410
    _held(api, "gone", issueAfterReset=1)
    wait_for(lambda: bool(api.client.get(path).json()["gone"]), "410 disables the endpoint")
    [dead] = api.get("/api/v1/webhooks/deliveries", endpointId=endpoint)["data"]
    listed = run_cli("webhooks", "dead", "--data", str(server.data))
    assert dead["id"] in listed.stdout, listed.stderr
    assert "answered 410" in listed.stdout
    assert run_cli("webhooks", "replay", "dlv_none", "--data", str(server.data)).returncode == 1
    receiver.statuses.clear()
    api.client.patch(path, json={"enabled": True})
    replayed = run_cli("webhooks", "replay", dead["id"], "--data", str(server.data))
    assert replayed.stdout.strip() == "1 will be delivered again", replayed.stderr
    where = f"/api/v1/webhooks/deliveries/{dead['id']}"
    wait_for(lambda: bool(api.get(where)["state"] == "delivered"), "what was dead is delivered")
    assert receiver.times["/gone", dead["webhookId"]] == 2


def test_secrets_are_in_no_log(server: Server, receiver: Receiver) -> None:
    """Whatever was said at the finest level by then: the tests before made secrets, and used them."""
    assert receiver.secrets
    assert not any(secret in server.output for secret in receiver.secrets.values() if secret)
    assert "whsec_" not in server.output
