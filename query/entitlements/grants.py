"""Grants of entitlements, and purchases of them (contract 3.5)."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.adapters.catalog.ids import new_hex, new_id
from meterhouse.domain.entitlement import Metered, Status
from meterhouse.domain.errors import Conflict, Invalid
from meterhouse.domain.grant import UNLIMITED, Grant
from meterhouse.domain.grant_document import document_of
from meterhouse.domain.holding import GivenGrant, Purchase
from meterhouse.domain.instant import Instant, parse, render
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.entitlements.body import number
from query.entitlements.entitlements import checked
from query.entitlements.templates import Priority, Rollover
from query.fields import Line, PageLimit, PageOffset, Prose, Timestamp, checked_id
from query.fields import Number as AnyNumber
from query.route import new_router
from query.wire import ListBody, Moment, Number, Wire, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_PRICE: Final = re.compile(r"\d+(\.\d{1,9})?", re.ASCII)
_CHEAPEST, _DEAREST = Decimal("0.50"), Decimal("4503599.62")


def _price(text: str) -> str:
    if not _PRICE.fullmatch(text) or not _CHEAPEST <= Decimal(text) <= _DEAREST:
        raise ValueError(f"must be a decimal number from {_CHEAPEST} to {_DEAREST} as text, such as 5.00")
    return text


Amount = Annotated[AnyNumber, Field(gt=0, lt=10**20, decimal_places=18)]
PurchasedAmount = Annotated[AnyNumber, Field(gt=0, lt=10**12, decimal_places=8)]
Price = Annotated[
    str,
    Field(max_length=20),
    AfterValidator(_price),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d{1,9})?$", "examples": ["5.00"]}),
]


class Granted(BaseModel):
    """What is common to grants, bought or not."""

    model_config = _CAMEL

    idempotency_key: Line
    effective_at: Timestamp | None = None
    expires_at: Timestamp | None = None
    reset_max_rollover: Rollover | None = None
    reset_min_rollover: Rollover | None = None

    def asked(self) -> dict[str, Any]:
        """What was asked for, without its key and without what is as if it were not given."""
        given = self.model_dump(by_alias=True, exclude_none=True, exclude={"idempotency_key"})
        moments = {name: render(given[name]) for name in ("effectiveAt", "expiresAt") if name in given}
        return given | moments


class NewGrant(Granted):
    """`amount` more from `effectiveAt` on, burned before grants of a higher `priority`."""

    amount: Amount
    priority: Priority | None = None


class NewPurchase(Granted):
    """`price` is in dollars; the grant is made when the purchase is marked as paid."""

    amount: PurchasedAmount
    price: Price
    success_url: Prose | None = None
    cancel_url: Prose | None = None
    payment_expires_at: Timestamp | None = None

    def asked(self) -> dict[str, Any]:
        given = super().asked()
        until = (
            {} if self.payment_expires_at is None else {"paymentExpiresAt": render(self.payment_expires_at)}
        )
        return given | until


class GrantBody(Wire):
    id: str
    object: Literal["grant"] = "grant"
    entitlement_id: str
    amount: Number
    effective_at: Moment
    expires_at: Moment | None
    voided_at: Moment | None
    created_at: Moment
    recurrence_period: str | None
    idempotency_key: str | None
    reset_max_rollover: Number
    reset_min_rollover: Number
    priority: int


class PaymentSessionBody(Wire):
    url: str


class PurchaseBody(Wire):
    object: Literal["grant_purchase"] = "grant_purchase"
    invoice_id: str
    entitlement_id: str
    grant_amount: Number
    price: str
    currency: str
    payment_sessions: list[PaymentSessionBody]


class GrantsAsked(BaseModel):
    model_config = _CAMEL

    include_voided: bool = False
    limit: PageLimit = 20
    offset: PageOffset = 0


_GRANT: Final[dict[str, Any]] = {"model": GrantBody, "description": "The grant."}
_ALL: Final = "/v1/entitlements/{entitlementId}/grants"


@router.post(
    _ALL,
    status_code=201,
    operation_id="createEntitlementGrant",
    responses={**failures(400, 403, 404, 409, 413, 415), 201: _GRANT},
    response_model=None,
)
async def create(
    entitlementId: str,  # noqa: N803 # the contract's name
    body: NewGrant,
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """Grant more of a metered feature. The same again under one idempotencyKey is one grant."""
    made_at = ports.clock.now()
    now = await _open_now(ports, merchant, entitlementId, made_at)
    asked = body.asked()
    given = GivenGrant(
        grant=replace(_grant(asked, id=new_id("grt"), at=now), created_at=made_at),
        entitlement_id=entitlementId,
        idempotency_key=body.idempotency_key,
        asked=asked,
    )
    return json_answer(grant_body(await ports.holdings.grants.create(merchant, given)), status=201)


async def _open_now(ports: Backend, merchant: str, id: str, wall: Instant) -> Instant:
    """What the time is for an entitlement. Raises Conflict for one that no grant can add to then."""
    holding = await ports.holdings.entitlements.get(merchant, checked(id))
    entitlement, now = holding.entitlement, holding.now(wall)
    if not isinstance(entitlement.template, Metered):
        raise Conflict(f"the entitlement {id} is not metered, so that there is nothing to grant more of")
    status = entitlement.status(now)
    if status is not Status.ACTIVE:
        raise Conflict(f"the entitlement {id} is {status}")
    return now


def _grant(asked: dict[str, Any], *, id: str, at: Instant) -> Grant:
    """The grant that was asked for, made at `at`. Raises Invalid for one that would never be active."""
    effective_at = parse(asked["effectiveAt"]) if "effectiveAt" in asked else at
    expires_at = parse(asked["expiresAt"]) if "expiresAt" in asked else None
    if expires_at is not None and expires_at <= effective_at:
        raise Invalid.field("expiresAt", "must be after effectiveAt")
    return Grant(
        id=id,
        amount=Decimal(asked["amount"]),
        effective_at=effective_at,
        created_at=at,
        priority=asked.get("priority", 0),
        expires_at=expires_at,
        reset_max_rollover=Decimal(asked.get("resetMaxRollover", UNLIMITED)),
        reset_min_rollover=Decimal(asked.get("resetMinRollover", 0)),
    )


@router.get(
    _ALL,
    operation_id="listEntitlementGrants",
    responses={**failures(400, 404), 200: {"model": ListBody[GrantBody], "description": "One page."}},
    response_model=None,
)
async def page(
    entitlementId: str,  # noqa: N803 # the contract's name
    asked: Annotated[GrantsAsked, Query()],
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """List the grants of an entitlement, oldest first."""
    found = await ports.holdings.grants.page(
        merchant,
        checked(entitlementId),
        voided=asked.include_voided,
        limit=asked.limit,
        offset=asked.offset,
    )
    data = [grant_body(one) for one in found.items]
    of_page = pagination(found, asked.limit, asked.offset).model_dump()
    return json_answer({"object": "list", "data": data, "pagination": of_page})


@router.get(
    f"{_ALL}/{{grantId}}",
    operation_id="getEntitlementGrant",
    responses={**failures(404), 200: _GRANT},
    response_model=None,
)
async def get(
    entitlementId: str,  # noqa: N803 # the contract's name
    grantId: str,  # noqa: N803 # the same
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """Get a grant."""
    found = await ports.holdings.grants.get(merchant, checked(entitlementId), _checked(grantId))
    return json_answer(grant_body(found))


@router.delete(
    f"{_ALL}/{{grantId}}",
    operation_id="voidEntitlementGrant",
    responses={**failures(404), 200: _GRANT},
    response_model=None,
)
async def void(
    entitlementId: str,  # noqa: N803 # the contract's name
    grantId: str,  # noqa: N803 # the same
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """Void a grant: what is left of it is gone from now on. Again changes nothing."""
    ids = checked(entitlementId), _checked(grantId)
    return json_answer(grant_body(await ports.holdings.grants.void(merchant, *ids, ports.clock.now())))


@router.post(
    f"{_ALL}/purchase",
    status_code=201,
    operation_id="purchaseEntitlementGrant",
    responses={
        **failures(400, 403, 404, 409, 413, 415),
        201: {"model": PurchaseBody, "description": "To be paid."},
    },
    response_model=None,
)
async def purchase(
    entitlementId: str,  # noqa: N803 # the contract's name
    body: NewPurchase,
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """Buy a grant. There is no payment provider: whoever collects the money marks the purchase as paid."""
    now = await _open_now(ports, merchant, entitlementId, ports.clock.now())
    asked = body.asked()
    _grant(asked, id="grt_0", at=now)  # whether there could be such a grant
    ordered = await ports.holdings.purchases.order(
        merchant,
        Purchase(
            invoice_id=new_hex("inv"),
            entitlement_id=entitlementId,
            idempotency_key=body.idempotency_key,
            asked=asked,
            grant_id=new_id("grt"),
            created_at=now,
        ),
    )
    answer = {
        "object": "grant_purchase",
        "invoiceId": ordered.invoice_id,
        "entitlementId": ordered.entitlement_id,
        "grantAmount": number(Decimal(ordered.asked["amount"])),
        "price": ordered.asked["price"],
        "currency": "usd",
        "paymentSessions": [],
    }
    return json_answer(answer, status=201)


@router.post(
    "/api/v1/grant-purchases/{invoiceId}/payment",
    operation_id="payGrantPurchase",
    responses={**failures(404, 413, 415), 200: _GRANT},
    response_model=None,
)
async def pay(
    invoiceId: str,  # noqa: N803 # as the contract names it
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """Mark a purchase as paid, which makes its grant. Again answers with the same grant."""
    made_at = ports.clock.now()

    def grant(bought: Purchase, at: Instant) -> Grant:
        return replace(_grant(dict(bought.asked), id=bought.grant_id, at=at), created_at=made_at)

    id = checked_id(invoiceId, "inv", "purchase")
    paid = await ports.holdings.purchases.pay(merchant, id, grant, made_at)
    return json_answer(grant_body(paid))


def grant_body(given: GivenGrant) -> dict[str, object]:
    """The JSON of a grant, with exact numbers."""
    document = document_of(given)
    return {name: number(one) if isinstance(one, Decimal) else one for name, one in document.items()}


def _checked(id: str) -> str:
    return checked_id(id, "grt", "grant")
