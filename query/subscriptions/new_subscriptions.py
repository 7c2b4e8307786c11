"""Subscribing: `POST /v0/subscriptions` (contract 3.10)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import Response
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, WithJsonSchema
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.customer import Consumer, Customer
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import Instant, render
from meterhouse.domain.subscription import (
    ChangeReason,
    ElapsedBilling,
    NewSubscription,
    Terms,
    VersionPolicy,
)
from query.answers import failures, model_answer
from query.backend import Merchant, Ports
from query.fields import Country, CustomerId, Email, Line, MaybeLine, Prose, TaxRates, Timestamp
from query.fields import Number as AnyNumber
from query.route import new_router
from query.subscriptions.wire import SubscriptionBody

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_KEPT: Final = (
    "ending_at", "test_clock_id", "elapsed_period_billing", "version_policy", "auto_charge", "tax_exempt",
    "payment_term_days", "renewal_reminder_enabled", "renewal_reminder_days", "metadata",
)  # fmt: skip
_MAX_DIGITS: Final = 400


def _tag(value: object) -> object:
    if isinstance(value, bool | str):
        return value
    if not isinstance(value, int | Decimal) or abs(Decimal(value).adjusted()) > _MAX_DIGITS:
        raise ValueError(f"must be text, true or false, or a number of at most {_MAX_DIGITS} digits")
    return value


Tag = Annotated[
    StrictBool | AnyNumber | Prose,
    BeforeValidator(_tag),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": 10_000}, {"type": "number"}, {"type": "boolean"}]}
    ),
]
Tags = Annotated[dict[Line, Tag], Field(max_length=50)]
Days = Annotated[int, Field(strict=True, ge=0, le=365)]
PlanId = Annotated[str, Field(pattern="^plan_[a-zA-Z0-9]+$", max_length=255)]
TestClockId = Annotated[str, Field(pattern="^tc_[a-zA-Z0-9]{16}$")]


class AddressOfSubscriber(BaseModel):
    """`postalCode` is another name of `zipCode`."""

    model_config = _CAMEL

    line1: MaybeLine | None = None
    line2: MaybeLine | None = None
    city: MaybeLine | None = None
    state: MaybeLine | None = None
    country: Country
    zip_code: Line = Field(
        validation_alias=AliasChoices("zipCode", "postalCode"), serialization_alias="zipCode"
    )


class Subscriber(BaseModel):
    """A consumer of the same email is the customer that it is already."""

    model_config = _CAMEL

    name: Line
    email: Email
    address: AddressOfSubscriber
    phone: Line | None = None
    tax_rates: TaxRates | None = None


class RedirectUrls(BaseModel):
    model_config = _CAMEL

    on_success: Prose | None = None
    on_failure: Prose | None = None


class SubscriptionAsked(BaseModel):
    """Either `customerId` or `customer`. There is no payment provider, so nothing is paid by redirects."""

    model_config = _CAMEL

    name: Line
    plan_id: PlanId
    started_at: Timestamp
    customer_id: CustomerId | None = None
    customer: Subscriber | None = None
    ending_at: Timestamp | None = None
    test_clock_id: TestClockId | None = None
    elapsed_period_billing: ElapsedBilling = ElapsedBilling.NONE
    version_policy: VersionPolicy = VersionPolicy.FLOATING
    auto_charge: StrictBool = False
    tax_exempt: StrictBool = False
    payment_term_days: Days = 0
    renewal_reminder_enabled: StrictBool | None = None
    renewal_reminder_days: Days | None = None
    metadata: Tags = {}
    redirect_urls: RedirectUrls | None = None
    session_expiry_minutes: Annotated[AnyNumber, Field(ge=1)] | None = None
    change_reason: ChangeReason = ChangeReason.UNSPECIFIED
    change_description: Prose | None = None
    change_metadata: Tags = {}

    def terms(self) -> Terms:
        return Terms(
            ending_at=self.ending_at,
            version_policy=self.version_policy,
            auto_charge=self.auto_charge,
            tax_exempt=self.tax_exempt,
            payment_term_days=self.payment_term_days,
            renewal_reminder_enabled=self.renewal_reminder_enabled,
            renewal_reminder_days=self.renewal_reminder_days,
        )

    def kept(self) -> dict[str, Any]:
        """What a repeated request has to have in common with this one, beside who, what and since when."""
        kept = self.model_dump(by_alias=True, include=set(_KEPT), exclude_none=True)
        return kept | ({} if self.ending_at is None else {"endingAt": render(self.ending_at)})


_ONE: Final[dict[str, Any]] = {"model": SubscriptionBody}


@router.post(
    "/v0/subscriptions",
    status_code=201,
    operation_id="createSubscription",
    responses={
        **failures(400, 404, 409, 413, 415),
        200: _ONE | {"description": "There is such a subscription already."},
        201: _ONE | {"description": "The subscription."},
    },
    response_model=None,
)
async def create(body: SubscriptionAsked, merchant: Merchant, ports: Ports) -> Response:
    """Subscribe a customer to a plan, and entitle it to all that the plan offers, at once.

    The same again, by customer, plan, name and start, is the subscription that was made.
    """
    wall = ports.clock.now()
    new = NewSubscription(
        id=new_id("sub"),
        merchant_id=merchant,
        customer_id=body.customer_id,
        customer=_customer(body, merchant, wall),
        name=body.name,
        plan_id=body.plan_id,
        started_at=body.started_at,
        elapsed_billing=body.elapsed_period_billing,
        terms=body.terms(),
        metadata=body.metadata,
        test_clock_id=body.test_clock_id,
        asked=body.kept(),
        created_at=wall,
    )
    made = await ports.subscribed.subscriptions.create(new)
    status = 201 if made.id == new.id else 200
    return model_answer(SubscriptionBody.of(made, wall), status)


def _customer(body: SubscriptionAsked, merchant: str, at: Instant) -> Customer | None:
    """Who is to become a customer; None where one is named."""
    match body.customer_id, body.customer:
        case str(), None:
            return None
        case None, Subscriber() as new:
            return _subscriber(new, merchant, at)
        case None, None:
            raise Invalid.field("customerId", "is required, unless customer is given", "required")
    raise Invalid.field("customerId", "cannot be given beside customer")


def _subscriber(new: Subscriber, merchant: str, at: Instant) -> Customer:
    known = new.address.model_dump(by_alias=True).items()
    return Customer(
        id=new_id("cus"),
        merchant_id=merchant,
        consumer=Consumer(
            id=new_id("org"),
            name=new.name,
            email=new.email,
            address={name: text for name, text in known if text},
            phone=new.phone,
        ),
        tax_id=None,
        external_id=None,
        tax_rates=new.tax_rates or {},
        created_at=at,
        updated_at=at,
    )
