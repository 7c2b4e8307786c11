"""The page on which a merchant's staff sees its webhooks, and looks after them (contract 2.4)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Literal

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.domain.errors import Conflict, Invalid, NotFound
from meterhouse.domain.instant import HOUR
from meterhouse.domain.signed_link import SignedLink
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.fields import MerchantId
from query.html_pages import look_at
from query.route import new_router
from query.sales.products import own_merchant
from query.signed_pages import PATH as LINKS
from query.signed_pages import Refused, new_pages, opened, shown_link
from query.webhooks.deliveries import checked as checked_delivery
from query.webhooks.endpoints import EndpointChanges, added, changed, with_new_secret
from query.webhooks.endpoints import checked as checked_endpoint
from query.webhooks.forms import Form
from query.webhooks.pages import (
    FOR_CHANGES,
    FOR_LOOKING,
    PageAsked,
    all_page,
    delivery_page,
    endpoint_page,
    secret_page,
)
from query.wire import Moment, Wire

PATH: Final = f"{LINKS}webhooks/"
LASTS: Final = HOUR

router = new_router()
pages = new_pages()


class PortalAsked(BaseModel):
    """The key's own merchant, whether or not it is named."""

    model_config = ConfigDict(alias_generator=to_camel)

    merchant_id: MerchantId | None = None
    read_only: bool = False


class WebhookPortalBody(Wire):
    object: Literal["webhookPortal"] = "webhookPortal"
    expires_at: Moment
    url: str


@router.get(
    "/v0/webhooks/portal",
    operation_id="getWebhookPortal",
    responses={
        **failures(400, 403, 404),
        200: {"model": WebhookPortalBody, "description": "The link."},
    },
    response_model=None,
)
async def link(
    asked: Annotated[PortalAsked, Query()], request: Request, merchant: Merchant, ports: Ports
) -> Response:
    """Make a link to a page of the merchant's webhooks, for an hour; 404 while they are off."""
    own_merchant(asked.merchant_id, merchant)
    webhooks = await ports.told.webhooks.get(merchant)
    if not webhooks.enabled:
        raise NotFound("webhooks are off; turn them on by an update")
    made = SignedLink(
        purpose=FOR_LOOKING if asked.read_only else FOR_CHANGES,
        merchant_id=merchant,
        subject_id=webhooks.application_id,
        expires_at=ports.clock.now() + LASTS,
    )
    return json_answer({"object": "webhookPortal", **await shown_link(made, PATH, request, ports)})


@pages.get(f"{PATH}{{token}}", response_model=None)
async def show(token: str, asked: Annotated[PageAsked, Query()], ports: Ports) -> Response:
    """The page of a link."""
    link = await _opened(token, ports)
    async with _turn(link, ports):
        if asked.delivery is not None:
            return await delivery_page(link, asked.delivery, ports)
        if asked.endpoint is not None:
            return await endpoint_page(link, asked.endpoint, ports, asked)
        return await all_page(link, ports, asked)


@pages.post(f"{PATH}{{token}}", response_model=None)
async def act(token: str, request: Request, ports: Ports) -> Response:
    """Do what a form of the page asks for.

    Only the link gives the right to, and no browser adds it to a request that another site makes.
    """
    link = await _opened(token, ports)
    if link.purpose != FOR_CHANGES:
        raise Refused(403, "This link is for looking only", "Please ask for one that may change things.")
    form = await Form.of(request)
    async with _turn(link, ports):
        match form.one("do"):
            case "add":
                return await _add(link, form, ports)
            case "change":
                return await _change(link, form, ports)
            case "enable" | "disable" as switch:
                return await _switch(link, form, ports, enabled=switch == "enable")
            case "secret":
                return await _new_secret(link, form, ports)
            case "replay":
                return await _replay(link, form, ports)
    raise Invalid("the page has no such form")


async def _add(link: SignedLink, form: Form, ports: Backend) -> Response:
    try:
        endpoint, secret = await added(form.new_endpoint(), link.merchant_id, ports)
    except (Invalid, Conflict) as error:
        return await all_page(link, ports, form=form.entered(error))
    return await secret_page(link, endpoint, secret, ports)


async def _change(link: SignedLink, form: Form, ports: Backend) -> Response:
    id = form.one("endpoint")
    try:
        endpoint = await changed(id, form.changes(), link.merchant_id, ports)
    except (Invalid, Conflict) as error:
        return await endpoint_page(link, id, ports, form=form.entered(error))
    return look_at(endpoint=endpoint.id)


async def _switch(link: SignedLink, form: Form, ports: Backend, *, enabled: bool) -> Response:
    switch = EndpointChanges(enabled=enabled)
    return look_at(endpoint=(await changed(form.one("endpoint"), switch, link.merchant_id, ports)).id)


async def _new_secret(link: SignedLink, form: Form, ports: Backend) -> Response:
    """Only of the endpoint as it was seen: sent once more, a form would put an end to the secret before."""
    id = checked_endpoint(form.one("endpoint"))
    if str((await ports.told.endpoints.get(link.merchant_id, id)).updated_at) != form.one("seen"):
        raise Conflict("The endpoint was changed meanwhile. Please look at it again first.")
    endpoint, secret = await with_new_secret(id, link.merchant_id, ports)
    return await secret_page(link, endpoint, secret, ports)


async def _replay(link: SignedLink, form: Form, ports: Backend) -> Response:
    id = checked_delivery(form.one("delivery"))
    return look_at(delivery=(await ports.told.deliveries.replay(link.merchant_id, id, ports.clock.now())).id)


async def _opened(token: str, ports: Backend) -> SignedLink:
    return await opened(token, (FOR_CHANGES, FOR_LOOKING), ports)


def _turn(link: SignedLink, ports: Backend) -> AbstractAsyncContextManager[None]:
    """In a line of its own, so that customers who look at theirs do not keep the merchant from its page."""
    return ports.page_turns.turn(f"{link.merchant_id} {PATH}")
