"""The merchant's page of webhooks on a running server, with a receiver that verifies what it is told."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.api import Api, Json
from tests.html_page import Form, HtmlPage
from tests.receiver import ALLOWED, Receiver, receiving
from tests.running import Server, run_cli, wait_for


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose org_dev may have receivers on this machine."""
    environment = ALLOWED | {"METERHOUSE_LOG_LEVEL": "DEBUG"}
    with Server(tmp_path_factory.mktemp("portal") / "data", env=environment) as running:
        with Api.of(running) as api:
            assert api.client.post("/v0/webhooks").status_code == 201
        yield running


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api.of(server) as calls:
        yield calls


def _link(client: httpx.Client) -> str:
    response = client.get("/v0/webhooks/portal")
    assert response.status_code == 200, response.text
    return str(response.json()["url"])


def _look(url: str, **asked: str) -> HtmlPage:
    response = httpx.get(url, params=asked)
    assert response.status_code == 200, response.text
    return HtmlPage(response.text)


def _send(link: str, form: Form, status: int = 200) -> HtmlPage:
    """What whoever sends the form sees then."""
    response = httpx.post(link, data=form, follow_redirects=True)
    assert response.status_code == status, response.text
    return HtmlPage(response.text)


def _added(url: str, receiver: Receiver, path: str) -> str:
    """An endpoint at a path of the receiver, made on the page; its id."""
    entered = {"url": [receiver.url + path], "types": ["grant.created"]}
    made = _send(url, _look(url).forms["add"] | entered, 201)
    [receiver.secrets[path]] = [word for word in made.text.split() if word.startswith("whsec_")]
    [link] = [link for link in made.links if link.startswith("?endpoint=")]
    return link.removeprefix("?endpoint=")


def _granted(api: Api, name: str) -> None:
    """Something to tell: a grant."""
    own = {"merchantId": "org_dev"}
    consumer = {"consumer": {"name": name, "email": f"{name}@example.com", "address": {}}}
    feature = own | {"key": name, "name": name, "productId": "prod_dev", "type": "metered"}
    metadata = {"billableMetricId": api.create_metric(name, "COUNT")["id"]}
    wanted = {
        "customerId": api.client.post("/v0/customers", json=own | consumer).json()["customerId"],
        "featureId": api.client.post("/v0/features", json=feature | {"metadata": metadata}).json()["id"],
        "template": {"type": "metered", "issueAfterReset": 5},
    }
    response = api.client.post("/v1/entitlements", json=wanted)
    assert response.status_code == 201, response.text


def _dead(api: Api, receiver: Receiver, url: str, name: str) -> Json:
    """A delivery that was given up, as its endpoint answered 410."""
    endpoint = _added(url, receiver, f"/{name}")
    receiver.statuses[f"/{name}"] = 410
    _granted(api, name)
    wait_for(lambda: "Answered 410" in _look(url, endpoint=endpoint).text, "410 disables the endpoint")
    receiver.statuses.clear()
    [dead] = api.get("/api/v1/webhooks/deliveries", endpointId=endpoint)["data"]
    return dict(dead)


def test_staff_finds_a_dead_delivery_and_delivers_it_again(
    server: Server, api: Api, receiver: Receiver
) -> None:
    url = _link(api.client)
    dead = _dead(api, receiver, url, "gone")
    assert f"?delivery={dead['id']}" in _look(url, state="dead").links
    page = _look(url, delivery=dead["id"])
    assert "grant.created Dead" in page.text
    assert "Last answer 410 Gone 1 attempt " in page.text
    waiting = _send(url, page.forms["replay"])
    assert "Next attempt once the endpoint is enabled" in waiting.text
    _send(url, _look(url, endpoint=dead["endpointId"]).forms["enable"])
    wait_for(lambda: "grant.created Delivered" in _look(url, delivery=dead["id"]).text, "it is delivered")
    assert "Last answer 204 No Content 1 attempt " in _look(url, delivery=dead["id"]).text
    assert receiver.times["/gone", dead["webhookId"]] == 2
    assert receiver.forged == []
    assert url.rpartition("/")[2] not in server.output
    assert receiver.secrets["/gone"] not in server.output


def test_another_merchants_link_opens_nothing_of_it(server: Server, api: Api, receiver: Receiver) -> None:
    own = _link(api.client)
    dead = _dead(api, receiver, own, "theirs")
    made = run_cli("keys", "create", "--merchant", "org_other", "--data", str(server.data))
    with Api(server.url, made.stdout.splitlines()[-1]) as other:
        wait_for(lambda: other.client.get("/v0/products").status_code == 200, "the key works")
        other.client.post("/v0/webhooks")
        theirs = _link(other.client)
    assert receiver.url not in httpx.get(theirs).text
    for asked in ({"delivery": dead["id"]}, {"endpoint": dead["endpointId"]}):
        assert httpx.get(theirs, params=asked).status_code == 410
        for form in _look(own, **asked).forms.values():
            assert httpx.post(theirs, data=form).status_code == 410, form
    assert api.get(f"/api/v1/webhooks/deliveries/{dead['id']}")["state"] == "dead"
    assert api.get(f"/api/v1/webhooks/endpoints/{dead['endpointId']}")["enabled"] is False
