"""Links to a page that shows a customer what it has, and how much of it is left (contract 4.8)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import structlog
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.domain.duration import Duration
from meterhouse.domain.errors import NotFound, TooManyRequests, Unavailable
from meterhouse.domain.instant import DAY, MINUTE, Instant, render
from meterhouse.domain.signed_link import SignedLink, link_of
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.fields import checked_id
from query.portal_contents import portal_of_customer, portal_of_subscription
from query.portal_page import portal_page, refusal_page
from query.portal_view import Portal
from query.route import Handler, new_router
from query.subscriptions import checked_subscription
from query.wire import Moment, Wire

_log: Final = structlog.get_logger("query")

PATH: Final = "/portal/"
_CUSTOMER: Final = "customer"
_SUBSCRIPTION: Final = "subscription"
_LONGEST: Final = 7 * DAY
AT_ONCE_AND_WAITING: Final = (2, 16)  # pages of a merchant: whoever has a link may ask as often as he likes


def _lifetime(value: object) -> Instant:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 duration as text, such as PT10M")
    duration = Duration.parse(value)
    if duration.calendar_months or duration.rest > _LONGEST:
        raise ValueError("must be at most P7D")
    return duration.rest


Lifetime = Annotated[
    int,
    BeforeValidator(_lifetime),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^P([0-9]{1,9}[WD])*(T([0-9]{1,9}[HMS])+)?$",
            "description": "An ISO 8601 duration of at most P7D.",
            "examples": ["PT10M", "P7D"],
        }
    ),
]


class LinkAsked(BaseModel):
    """A link ends after `expiresIn`."""

    model_config = ConfigDict(alias_generator=to_camel)

    expires_in: Lifetime = 10 * MINUTE


class SubscriptionPortalBody(Wire):
    object: Literal["subscriptionPortal"] = "subscriptionPortal"
    expires_at: Moment
    url: str


class CustomerPortalBody(Wire):
    object: Literal["customerPortal"] = "customerPortal"
    expires_at: Moment
    url: str


class _Refused(Exception):
    """There is nothing to see, for whoever has the link; 403 where it is none, 410 where it was one."""

    def __init__(self, status: int, title: str, message: str) -> None:
        super().__init__(title)
        self.status, self.title, self.message = status, title, message


class PageRoute(APIRoute):
    """Needs no key, as the link is one. Whatever goes wrong is a page too, and no log has the link."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except _Refused as refused:
                return refusal_page(refused.status, refused.title, refused.message)
            except TooManyRequests:
                return refusal_page(429, "Too many are looking", "Please try again in a moment.")
            except Unavailable as error:
                _log.warning("page not shown", path=self.path, error=repr(error))
                return refusal_page(503, "Not available right now", "Please try again in a moment.")
            except Exception as error:  # noqa: BLE001 - the last resort: a bug becomes a page, and a log
                _log.error("page failed", path=self.path, error=repr(error), exc_info=error)
                return refusal_page(500, "Something went wrong", "Please try again later.")

        return shown


router = new_router()
pages = APIRouter(route_class=PageRoute, include_in_schema=False)


async def link_subscription(
    *, id: str, body: LinkAsked | None = None, request: Request, merchant: Merchant, ports: Ports
) -> Response:
    """Make a link to a page with all that a subscription brings, for whoever gets it."""
    found = await ports.subscribed.subscriptions.get(merchant, checked_subscription(id))
    link = _new_link(_SUBSCRIPTION, merchant, found.id, body, ports)
    return json_answer({"object": "subscriptionPortal", **await _shown(link, request, ports)})


# The second is how the published guides call it (contract 10, decision 7).
for _path, _id in (("portal", "generatePortalLink"), ("portal-link", "generatePortalLinkByGuide")):
    router.post(
        f"/v0/subscriptions/{{id}}/{_path}",
        operation_id=_id,
        responses={
            **failures(400, 404, 413, 415),
            200: {"model": SubscriptionPortalBody, "description": "The link."},
        },
        response_model=None,
    )(link_subscription)


@router.post(
    "/api/v1/customers/{id}/portal",
    operation_id="generateCustomerPortalLink",
    responses={
        **failures(400, 404, 413, 415),
        200: {"model": CustomerPortalBody, "description": "The link."},
    },
    response_model=None,
)
async def link_customer(
    *, id: str, body: LinkAsked | None = None, request: Request, merchant: Merchant, ports: Ports
) -> Response:
    """Make a link to a page with all that a customer is entitled to, for whoever gets it."""
    found = await ports.customers.get(merchant, checked_id(id, "cus", "customer"))
    link = _new_link(_CUSTOMER, merchant, found.id, body, ports)
    return json_answer({"object": "customerPortal", **await _shown(link, request, ports)})


def _new_link(
    purpose: str, merchant: str, subject_id: str, asked: LinkAsked | None, ports: Backend
) -> SignedLink:
    lasts = (asked or LinkAsked()).expires_in
    return SignedLink(
        purpose=purpose, merchant_id=merchant, subject_id=subject_id, expires_at=ports.clock.now() + lasts
    )


async def _shown(link: SignedLink, request: Request, ports: Backend) -> dict[str, Any]:
    """When the link ends, and where it leads."""
    origin = ports.public_url or str(request.base_url)
    token = link.token(await ports.links.key())
    return {"expiresAt": render(link.expires_at), "url": f"{origin.rstrip('/')}{PATH}{token}"}


@pages.get(f"{PATH}{{token}}", response_model=None)
async def show(token: str, ports: Ports) -> Response:
    """The page of a link."""
    link = await _opened(token, ports)
    async with ports.page_turns.turn(link.merchant_id):
        return portal_page(await _contents(link, ports))


async def _opened(token: str, ports: Backend) -> SignedLink:
    """The link that the token is of, if it still is one."""
    link = link_of(token, await ports.links.key())
    if link is None:
        raise _invalid()
    if link.expires_at <= ports.clock.now():
        raise _Refused(410, "This link has expired", "Please ask for a new one where you got it.")
    if not await ports.links.is_served(link.merchant_id):
        raise _gone()
    return link


async def _contents(link: SignedLink, ports: Backend) -> Portal:
    """What the link is for, as it stands now."""
    try:
        if link.purpose == _CUSTOMER:
            return await portal_of_customer(link, ports)
        if link.purpose == _SUBSCRIPTION:
            return await portal_of_subscription(link, ports)
    except NotFound as error:
        raise _gone() from error
    raise _invalid()


def _invalid() -> _Refused:
    message = "It was changed or cut on its way. Please ask for a new one where you got it."
    return _Refused(403, "This link is not valid", message)


def _gone() -> _Refused:
    return _Refused(410, "There is nothing here any more", "What this link showed is gone.")
