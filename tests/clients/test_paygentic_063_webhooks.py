"""The published paygentic-sdk 0.6.3, unmodified: webhooks are turned on, off, asked about, and looked at."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from paygentic_sdk import errors

from tests.clients.conftest import Caller
from tests.html_page import HtmlPage


@pytest.mark.anyio
async def test_webhooks_are_enabled_paused_and_read(call: Caller) -> None:
    with suppress(errors.BadRequest):  # the other way of calling was here already
        await call("webhooks.enable")
    made = await call("webhooks.update", enabled=True)
    assert (made.object, made.merchant_id, made.enabled) == ("webhooks", "org_dev", True)
    assert await call("webhooks.get") == made
    assert await call("webhooks.get", request={"merchant_id": "org_dev"}) == made
    with pytest.raises(errors.BadRequest) as twice:
        await call("webhooks.enable", request={"merchant_id": "org_dev"})
    assert twice.value.data.code == "DUPLICATE_RESOURCE"  # type: ignore[union-attr] # a plain error
    paused = await call("webhooks.update", enabled=False)
    assert (paused.enabled, paused.application_id, paused.created_at) == (
        False,
        made.application_id,
        made.created_at,
    )
    assert (await call("webhooks.update", enabled=True)).enabled is True
    assert await call("webhooks.disable") is None
    assert (await call("webhooks.get")).enabled is False


@pytest.mark.anyio
async def test_the_portal_opens_for_who_has_the_link_and_no_key(call: Caller) -> None:
    with suppress(errors.BadRequest):
        await call("webhooks.enable")
    await call("webhooks.update", enabled=True)
    for request in ({}, {"merchant_id": "org_dev"}):
        link = await call("webhooks.get_portal", request=request)
        assert link.object == "webhookPortal"
        assert timedelta(minutes=55) < link.expires_at - datetime.now(UTC) <= timedelta(hours=1)
        async with httpx.AsyncClient() as nobody:
            page = await nobody.get(link.url)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert HtmlPage(page.text).text.startswith("Webhooks Webhooks On org_dev Endpoints")
    await call("webhooks.update", enabled=False)
    with pytest.raises(errors.Error) as off:
        await call("webhooks.get_portal")
    assert off.value.status_code == 404


@pytest.mark.anyio
async def test_other_merchants_are_refused_in_the_client_s_own_errors(call: Caller) -> None:
    for operation in ("webhooks.get", "webhooks.get_portal", "webhooks.disable"):
        with pytest.raises(errors.Error) as foreign:
            await call(operation, request={"merchant_id": "org_other"})
        assert foreign.value.status_code == 403
