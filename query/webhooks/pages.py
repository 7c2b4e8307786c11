"""A merchant's pages of webhooks, filled with what there is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel
from starlette.responses import Response

from meterhouse.domain.signed_link import SignedLink
from meterhouse.domain.webhook import DeliveryFilter, DeliveryState, Endpoint
from query.backend import Backend
from query.fields import PageOffset
from query.html_pages import html_page
from query.page_words import moment, to_the_second
from query.webhooks.deliveries import MOST_ATTEMPTS
from query.webhooks.deliveries import checked as checked_delivery
from query.webhooks.endpoints import checked as checked_endpoint
from query.webhooks.view import (
    ROWS,
    EndpointView,
    Entered,
    Listed,
    Top,
    attempt_view,
    delivery_view,
    endpoint_view,
    entered,
    listed,
)

FOR_CHANGES: Final = "webhooks"
FOR_LOOKING: Final = "webhooks-looking"
_ALL: Final = 100  # endpoints: more than a merchant may have


class PageAsked(BaseModel):
    """Everything, or one endpoint or delivery; of the deliveries some."""

    endpoint: str | None = None
    delivery: str | None = None
    state: DeliveryState | None = None
    offset: PageOffset = 0


async def all_page(
    link: SignedLink, ports: Backend, asked: PageAsked | None = None, form: Entered | None = None
) -> Response:
    """Every endpoint, and deliveries to all of them."""
    top, page = await _top(link, ports), await ports.told.endpoints.page(link.merchant_id, _ALL, 0)
    endpoints = {one.id: endpoint_view(one) for one in page.items}
    asked, shown = asked or PageAsked(), form or Entered()
    return html_page(
        "webhooks.html",
        shown.status,
        has_forms=top.may_change,
        top=top,
        endpoints=tuple(endpoints.values()),
        form=shown,
        deliveries=await _listed(top, endpoints, DeliveryFilter(state=asked.state), asked, ports),
    )


async def endpoint_page(
    link: SignedLink, id: str, ports: Backend, asked: PageAsked | None = None, form: Entered | None = None
) -> Response:
    """One endpoint, and the deliveries to it. Raises NotFound."""
    endpoint = endpoint_view(await ports.told.endpoints.get(link.merchant_id, checked_endpoint(id)))
    top, asked, shown = await _top(link, ports), asked or PageAsked(), form or entered(endpoint)
    wanted = DeliveryFilter(endpoint_id=id, state=asked.state)
    return html_page(
        "webhook_endpoint.html",
        shown.status,
        has_forms=top.may_change,
        top=top,
        endpoint=endpoint,
        form=shown,
        deliveries=await _listed(top, {id: endpoint}, wanted, asked, ports),
    )


async def delivery_page(link: SignedLink, id: str, ports: Backend) -> Response:
    """One delivery with its attempts and its payload. Raises NotFound."""
    found = await ports.told.deliveries.get(link.merchant_id, checked_delivery(id))
    endpoint = endpoint_view(await ports.told.endpoints.get(link.merchant_id, found.endpoint_id))
    made = await ports.told.deliveries.attempts(link.merchant_id, id, MOST_ATTEMPTS)
    top = await _top(link, ports)
    return html_page(
        "webhook_delivery.html",
        has_forms=top.may_change,
        top=top,
        delivery=delivery_view(found, endpoint, is_on=top.is_on),
        attempts=[attempt_view(one) for one in made],
    )


async def secret_page(link: SignedLink, endpoint: Endpoint, secret: str, ports: Backend) -> Response:
    """The one page that ever has the secret."""
    top, shown = await _top(link, ports), endpoint_view(endpoint)
    return html_page("webhook_secret.html", 201, top=top, endpoint=shown, secret=secret)


async def _top(link: SignedLink, ports: Backend) -> Top:
    webhooks = await ports.told.webhooks.get(link.merchant_id)
    return Top(
        merchant=link.merchant_id,
        is_on=webhooks.enabled,
        may_change=link.purpose == FOR_CHANGES,
        at=to_the_second(ports.clock.now()),
        link_ends=moment(link.expires_at),
    )


async def _listed(
    top: Top, endpoints: Mapping[str, EndpointView], wanted: DeliveryFilter, asked: PageAsked, ports: Backend
) -> Listed:
    found = await ports.told.deliveries.page(top.merchant, wanted, ROWS, asked.offset)
    return listed(found, endpoints, wanted, offset=asked.offset, is_on=top.is_on)
