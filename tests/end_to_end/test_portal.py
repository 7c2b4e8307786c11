"""A customer's page on a running server, over events that were really counted."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.api import Api, cloud_event
from tests.html_page import HtmlPage
from tests.running import Server


def _entitled(api: Api, name: str, event_type: str) -> str:
    """The customer whose entitlement of May 2026 is used up by events of the type; its id."""
    consumer = {"name": name, "email": f"{event_type}@example.com", "address": {}}
    customer = api.client.post("/v0/customers", json={"merchantId": "org_dev", "consumer": consumer}).json()
    metric = api.create_metric(event_type, "SUM", valueProperty="$.n", unit="page", name="Pages")["id"]
    feature = {"key": event_type, "name": "Printing", "merchantId": "org_dev", "productId": "prod_dev"}
    by_metric = {"type": "metered", "metadata": {"billableMetricId": metric}}
    made = api.client.post("/v0/features", json=feature | by_metric).json()["id"]
    wanted = {
        "customerId": customer["customerId"],
        "featureId": made,
        "template": {"type": "metered", "issueAfterReset": 1000},
        "activeFrom": "2026-05-01T12:00:00Z",
        "activeTo": "2026-06-01T00:00:00Z",
    }
    issued = api.client.post("/v1/entitlements", json=wanted)
    assert issued.status_code == 201, issued.text
    return str(customer["customerId"])


def _text(url: str) -> str:
    response = httpx.get(url)
    assert response.status_code == 200, response.text
    return HtmlPage(response.text).text


def test_a_page_shows_what_was_counted_and_outlives_the_server(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as first, Api.of(first) as api:
        customer = _entitled(api, "Print <shop>", "printed")
        for day, pages in ((1, 70), (1, 30), (9, 1234.5), (20, -4.5)):
            id = f"{day}/{pages}"
            hour = "11" if pages == 30 else "13"  # before the entitlement begins
            time = f"2026-05-{day:02}T{hour}:00:00Z"
            api.ingest(cloud_event("printed", id, {"n": pages}, subject=customer, time=time))
        api.get("/v1/entitlements", customerId=customer)  # waits until all of it is counted
        link = api.client.post(f"/api/v1/customers/{customer}/portal", json={"expiresIn": "P1D"}).json()
        assert link["url"].startswith(f"{first.url}/portal/")
        shown = _text(link["url"])
        token = link["url"].rpartition("/")[2]
        assert httpx.get(link["url"][:-2]).status_code == 403
        assert token not in first.output
        first.kill()
    assert "Print <shop>" in shown
    assert "0 left of 1,000" in shown
    assert "Used in this period 1,300" in shown
    assert "Overage 300" in shown
    assert "1 May 2026 70 9 May 2026 1,234.5 20 May 2026 \N{MINUS SIGN}4.5" in shown
    with Server(tmp_path / "data") as second:
        path = urlsplit(link["url"]).path
        again = _text(second.url + path)
        assert again.partition("As of")[0] == shown.partition("As of")[0]


def test_links_begin_with_the_address_that_is_set(tmp_path: Path) -> None:
    known = {"METERHOUSE_PUBLIC_URL": "https://billing.example.com"}
    with Server(tmp_path / "data", env=known) as server, Api.of(server) as api:
        customer = _entitled(api, "Print shop", "printed")
        link = api.client.post(f"/api/v1/customers/{customer}/portal").json()
        assert link["url"].startswith("https://billing.example.com/portal/")
