"""The page that a merchant's staff has of its webhooks: who may, what it shows, and what it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from meterhouse.domain.errors import CatalogUnavailable
from meterhouse.domain.instant import HOUR, MINUTE, parse
from meterhouse.domain.signed_link import SignedLink
from meterhouse.domain.webhook import Answered, Unanswered
from tests.fakes_query import KEY, MERCHANT, OTHER_KEY, OTHER_MERCHANT, FakeClock
from tests.html_page import Form, HtmlPage
from tests.notified import Receiver, courier_of, deliver_all, held, listen
from tests.shop import Json, Shop

pytestmark = pytest.mark.anyio

_PORTAL: Final = "/v0/webhooks/portal"
_ENDPOINTS: Final = "/api/v1/webhooks/endpoints"
_DELIVERIES: Final = "/api/v1/webhooks/deliveries"
_HOSTILE: Final = "\"'><script>alert(1)</script></style></title><img src=x onerror=alert(1)>{{ 7*7 }}&lt;"


class Staff:
    """Somebody with a link and nothing else, in a browser: forms are sent as the page has them."""

    def __init__(self, shop: Shop, url: str) -> None:
        self.url = url
        self.client = shop.client_of("")

    async def asks(self, **asked: str) -> httpx.Response:
        return await self.client.get(self.url, params=asked)

    async def looks(self, **asked: str) -> HtmlPage:
        response = await self.asks(**asked)
        assert response.status_code == 200, response.text
        return HtmlPage(response.text)

    async def sends(self, form: Form, **fields: str) -> httpx.Response:
        return await self.client.post(self.url, data=form | fields)

    async def does(self, form: Form, **fields: str) -> HtmlPage:
        """What is seen once it is done."""
        done = await self.sends(form, **fields)
        assert done.status_code == 303, done.text
        assert done.headers["cache-control"] == "no-store"
        response = await self.client.get(httpx.URL(self.url).join(done.headers["location"]))
        assert response.status_code == 200, response.text
        return HtmlPage(response.text)


@pytest.fixture
async def shop(sqlite_url: str) -> AsyncIterator[Shop]:
    async with Shop.open(sqlite_url) as shop:
        await shop.catalog.ensure_key(MERCHANT, KEY)
        await shop.catalog.ensure_key(OTHER_MERCHANT, OTHER_KEY)
        yield shop


async def _staff(shop: Shop, **asked: str) -> Staff:
    return Staff(shop, (await shop.get(_PORTAL, **asked))["url"])


async def _delivery(shop: Shop) -> Json:
    """The newest delivery, with its payload."""
    listed = await shop.get(_DELIVERIES, limit="1")
    return await shop.get(f"{_DELIVERIES}/{listed['data'][0]['id']}")


async def _dead(shop: Shop) -> Json:
    """A delivery that was given up."""
    await held(shop)
    courier = courier_of(shop, Receiver(answers=[*[Answered(500)] * 7, Unanswered("no answer in time")]))
    assert isinstance(shop.clock, FakeClock)
    for _ in range(8):
        await deliver_all(courier)
        shop.clock.advance(13 * HOUR)
    dead = await _delivery(shop)
    assert (dead["state"], dead["attempts"]) == ("dead", 8)
    return dead


async def test_a_link_is_good_for_an_hour(shop: Shop) -> None:
    await listen(shop)
    for asked in ({}, {"merchantId": MERCHANT}, {"readOnly": "true"}):
        before = shop.clock.now()
        answer = await shop.get(_PORTAL, **asked)
        assert answer.keys() == {"object", "expiresAt", "url"}
        assert answer["object"] == "webhookPortal"
        assert 0 <= parse(answer["expiresAt"]) - before - HOUR < MINUTE
        assert answer["url"].startswith("http://query.test/portal/webhooks/")


async def test_there_is_no_link_while_webhooks_are_off(shop: Shop) -> None:
    assert (await shop.client.get(_PORTAL)).status_code == 404
    await listen(shop)
    await shop.changed("/v0/webhooks", enabled=False)
    assert (await shop.client.get(_PORTAL)).status_code == 404


async def test_another_merchant_has_no_link(shop: Shop) -> None:
    await listen(shop)
    assert (await shop.stranger.get(_PORTAL)).status_code == 404
    assert (await shop.stranger.get(_PORTAL, params={"merchantId": MERCHANT})).status_code == 403


async def test_links_of_other_pages_do_not_open_it_nor_its_links_theirs(shop: Shop) -> None:
    await listen(shop)
    staff, customer = await _staff(shop), await shop.customer()
    made = await shop.posted(f"/api/v1/customers/{customer}/portal", {})
    theirs = made.json()["url"].rpartition("/")[2]
    own = staff.url.rpartition("/")[2]
    nobody = shop.client_of("")
    for path in (f"/portal/webhooks/{theirs}", f"/portal/{own}"):
        response = await nobody.get(path)
        assert (response.status_code, "not valid" in response.text) == (403, True), path
    assert (await nobody.post(f"/portal/webhooks/{theirs}", data={"do": "add"})).status_code == 403
    assert (await nobody.get(f"/portal/{theirs}")).status_code == 200
    assert (await nobody.get(f"/portal/webhooks/{own}")).status_code == 200


async def test_only_what_was_signed_here_is_a_link(shop: Shop) -> None:
    await listen(shop)
    url = (await _staff(shop)).url
    claim = {"purpose": "webhooks", "merchant_id": MERCHANT, "subject_id": "app_1", "expires_at": 1 << 60}
    foreign = SignedLink(**claim).token(b"another key")  # type: ignore[arg-type] # of the fields' own kinds
    for wrong in (
        url[:-1],
        url + "A",
        url.rpartition("/")[0] + "/" + foreign,
        url.replace("/webhooks/", "/webhooks/A"),
    ):
        for response in (await Staff(shop, wrong).asks(), await Staff(shop, wrong).sends({"do": ["add"]})):
            assert (response.status_code, "not valid" in response.text) == (403, True), wrong


async def test_a_link_that_is_for_looking_changes_nothing(shop: Shop) -> None:
    """Not even by the forms of a page that may: the token says what it is for, and is signed."""
    endpoint = (await listen(shop))["id"]
    dead = await _dead(shop)
    staff, reader = await _staff(shop), await _staff(shop, readOnly="true")
    for asked in ({}, {"endpoint": endpoint}, {"delivery": dead["id"]}):
        response = await reader.asks(**asked)
        page = HtmlPage(response.text)
        assert not {"form", "button", "input"} & {tag for tag, _ in page.tags}
        assert "form-action 'none'" in response.headers["content-security-policy"]
        assert "for looking only" in page.text
        forms = (await staff.looks(**asked)).forms
        assert forms
        for form in forms.values():
            refused = await reader.sends(form, url="https://example.com/other")
            assert (refused.status_code, "looking only" in refused.text) == (403, True)
    assert (await shop.get(f"{_DELIVERIES}/{dead['id']}")) == dead
    assert [one["url"] for one in (await shop.get(_ENDPOINTS))["data"]] == ["https://example.com/hooks"]


async def test_a_link_ends(shop: Shop) -> None:
    await listen(shop)
    staff = await _staff(shop)
    assert isinstance(shop.clock, FakeClock)
    shop.clock.advance(HOUR)
    for response in (
        await staff.asks(),
        await staff.sends({"do": ["add"], "url": ["https://example.com/2"]}),
    ):
        assert (response.status_code, "has expired" in response.text) == (410, True)
    assert len((await shop.get(_ENDPOINTS))["data"]) == 1


async def test_a_link_ends_with_its_merchants_last_key(shop: Shop) -> None:
    await listen(shop)
    staff = await _staff(shop)
    await shop.catalog.forget_key(KEY)
    assert (await staff.asks()).status_code == 410


async def test_another_merchants_link_shows_and_changes_nothing(shop: Shop) -> None:
    endpoint = (await listen(shop))["id"]
    dead = await _dead(shop)
    own = await _staff(shop)
    forms = [*(await own.looks(endpoint=endpoint)).forms.values()]
    forms += [*(await own.looks(delivery=dead["id"])).forms.values()]
    assert [form["do"] for form in forms] == [["disable"], ["change"], ["secret"], ["replay"]]
    assert (await shop.stranger.post("/v0/webhooks")).status_code == 201
    other = Staff(shop, (await shop.stranger.get(_PORTAL)).json()["url"])
    text = (await other.asks()).text
    assert "example.com" not in text.replace("https://example.com/webhooks", "")  # the placeholder
    assert dead["id"] not in text
    for asked in ({"endpoint": endpoint}, {"delivery": dead["id"]}):
        assert (await other.asks(**asked)).status_code == 410
    for form in forms:
        assert (await other.sends(form)).status_code == 410, form
    assert (await shop.get(f"{_DELIVERIES}/{dead['id']}")) == dead
    assert (await shop.get(f"{_ENDPOINTS}/{endpoint}"))["enabled"] is True


async def test_the_page_loads_nothing_runs_nothing_and_is_kept_nowhere(shop: Shop) -> None:
    endpoint = (await listen(shop))["id"]
    await held(shop)
    delivery = (await _delivery(shop))["id"]
    staff = await _staff(shop)
    for asked in ({}, {"endpoint": endpoint}, {"delivery": delivery}):
        response = await staff.asks(**asked)
        page, headers = HtmlPage(response.text), response.headers
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
        policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
        assert (policy["form-action"], policy["frame-ancestors"]) == ("'self'", "'none'")
        assert policy["default-src"] == "'none'"
        assert not {"script", "iframe", "img", "link", "object"} & {tag for tag, _ in page.tags}
        assert not {"style", "onclick"} & {name for _, names in page.tags for name in names}
        assert all(link.startswith("?") for link in page.links), page.links
        assert staff.url.rpartition("/")[2] not in response.text


async def test_secrets_are_on_the_one_page_that_makes_them(shop: Shop) -> None:
    first = await listen(shop)
    await held(shop)
    delivery = (await _delivery(shop))["id"]
    staff = await _staff(shop)
    for asked in ({}, {"endpoint": first["id"]}, {"delivery": delivery}):
        assert "whsec_" not in (await staff.asks(**asked)).text
    form = (await staff.looks(endpoint=first["id"])).forms["secret"]
    shown = await staff.sends(form)
    assert shown.status_code == 201
    assert "whsec_" in shown.text
    assert first["secret"] not in shown.text
    again = await staff.sends(form)
    assert (again.status_code, "whsec_" in again.text) == (409, False)
    assert "whsec_" not in (await staff.asks(endpoint=first["id"])).text


async def test_an_endpoint_that_is_added_is_told_under_the_secret_that_was_shown(shop: Shop) -> None:
    await listen(shop)
    staff = await _staff(shop)
    form = (await staff.looks()).forms["add"]
    form |= {"url": ["https://example.com/new"], "description": ["Billing"], "types": ["grant.created"]}
    made = await staff.sends(form)
    assert made.status_code == 201, made.text
    secret = next(word for word in HtmlPage(made.text).text.split() if word.startswith("whsec_"))
    again = await staff.sends(form)
    assert (again.status_code, "has that URL already" in again.text, "whsec_" in again.text) == (
        409,
        True,
        False,
    )
    [_, endpoint] = (await shop.get(_ENDPOINTS))["data"]
    assert (endpoint["url"], endpoint["description"]) == ("https://example.com/new", "Billing")
    assert endpoint["eventTypes"] == ["grant.created"]
    await held(shop)
    receiver = Receiver()
    await deliver_all(courier_of(shop, receiver))
    [(_, headers, body)] = [one for one in receiver.got if one[0] == endpoint["url"]]
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    signed = Webhook(secret).sign(headers["webhook-id"], at, body.decode())
    assert headers["webhook-signature"] == signed


async def test_what_is_wrong_with_an_endpoint_is_said_beside_what_was_entered(shop: Shop) -> None:
    first = await listen(shop)
    staff = await _staff(shop)
    for url, problem in (
        ("http://example.com/2", "url: must be a URL such as https://example.com/webhooks"),
        ("https://169.254.169.254/", "url: must be of a public host"),
        ("", "url: String should have at least 1 character"),
    ):
        for asked, do in (({}, "add"), ({"endpoint": first["id"]}, "change")):
            form = (await staff.looks(**asked)).forms[do]
            refused = await staff.sends(form | {"types": ["grant.voided"]}, url=url, description="what for")
            page = HtmlPage(refused.text)
            assert (refused.status_code, problem in page.text) == (400, True), page.text
            assert page.forms[do]["url"] == [url]
            assert page.forms[do]["description"] == ["what for"]
            assert page.forms[do]["types"] == ["grant.voided"]
    unknown = await staff.sends(
        (await staff.looks()).forms["add"] | {"types": ["grant.exploded"]}, url="https://a.example"
    )
    assert unknown.status_code == 400
    assert await shop.get(f"{_ENDPOINTS}/{first['id']}") == {k: v for k, v in first.items() if k != "secret"}


async def test_an_endpoint_is_changed_disabled_and_enabled(shop: Shop) -> None:
    id = (await listen(shop))["id"]
    staff = await _staff(shop)
    form = (await staff.looks(endpoint=id)).forms["change"]
    changed = await staff.does(
        form | {"types": ["grant.voided", "grant.expired"]}, url="https://example.com/3"
    )
    assert "https://example.com/3 Enabled" in changed.text
    assert "Types grant.voided, grant.expired" in changed.text
    off = await staff.does(changed.forms["disable"])
    assert "https://example.com/3 Disabled" in off.text
    assert (await shop.get(f"{_ENDPOINTS}/{id}"))["enabled"] is False
    on = await staff.does(off.forms["enable"])
    assert "disable" in on.forms
    stored = await shop.get(f"{_ENDPOINTS}/{id}")
    assert (stored["enabled"], stored["eventTypes"]) == (True, ["grant.voided", "grant.expired"])


async def test_a_dead_delivery_says_why_and_is_replayed(shop: Shop) -> None:
    await listen(shop)
    dead = await _dead(shop)
    staff = await _staff(shop)
    assert dead["id"] in (await staff.asks(state="dead")).text
    assert dead["id"] not in (await staff.asks(state="pending")).text
    page = await staff.looks(delivery=dead["id"])
    assert "grant.created Dead to https://example.com/hooks" in page.text
    assert "Last answer no answer in time 8 attempts" in page.text
    assert page.text.count("500 Internal Server Error") == 7
    assert "Next attempt none" in page.text
    assert f"webhook-id {dead['webhookId']}" in page.text
    replayed = await staff.does(page.forms["replay"])
    assert "grant.created Pending" in replayed.text
    again = await shop.get(f"{_DELIVERIES}/{dead['id']}")
    assert (again["state"], again["attempts"]) == ("pending", 0)
    receiver = Receiver()
    await deliver_all(courier_of(shop, receiver))
    assert [headers["webhook-id"] for _, headers, _ in receiver.got] == [dead["webhookId"]]
    text = (await staff.looks(delivery=dead["id"])).text
    assert "grant.created Delivered" in text
    assert "Last answer 200 OK 1 attempt " in text
    assert text.count("500 Internal Server Error") == 7, "what was before the replay is still to be seen"


async def test_the_payload_has_every_digit(shop: Shop) -> None:
    await listen(shop)
    one = await held(shop)
    await shop.posted(f"/v1/entitlements/{one['id']}/grants", {"amount": 5, "idempotencyKey": "k"})
    delivery = await _delivery(shop)
    shown = await (await _staff(shop)).looks(delivery=delivery["id"])
    assert "".join(delivery["payload"].split()) in "".join(shown.text.split())


async def test_what_waits_says_what_for(shop: Shop) -> None:
    id = (await listen(shop))["id"]
    await held(shop)
    staff = await _staff(shop)
    await shop.changed(f"{_ENDPOINTS}/{id}", enabled=False)
    assert "not tried yet once the endpoint is enabled" in (await staff.looks()).text
    await shop.changed("/v0/webhooks", enabled=False)
    text = (await staff.looks()).text
    assert "Webhooks Off" in text
    assert "not tried yet once webhooks are on" in text


async def test_deliveries_are_shown_twenty_at_a_time_newest_first(shop: Shop) -> None:
    id = (await listen(shop))["id"]
    one = await held(shop)
    for number in range(44):
        wanted = {"amount": 1, "idempotencyKey": f"k{number}"}
        assert (await shop.posted(f"/v1/entitlements/{one['id']}/grants", wanted)).status_code == 201
    staff, pages = await _staff(shop), []
    for asked in ({}, {"endpoint": id, "state": "pending"}):
        page, seen = await staff.looks(**asked), []
        while True:
            seen += [link for link in page.links if link.startswith("?delivery=")]
            older = [link for link in page.links if f"offset={len(seen)}" in link]
            if not older:
                break
            page = await staff.looks(**dict(httpx.QueryParams(older[0][1:])))
        pages.append(seen)
    newest_first = [f"?delivery={one['id']}" for one in (await shop.get(_DELIVERIES, limit="100"))["data"]]
    assert len(newest_first) == 45
    assert pages == [newest_first, newest_first]
    assert "45 in all" in page.text


async def test_what_a_merchant_calls_things_is_only_ever_text(shop: Shop) -> None:
    assert (await shop.client.post("/v0/webhooks")).status_code == 201
    pages: list[HtmlPage] = []
    for text in ("Plain", _HOSTILE):
        described = {"url": f"https://example.com/{len(pages)}?a=%22&b='", "description": text}
        endpoint = await shop.made(_ENDPOINTS, described)
        staff = await _staff(shop)
        pages.append(await staff.looks(endpoint=endpoint["id"]))
        form = (await staff.looks()).forms["add"]
        wrong = await staff.sends(form, url=text, description=text)
        assert wrong.status_code == 400
        assert HtmlPage(wrong.text).forms["add"]["url"] == [text]
    assert pages[0].tags == pages[1].tags
    assert pages[1].forms["change"]["description"] == [_HOSTILE]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"do=replay&delivery=dlv_none", "application/x-www-form-urlencoded", 410),
        (b"do=disable&endpoint=x", "application/x-www-form-urlencoded", 410),
        (b"do=secret", "application/x-www-form-urlencoded", 410),
        (b"do=explode", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 400),
        (b"do=%ff", "application/x-www-form-urlencoded", 400),
        (b"\xff", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 60, "application/x-www-form-urlencoded", 400),
        (b"a" * (1 << 20) + b"a", "application/x-www-form-urlencoded", 413),
        (b'{"do": "add"}', "application/json", 415),
        (b"do=add", "text/plain", 415),
    ],
)
async def test_what_no_form_of_the_page_sends_is_refused(
    shop: Shop, body: bytes, kind: str, status: int
) -> None:
    await listen(shop)
    staff = await _staff(shop)
    response = await staff.client.post(staff.url, content=body, headers={"content-type": kind})
    assert response.status_code == status, response.text
    assert response.headers["cache-control"] == "no-store"
    assert HtmlPage(response.text).text


@pytest.mark.parametrize("asked", [{"state": "lost"}, {"offset": "-1"}, {"offset": "x"}])
async def test_what_no_link_of_the_page_asks_is_refused(shop: Shop, asked: dict[str, str]) -> None:
    await listen(shop)
    assert (await (await _staff(shop)).asks(**asked)).status_code == 400


async def test_a_failure_is_a_page_and_no_log_has_the_link(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await listen(shop)
    staff = await _staff(shop)

    async def fail(*_: object) -> None:
        raise CatalogUnavailable("down")

    monkeypatch.setattr(shop.catalog.endpoints, "page", fail)
    assert (await staff.asks()).status_code == 503
    assert staff.url.rpartition("/")[2] not in caplog.text + "".join(capsys.readouterr())
