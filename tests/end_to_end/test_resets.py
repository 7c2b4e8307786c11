"""A sandbox is reset while a server runs: what it had is gone, and what it used is hidden."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Final

import pytest

from tests.api import Api, Json, cloud_event
from tests.running import Server, run_cli

EVERYTHING: Final = {"scope": "merchant", "keepCatalog": False}
USAGE: Final = {"scope": "merchant", "keepCatalog": True}


class Sandbox(Api):
    """The calls of a merchant of its own, which is marked as a sandbox."""

    def __init__(self, url: str, key: str, merchant: str, product: str) -> None:
        super().__init__(url, key)
        self.url, self.key = url, key
        self.merchant = merchant
        self.product = product

    @classmethod
    @contextmanager
    def on(cls, server: Server, *, marked: bool = True) -> Iterator[Sandbox]:
        mark = secrets.token_hex(4)
        merchant, product, key = f"org_sand{mark}", f"prod_sand{mark}", f"mh_sand{mark}"
        named = ("--merchant", merchant, "--product", product, "--key", key)
        marking = ("--sandbox",) if marked else ()
        made = run_cli("provision", *named, *marking, "--data", str(server.data))
        assert made.returncode == 0, made.stdout + made.stderr
        with cls(server.url, key, merchant, product) as sandbox:
            yield sandbox

    def reset(self, **scope: object) -> None:
        response = self.client.post(f"/v0/merchants/{self.merchant}/reset", json=scope)
        assert (response.status_code, response.content) == (204, b""), response.text

    def metric(self, event_type: str, aggregation: str = "SUM", **fields: object) -> str:
        own = {"merchantId": self.merchant, "productId": self.product, "valueProperty": "$.v"}
        return str(self.create_metric(event_type, aggregation, **(own | fields))["id"])

    def post(self, path: str, **body: object) -> Json:
        response = self.client.post(path, json=body)
        assert response.status_code == 201, response.text
        made: Json = response.json()
        return made

    def customer(self, external_id: str) -> str:
        consumer = {"name": external_id, "email": f"{external_id}@example.com", "address": {}}
        wanted = {"merchantId": self.merchant, "consumer": consumer, "externalId": external_id}
        return str(self.post("/v0/customers", **wanted)["customerId"])

    def feature(self, metric: str) -> str:
        named = {"metadata": {"billableMetricId": metric}, "type": "metered"}
        own = {
            "key": f"f-{metric[3:].lower()}",
            "name": "f",
            "merchantId": self.merchant,
            "productId": self.product,
        }
        return str(self.post("/v0/features", **own, **named)["id"])

    def entitle(self, customer: str, feature: str, amount: int = 100) -> str:
        template = {"type": "metered", "issueAfterReset": amount}
        wanted = {"customerId": customer, "featureId": feature, "activeFrom": "2026-05-01T00:00:00Z"}
        issued = self.post("/v1/entitlements", **wanted, template=template)
        return str(issued["id"])

    def balance(self, entitlement: str) -> Decimal:
        return Decimal(self.get(f"/v1/entitlements/{entitlement}")["balance"])


@pytest.fixture(scope="module")
def marked(server: Server) -> Iterator[Sandbox]:
    with Sandbox.on(server) as calls:
        yield calls


@pytest.fixture
def sandbox(marked: Sandbox) -> Sandbox:
    """As good as new, but for the events of tests before, which are hidden."""
    marked.reset(**EVERYTHING)
    marked.product = marked.post("/v0/products", name="p", description="", merchantId=marked.merchant)["id"]
    return marked


def used(id: str, value: int, subject: str = "cus_a", **attributes: object) -> Json:
    return cloud_event("used", id, {"v": value}, subject=subject, **attributes)


def known_as(external_id: str, id: str, value: int) -> Json:
    event = used(id, value, externalsubject=external_id)
    del event["subject"]
    return event


def test_usage_begins_anew_and_the_same_ids_count_again(sandbox: Sandbox) -> None:
    metric, unique = sandbox.metric("used"), sandbox.metric("used", "UNIQUE_COUNT")
    sandbox.ingest(used("e1", 1), used("e2", 2), used("e2", 2))
    assert sandbox.total(metric) == 3
    sandbox.reset(**USAGE)
    assert sandbox.total(metric) == 0
    assert sandbox.total(unique, groupBy="subject") == 0
    for _ in range(2):
        sandbox.ingest(used("e1", 10), used("e3", 5))
    assert sandbox.total(metric) == 15
    assert sandbox.total(metric, start="2026-05-01T11:59:59.5Z", end="2026-05-01T12:00:00.1Z") == 15
    assert sandbox.total(metric, subject="cus_a") == 15
    changed = sandbox.client.patch(f"/v0/billableMetrics/{metric}", json={"groupBy": {"v": "$.v"}})
    assert changed.status_code == 200, changed.text
    assert sandbox.total(metric) == 15, "a definition that is changed later counts what came since"
    later = sandbox.metric("used", "COUNT")
    assert sandbox.total(later) == 2, "and so does one that is made later"
    sandbox.reset(**USAGE)
    sandbox.ingest(used("e1", 100))
    assert sandbox.total(metric) == 100


def shown(id: str, value: int) -> Json:
    return used(id, value) | {"type": "shown"}


def test_a_hidden_event_says_so(sandbox: Sandbox) -> None:
    metric = sandbox.metric("shown")
    sandbox.ingest(shown("kept", 1), shown("again", 2))
    assert sandbox.record("kept")["hiddenBefore"] is None
    sandbox.reset(**USAGE)
    hidden = sandbox.record("kept")
    assert (hidden["disposition"], hidden["metrics"], hidden["usage"]) == ("hidden", [], [])
    assert hidden["receivedAt"] < hidden["hiddenBefore"]
    assert hidden["event"]["data"] == {"v": 1}
    tried = sandbox.client.post(
        "/api/v1/events/dry-run",
        json=shown("again", 3),
        headers={"content-type": "application/cloudevents+json"},
    )
    assert tried.json()["data"][0]["identity"]["state"] == "first"
    sandbox.ingest(shown("again", 3), shown("again", 3))
    source = hidden["event"]["source"]
    for named in ({}, {"source": source}):
        newest = sandbox.record("again", **named)
        assert (newest["disposition"], newest["event"]["data"]) == ("counted", {"v": 3})
        assert newest["repeats"] == {"count": 1, "conflicts": []}
    assert sandbox.record("kept", source=source)["disposition"] == "hidden"
    listed = sandbox.get("/api/v1/events", type="shown")["data"]
    assert sorted((one["event"]["id"], one["disposition"]) for one in listed) == [
        ("again", "counted"), ("again", "hidden"), ("kept", "hidden"),
    ]  # fmt: skip
    by_disposition = {
        disposition: len(sandbox.get("/api/v1/events", type="shown", disposition=disposition)["data"])
        for disposition in ("counted", "hidden", "unmatched", "unusable")
    }
    assert by_disposition == {"counted": 1, "hidden": 2, "unmatched": 0, "unusable": 0}
    counts = sandbox.get("/api/v1/events/stats", type="shown")["data"]
    assert {one["disposition"]: one["count"] for one in counts} == {"counted": 1, "duplicate": 1, "hidden": 2}
    [event] = sandbox.get(
        f"/v0/billableMetrics/{metric}/events",
        **{"from": "1970-01-01T00:00:00Z", "to": "2199-12-31T00:00:00Z"},
    )["events"]
    assert event["data"] == {"v": 3}


def test_customers_go_and_the_catalog_stays_if_it_is_to_be_kept(sandbox: Sandbox) -> None:
    metric = sandbox.metric("used")
    feature = sandbox.feature(metric)
    customer = sandbox.customer("acme")
    entitlement = sandbox.entitle(customer, feature)
    clock = sandbox.post("/v0/testClocks", name="c")["id"]
    sandbox.ingest(used("e1", 30, subject=customer), known_as("acme", "e2", 5))
    assert sandbox.balance(entitlement) == 65
    page = sandbox.client.post(f"/api/v1/customers/{customer}/portal", json={}).json()["url"]
    assert sandbox.client.get(page).status_code == 200
    sandbox.reset(**USAGE)
    gone = (f"/v0/customers/{customer}", f"/v1/entitlements/{entitlement}", f"/v0/testClocks/{clock}")
    assert [sandbox.client.get(path).status_code for path in (*gone, page)] == [404, 404, 404, 410]
    again = sandbox.customer("acme")
    assert again != customer
    fresh = sandbox.entitle(again, feature)
    assert sandbox.balance(fresh) == 100, "what was sent under the external id is hidden too"
    sandbox.ingest(used("e1", 7, subject=again), known_as("acme", "e2", 1))
    assert sandbox.balance(fresh) == 92
    sandbox.reset(**EVERYTHING)
    gone = (f"/v0/products/{sandbox.product}", f"/v0/features/{feature}", f"/v0/billableMetrics/{metric}")
    assert [sandbox.client.get(path).status_code for path in gone] == [404, 404, 404]
    for path in ("/v0/products", "/v0/billableMetrics", "/v0/customers"):
        assert sandbox.client.get(path, params={"merchantId": sandbox.merchant}).json()["data"] == [], path
    sandbox.product = sandbox.post("/v0/products", name="p", description="", merchantId=sandbox.merchant)[
        "id"
    ]
    remade = sandbox.metric("used")
    sandbox.ingest(used("e1", 2))
    assert sandbox.total(remade) == 2


def test_one_customer_is_reset_and_no_other(sandbox: Sandbox) -> None:
    metric = sandbox.metric("used")
    feature = sandbox.feature(metric)
    one, other = sandbox.customer("one"), sandbox.customer("other")
    sandbox.ingest(
        used("a", 1, subject=one),
        known_as("one", "b", 2),
        used("c", 4, subject=other),
    )
    assert sandbox.total(metric) == 7
    sandbox.reset(scope="customer", customerId=one)
    assert sandbox.total(metric) == 4
    assert sandbox.client.get(f"/v0/customers/{one}").status_code == 404
    assert sandbox.client.get(f"/v0/customers/{other}").status_code == 200
    assert [sandbox.record(id)["disposition"] for id in "abc"] == ["hidden", "hidden", "counted"]
    again = sandbox.customer("one")
    entitlement = sandbox.entitle(again, feature)
    assert sandbox.balance(entitlement) == 100
    sandbox.ingest(known_as("one", "b", 8), used("c", 4, subject=other))
    assert [sandbox.total(metric), sandbox.balance(entitlement)] == [12, 92]
    sandbox.reset(scope="customer", customerId=one)
    assert [sandbox.total(metric), sandbox.balance(entitlement)] == [12, 92], "again is safe"


def test_what_is_sent_meanwhile_is_on_one_side_everywhere(sandbox: Sandbox) -> None:
    """Two senders repeat a few ids without a pause; every event that is kept says where it ended up."""
    count, total = sandbox.metric("meanwhile", "COUNT"), sandbox.metric("meanwhile")
    over = Event()

    def send() -> dict[str, int]:
        with Api(sandbox.url, sandbox.key) as sender:
            for number in itertools.count():
                is_last = over.is_set()
                batch = (used(f"m{number % 7}", 3), used(f"n{number}", 1))
                sender.ingest(*[event | {"type": "meanwhile"} for event in batch])
                if is_last:
                    break
            return sender.positions

    with ThreadPoolExecutor(2) as threads:
        sending = [threads.submit(send) for _ in range(2)]
        for _ in range(5):
            sandbox.reset(**USAGE)
        over.set()
    for one in sending:
        for partition, offset in one.result().items():
            sandbox.positions[partition] = max(offset, sandbox.positions.get(partition, 0))
    records = every_record(sandbox, "meanwhile")
    last = max(one["hiddenBefore"] for one in records if one["hiddenBefore"])
    shown = {one["position"]: one["event"] for one in records if one["receivedAt"] >= last}
    became = {one["position"]: one["disposition"] for one in records}
    assert became == {place: "counted" if place in shown else "hidden" for place in became}
    assert 0 < len(shown) == len({event["id"] for event in shown.values()}) < len(records)
    assert sandbox.total(count) == len(shown)
    assert sandbox.total(total) == sum(event["data"]["v"] for event in shown.values())


def every_record(api: Api, event_type: str) -> list[Json]:
    records: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get("/api/v1/events", type=event_type, limit="200", **cursor)
        records += page["data"]
        if page["nextCursor"] is None:
            return records
        cursor = {"cursor": page["nextCursor"]}


def test_only_a_sandbox_can_be_reset(server: Server, sandbox: Sandbox) -> None:
    with Sandbox.on(server, marked=False) as grave:
        metric = grave.metric("used")
        grave.ingest(used("e1", 1))
        refused = grave.client.post(f"/v0/merchants/{grave.merchant}/reset", json=EVERYTHING)
        assert (refused.status_code, refused.json()["error"]) == (403, "forbidden")
        assert "--sandbox" in refused.json()["message"]
        strange = sandbox.client.post(f"/v0/merchants/{grave.merchant}/reset", json=EVERYTHING)
        assert strange.status_code == 404
        assert grave.total(metric) == 1
        marking = ("provision", "--merchant", grave.merchant, "--data", str(server.data))
        assert run_cli(*marking, "--sandbox").returncode == 0
        grave.reset(**USAGE)
        assert run_cli(*marking).returncode == 0, "unless it is said, it stays"
        grave.reset(**USAGE)
        assert run_cli(*marking, "--no-sandbox").returncode == 0
        assert grave.client.post(f"/v0/merchants/{grave.merchant}/reset", json=USAGE).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {}, {"scope": "merchant"}, {"scope": "merchant", "keepCatalog": "yes"}, {"scope": "customer"},
        {"scope": "customer", "customerId": "acme"}, {"scope": "world", "keepCatalog": True},
    ],
)  # fmt: skip
def test_every_call_says_what_goes(sandbox: Sandbox, body: Json) -> None:
    refused = sandbox.client.post(f"/v0/merchants/{sandbox.merchant}/reset", json=body)
    assert (refused.status_code, refused.json()["error"]) == (400, "validation_error"), refused.text


def test_a_customer_that_never_was_is_not_found(sandbox: Sandbox) -> None:
    wanted = {"scope": "customer", "customerId": "cus_nobody"}
    refused = sandbox.client.post(f"/v0/merchants/{sandbox.merchant}/reset", json=wanted)
    assert refused.status_code == 404


def test_a_restart_a_check_and_a_rebuild_agree_with_resets(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        with Sandbox.on(server) as sandbox:
            metric = sandbox.metric("used")
            customer = sandbox.customer("one")
            for round in range(3):
                sandbox.ingest(*[used(f"e{n}", 1) for n in range(5)], used("c", 10, subject=customer))
                sandbox.reset(**(USAGE if round else {"scope": "customer", "customerId": customer}))
            sandbox.ingest(*[used(f"e{n}", 1) for n in range(3)])
            assert sandbox.total(metric) == 3
            server.stop()
        for command in ("check", "rebuild", "check"):
            options = ("--yes",) if command == "rebuild" else ()
            done = run_cli(command, *options, "--data", str(server.data), seconds=120)
            assert done.returncode == 0, (command, done.stdout + done.stderr)
    with Server(tmp_path / "data") as server, Api(server.url, sandbox.key) as api:
        assert api.total(metric) == 3
        assert api.record("e4")["disposition"] == "hidden"
