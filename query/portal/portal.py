"""Links to a page that shows a customer what it has, and how much of it is left (contract 4.8)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.domain.duration import Duration
from meterhouse.domain.instant import DAY, MINUTE, Instant
from meterhouse.domain.signed_link import SignedLink
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.fields import checked_id
from query.portal.contents import portal_of_customer, portal_of_subscription
from query.portal.page import portal_page
from query.route import new_router
from query.signed_pages import PATH, new_pages, opened, shown_link
from query.subscriptions.subscriptions import checked_subscription
from query.wire import Moment, Wire

_CUSTOMER: Final = "customer"
_SUBSCRIPTION: Final = "subscription"
_CONTENTS: Final = {_CUSTOMER: portal_of_customer, _SUBSCRIPTION: portal_of_subscription}
_LONGEST: Final = 7 * DAY


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


router = new_router()
pages = new_pages()


async def link_subscription(
    *, id: str, body: LinkAsked | None = None, request: Request, merchant: Merchant, ports: Ports
) -> Response:
    """Make a link to a page with all that a subscription brings, for whoever gets it."""
    found = await ports.subscribed.subscriptions.get(merchant, checked_subscription(id))
    link = _new_link(_SUBSCRIPTION, merchant, found.id, body, ports)
    return json_answer({"object": "subscriptionPortal", **await shown_link(link, PATH, request, ports)})


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
    return json_answer({"object": "customerPortal", **await shown_link(link, PATH, request, ports)})


def _new_link(
    purpose: str, merchant: str, subject_id: str, asked: LinkAsked | None, ports: Backend
) -> SignedLink:
    lasts = (asked or LinkAsked()).expires_in
    return SignedLink(
        purpose=purpose, merchant_id=merchant, subject_id=subject_id, expires_at=ports.clock.now() + lasts
    )


@pages.get(f"{PATH}{{token}}", response_model=None)
async def show(token: str, ports: Ports) -> Response:
    """The page of a link."""
    link = await opened(token, _CONTENTS, ports)
    async with ports.page_turns.turn(link.merchant_id):
        return portal_page(await _CONTENTS[link.purpose](link, ports))
