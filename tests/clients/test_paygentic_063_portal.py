"""The published paygentic-sdk 0.6.3, unmodified: the link to a customer's page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from paygentic_sdk import errors

from tests.api import Api
from tests.clients.conftest import Caller, Running
from tests.clients.own import Own
from tests.html_page import HtmlPage

pytestmark = pytest.mark.anyio


@pytest.fixture
def subscription(server: Running) -> Iterator[str]:
    with Api(server.url, server.key) as api:
        yield Own(api).subscription()


async def test_a_link_opens_the_page_for_who_has_no_key(call: Caller, subscription: str) -> None:
    link = await call("subscriptions.generate_portal_link", id=subscription, expires_in="PT1H")
    ends_in = link.expires_at - datetime.now(UTC)
    assert timedelta(minutes=55) < ends_in <= timedelta(hours=1)
    async with httpx.AsyncClient() as nobody:
        page = await nobody.get(link.url)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = HtmlPage(page.text).text
    assert "Subscription Active" in text
    assert "Plan Plan" in text
    assert "10 left of 10" in text


async def test_a_link_of_nothing_or_for_too_long_is_a_typed_refusal(call: Caller, subscription: str) -> None:
    with pytest.raises(errors.Error) as nothing:
        await call("subscriptions.generate_portal_link", id="sub_none")
    assert nothing.value.status_code == 404
    with pytest.raises(errors.PaygenticError) as too_long:
        await call("subscriptions.generate_portal_link", id=subscription, expires_in="P8D")
    assert too_long.value.status_code == 400
