"""The page that a customer sees: who may, what it says, and that names are only ever text."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import MINUTE, parse
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.rollup import Reading
from meterhouse.domain.signed_link import SignedLink
from tests.fakes_query import KEY, MERCHANT, FakeClock
from tests.html_page import HtmlPage
from tests.running import PATIENCE
from tests.shop import Shop

pytestmark = pytest.mark.anyio

_HOSTILE: Final = (
    "\"'><script>alert(1)</script></style></title><img src=x onerror=alert(1)>{{ 7*7 }}&lt;\u202e"
)
_TEMPLATE: Final = {
    "type": "metered",
    "usagePeriod": {"interval": "P1M", "anchor": "2026-05-01T00:00:00Z"},
    "issueAfterReset": Decimal("1000.5"),
}


@pytest.fixture
async def shop(sqlite_url: str) -> AsyncIterator[Shop]:
    async with Shop.open(sqlite_url) as shop:
        await shop.catalog.ensure_key(MERCHANT, KEY)
        yield shop


async def _url(shop: Shop, id: str, **asked: object) -> str:
    """A link to the page of a customer or a subscription."""
    of = "/v0/subscriptions" if id.startswith("sub_") else "/api/v1/customers"
    body = await shop.posted(f"{of}/{id}/portal", asked)
    assert body.status_code == 200, body.text
    return str(body.json()["url"])


async def _shown(shop: Shop, id: str) -> httpx.Response:
    """What somebody without any key sees."""
    response = await shop.client_of("").get(await _url(shop, id))
    assert response.status_code == 200, response.text
    return response


async def _entitled(shop: Shop, name: str, type: str, template: dict[str, Any], **fields: object) -> None:
    metric = await shop.metric(name=name, unit=name)
    named = {"billableMetricId": metric} if type == "metered" else {}
    key = f"key-{type}-{len((await shop.get('/v0/features', productId='prod_a'))['data'])}"
    feature = await shop.feature(key=key, name=name, type=type, metadata=named)
    wanted = {"featureId": feature, "template": template, "activeFrom": "2026-05-01T00:00:00Z"}
    await shop.made("/v1/entitlements", wanted | fields)


async def _everything(shop: Shop, name: str) -> str:
    """A customer with an entitlement of every type; whatever can be named is called `name`."""
    consumer = {"name": name, "email": f"e{abs(hash(name))}@example.com", "address": {"city": name}}
    customer = await shop.customer(consumer=consumer, externalId=name)
    await _entitled(shop, name, "metered", _TEMPLATE, customerId=customer, metadata={name: name})
    config = {name: name, "nested": [{name: name}], "limit": Decimal("1234567.10"), "on": True, "no": None}
    await _entitled(shop, name, "static", {"type": "static", "config": config}, customerId=customer)
    await _entitled(shop, name, "boolean", {"type": "boolean"}, customerId=customer)
    return customer


async def _subscribed(shop: Shop, name: str, **fields: object) -> str:
    """A subscription of a plan with a metered feature; whatever can be named is called `name`."""
    feature = await shop.feature(key=f"of-plan-{abs(hash(name))}", name=name)
    offered = {"featureId": feature, "entitlementTemplate": _TEMPLATE}
    metric = await shop.metric(name=name, unit=name)
    price = await shop.price(billableMetricId=metric, feature=offered, invoiceDisplayName=name)
    plan = await shop.plan(name=name, prices=[price["id"]])
    consumer = {"name": name, "email": f"s{abs(hash(name))}@example.com", "address": {}}
    customer = await shop.customer(consumer=consumer)
    made = await shop.subscription(name=name, planId=plan["id"], customerId=customer, **fields)
    return str(made["id"])


@pytest.mark.parametrize(
    ("of", "ending", "object"),
    [
        ("customer", "portal", "customerPortal"),
        ("subscription", "portal", "subscriptionPortal"),
        ("subscription", "portal-link", "subscriptionPortal"),
    ],
)
async def test_a_link_is_good_for_ten_minutes_unless_asked_otherwise(
    shop: Shop, of: str, ending: str, object: str
) -> None:
    if of == "customer":
        path = f"/api/v1/customers/{await shop.customer()}/{ending}"
    else:
        path = f"/v0/subscriptions/{await _subscribed(shop, 'Plain')}/{ending}"
    for asked, minutes in (({}, 10), ({"json": {}}, 10), ({"json": {"expiresIn": "P7D"}}, 7 * 24 * 60)):
        before = shop.clock.now()
        answer = (await shop.client.post(path, **asked)).json()
        assert answer.keys() == {"object", "expiresAt", "url"}
        assert answer["object"] == object
        assert 0 <= parse(answer["expiresAt"]) - before - minutes * MINUTE < MINUTE
        assert answer["url"].startswith("http://query.test/portal/")


@pytest.mark.parametrize("expires_in", ["P8D", "P1M", "P7DT1S", "PT0S", "10", "", 10, None, "P1D\n"])
async def test_a_lifetime_that_is_none_is_refused_by_name(shop: Shop, expires_in: object) -> None:
    customer = await shop.customer()
    response = await shop.posted(f"/api/v1/customers/{customer}/portal", {"expiresIn": expires_in})
    assert response.status_code == 400
    assert [one["field"] for one in response.json()["errors"]] == ["expiresIn"]


async def test_what_is_another_merchants_has_no_link(shop: Shop) -> None:
    subscription = await _subscribed(shop, "Plain")
    for path in (f"/api/v1/customers/{await shop.customer()}", f"/v0/subscriptions/{subscription}"):
        assert (await shop.stranger.post(f"{path}/portal")).status_code == 404


async def test_the_page_loads_nothing_runs_nothing_and_is_kept_nowhere(shop: Shop) -> None:
    response = await _shown(shop, await _everything(shop, "Plain"))
    page, headers = HtmlPage(response.text), response.headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
    policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
    digest = b64encode(sha256(page.style.encode()).digest()).decode()
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert {policy[name] for name in ("default-src", "base-uri", "form-action", "frame-ancestors")} == {
        "'none'"
    }
    assert not page.links
    assert not {"script", "iframe", "img", "link", "form", "object"} & {tag for tag, _ in page.tags}
    assert not {"style", "onclick"} & {name for _, names in page.tags for name in names}


async def test_names_are_only_ever_text(shop: Shop) -> None:
    """Whatever a merchant calls things, the page has the elements that it has with a harmless name."""
    harmless = HtmlPage((await _shown(shop, await _everything(shop, "Plain"))).text)
    hostile = await _shown(shop, await _everything(shop, _HOSTILE))
    page = HtmlPage(hostile.text)
    assert page.tags == harmless.tags
    assert page.style == harmless.style
    assert page.text.count(" ".join(_HOSTILE.split())) >= 6
    assert "49" not in page.text


async def test_names_of_subscriptions_are_only_ever_text(shop: Shop) -> None:
    harmless = HtmlPage((await _shown(shop, await _subscribed(shop, "Plain"))).text)
    page = HtmlPage((await _shown(shop, await _subscribed(shop, _HOSTILE))).text)
    assert page.tags == harmless.tags
    assert page.text.count(" ".join(_HOSTILE.split())) >= 5


async def test_a_subscription_shows_its_plan_and_what_it_brings_alone(shop: Shop) -> None:
    subscription = await _subscribed(shop, "Pro", endingAt="2026-07-01T00:00:00Z")
    customer = (await shop.get(f"/v0/subscriptions/{subscription}"))["customerId"]
    await _entitled(shop, "Beside it", "boolean", {"type": "boolean"}, customerId=customer)
    text = HtmlPage((await _shown(shop, subscription)).text).text
    assert "Pro Active Pro Plan Pro Since 1 May 2026 Ends 1 July 2026" in text
    assert "1,000.5 left of 1,000.5" in text
    assert "Beside it" not in text
    assert "Beside it" in HtmlPage((await _shown(shop, customer)).text).text


async def test_a_subscription_that_is_over_says_so(shop: Shop) -> None:
    subscription = await _subscribed(shop, "Pro")
    ended = await shop.posted(f"/v0/subscriptions/{subscription}/termination", {"reason": "over"})
    assert ended.status_code == 200
    text = HtmlPage((await _shown(shop, subscription)).text).text
    assert "Pro Terminated" in text
    assert "Ended 1 May 2026, 12:00 UTC" in text
    assert "Canceled" in text


async def test_a_test_clock_says_what_is_left_and_the_wall_when_the_link_ends(shop: Shop) -> None:
    clock = await shop.test_clock("2026-05-20T00:00:00Z")
    subscription = await _subscribed(shop, "Pro", testClockId=clock)
    await shop.changed(f"/v0/testClocks/{clock}", advanceBy="P1M")
    text = HtmlPage((await _shown(shop, subscription)).text).text
    assert "Begins anew 1 July 2026" in text
    assert "As of 20 June 2026 . This link ends on 1 May 2026, 12:10 UTC" in text


async def test_every_digit_is_there_in_groups(shop: Shop) -> None:
    customer = await _everything(shop, "Plain")
    shop.phases.reading = Reading(2, Decimal("1234.567"))
    text = HtmlPage((await _shown(shop, customer)).text).text
    assert "0 left of 1,000.5" in text
    assert "Used in this period 1,234.567" in text
    assert "Overage 234.067" in text
    assert "1,234,567.1" in text
    assert "1 May 2026 1,234.567" in text  # the day, in the table beside the chart
    assert "Begins anew 1 June 2026" in text


async def test_a_page_without_entitlements_says_so(shop: Shop) -> None:
    assert "Nothing is included yet." in HtmlPage((await _shown(shop, await shop.customer())).text).text


async def test_what_the_page_has_no_room_for_is_counted(shop: Shop) -> None:
    customer = await shop.customer()
    for number in range(102):
        feature = await shop.feature(key=f"f{number}", type="boolean")
        wanted = {"customerId": customer, "featureId": feature, "template": {"type": "boolean"}}
        await shop.made("/v1/entitlements", wanted)
    page = HtmlPage((await _shown(shop, customer)).text)
    assert [tag for tag, _ in page.tags].count("section") == 100
    assert "2 more are not shown." in page.text


async def _refused(shop: Shop, token: str) -> tuple[int, str]:
    response = await shop.client_of("").get(f"/portal/{token}")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return response.status_code, HtmlPage(response.text).text


async def test_only_what_was_signed_here_is_a_link(shop: Shop, tmp_path: Path) -> None:
    token = (await _url(shop, await shop.customer())).rpartition("/")[2]
    other = SignedLink(purpose="webhooks", merchant_id=MERCHANT, subject_id="cus_1", expires_at=1 << 60)
    here = await shop.catalog.links.key()
    async with Catalog.open(f"sqlite:///{tmp_path}/other.sqlite3") as elsewhere:
        foreign = other.token(await elsewhere.links.key())
    for wrong in (token[:-1], token + "A", "A" + token, "x", "a.b", foreign, other.token(here), "%00", "%ff"):
        status, text = await _refused(shop, wrong)
        assert (status, "not valid" in text) == (403, True), wrong


async def test_a_link_ends(shop: Shop) -> None:
    token = (await _url(shop, await shop.customer(), expiresIn="PT1M")).rpartition("/")[2]
    assert isinstance(shop.clock, FakeClock)
    shop.clock._now += MINUTE
    status, text = await _refused(shop, token)
    assert (status, "has expired" in text) == (410, True)


async def test_a_link_ends_with_its_customer(shop: Shop) -> None:
    customer = await shop.customer()
    token = (await _url(shop, customer)).rpartition("/")[2]
    assert (await shop.client.delete(f"/v0/customers/{customer}")).status_code == 204
    assert (await _refused(shop, token))[0] == 410


async def test_a_link_ends_with_its_merchants_last_key(shop: Shop) -> None:
    token = (await _url(shop, await shop.customer())).rpartition("/")[2]
    await shop.catalog.forget_key(KEY)
    assert (await _refused(shop, token))[0] == 410


async def test_days_that_are_too_much_to_read_are_left_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await _everything(shop, "Plain")
    answer, asked = shop.phases.phases, count()

    async def refuse_the_second(questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        if next(asked):
            raise Invalid.field("from", "reads more than 4 seconds can")
        return await answer(questions)

    monkeypatch.setattr(shop.phases, "phases", refuse_the_second)
    text = HtmlPage((await _shown(shop, customer)).text).text
    assert "1,000.5 left of 1,000.5" in text
    assert "by day" not in text


async def test_pages_of_a_merchant_wait_for_each_other_and_not_for_ever(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await _url(shop, await _everything(shop, "Plain"))
    answer, refused, both = shop.phases.phases, anyio.Event(), anyio.Event()
    now = most = 0

    async def wait(questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == 2:
            both.set()
        await refused.wait()
        await both.wait()
        await anyio.sleep(0.02)  # long enough for one too many to be seen
        now -= 1
        return await answer(questions)

    monkeypatch.setattr(shop.phases, "phases", wait)
    statuses: list[int] = []

    async def look() -> None:
        statuses.append((await shop.client_of("").get(url)).status_code)
        if 429 in statuses:
            refused.set()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for _ in range(19):
                tasks.start_soon(look)
    assert sorted(statuses) == [200] * 18 + [429]
    assert most == 2


async def test_a_failure_is_a_page_and_no_log_has_the_link(
    shop: Shop, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    url = await _url(shop, await _everything(shop, "Plain"))
    token = url.rpartition("/")[2]
    shop.phases.failure = RuntimeError("a bug")
    assert (await _refused(shop, token))[0] == 500
    assert token not in caplog.text + "".join(capsys.readouterr())


async def test_a_link_begins_with_the_address_that_people_know(shop: Shop) -> None:
    object.__setattr__(shop.app.state.backend, "public_url", "https://billing.example.com/usage/")
    assert (await _url(shop, await shop.customer())).startswith("https://billing.example.com/usage/portal/")
