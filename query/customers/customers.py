"""Customers (contract 3.6)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.customer import Consumer, Customer, CustomerFilter
from meterhouse.domain.errors import Invalid
from query.answers import failures, model_answer
from query.backend import Backend, Merchant, Ports
from query.customers.wire import CustomerBody, CustomerCreatedBody, TaxAddressBody
from query.fields import (
    ConsumerId,
    Country,
    Email,
    Line,
    MaybeLine,
    MerchantId,
    PageLimit,
    PageOffset,
    Part,
    TaxRates,
    TaxRatesOrOne,
    checked_id,
)
from query.route import new_router
from query.sales.products import own_merchant, refuse_nulls
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)


class Address(BaseModel):
    """`postalCode` is another name of `zipCode`. What is empty or null is not known."""

    model_config = _CAMEL

    line1: MaybeLine | None = None
    line2: MaybeLine | None = None
    city: MaybeLine | None = None
    state: MaybeLine | None = None
    country: Country | None = None
    zip_code: MaybeLine | None = Field(
        default=None, validation_alias=AliasChoices("zipCode", "postalCode"), serialization_alias="zipCode"
    )


class NewConsumer(BaseModel):
    model_config = _CAMEL

    name: Line
    email: Email
    address: Address
    phone: Line | None = None


class NewCustomer(BaseModel):
    """Either `consumer` or `consumerId`. A consumer of the same email is the one that is known already."""

    model_config = _CAMEL

    merchant_id: MerchantId
    consumer: NewConsumer | None = None
    consumer_id: ConsumerId | None = None
    tax_id: Line | None = None
    external_id: Line | None = None
    tax_rates: TaxRates | None = None


class NotificationChanges(BaseModel):
    """What is absent stays as it is."""

    model_config = _CAMEL

    invoice_issued: StrictBool | None = None
    invoice_paid: StrictBool | None = None
    renewal_reminder: StrictBool | None = None


class CustomerChanges(BaseModel):
    """What is absent stays as it is; null clears `taxId` and `externalId`. One rate is the default one."""

    model_config = _CAMEL

    tax_id: Line | None = None
    external_id: Line | None = None
    tax_rates: TaxRatesOrOne | None = None
    notification_settings: NotificationChanges | None = None


class CustomersAsked(BaseModel):
    """`organizationId` or `merchantId`, two names of one thing. `name` and `email` may be parts of them."""

    model_config = _CAMEL

    organization_id: MerchantId | None = None
    merchant_id: MerchantId | None = None
    name: Part | None = None
    email: Part | None = None
    external_id: Line | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


@router.post(
    "/v0/customers",
    status_code=201,
    operation_id="createCustomer",
    responses={
        **failures(400, 403, 404, 409, 413, 415),
        200: {"model": CustomerCreatedBody, "description": "The consumer is a customer already."},
    },
)
async def create(
    body: NewCustomer, merchant: Merchant, ports: Ports, response: Response
) -> CustomerCreatedBody:
    """Create a customer, unless the consumer is one already; then that one is the answer, as it is."""
    own_merchant(body.merchant_id, merchant)
    consumer = await _consumer_of(body, merchant, ports)
    now = ports.clock.now()
    customer = Customer(
        id=new_id("cus"),
        merchant_id=merchant,
        consumer=consumer,
        tax_id=body.tax_id,
        external_id=body.external_id,
        tax_rates=body.tax_rates or {},
        created_at=now,
        updated_at=now,
    )
    stored = await ports.customers.create(customer)
    if stored.id != customer.id:
        response.status_code = 200
    return CustomerCreatedBody(customer_id=stored.id, valid_tax_address=TaxAddressBody.of(stored.consumer))


async def _consumer_of(body: NewCustomer, merchant: str, ports: Backend) -> Consumer:
    match body.consumer, body.consumer_id:
        case None, None:
            raise Invalid.field("consumer", "is required, unless consumerId is given", "required")
        case None, str(id):
            return await ports.customers.consumer(merchant, id)
        case NewConsumer() as new, None:
            known = new.address.model_dump(by_alias=True).items()
            return Consumer(
                id=new_id("org"),
                name=new.name,
                email=new.email,
                address={name: text for name, text in known if text},
                phone=new.phone,
            )
    raise Invalid.field("consumerId", "cannot be given beside consumer")


@router.get(
    "/v0/customers",
    operation_id="listCustomers",
    responses={
        **failures(400, 403),
        200: {"model": ListBody[CustomerBody], "description": "One page."},
    },
    response_model=None,
)
async def page(asked: Annotated[CustomersAsked, Query()], merchant: Merchant, ports: Ports) -> Response:
    """List customers, oldest first."""
    if asked.organization_id is None and asked.merchant_id is None:
        raise Invalid.field("organizationId", "is required", "required")
    own_merchant(asked.organization_id, merchant)
    own_merchant(asked.merchant_id, merchant)
    wanted = CustomerFilter(name=asked.name, email=asked.email, external_id=asked.external_id)
    found = await ports.customers.page(merchant, wanted, asked.limit, asked.offset)
    data = [CustomerBody.of(customer) for customer in found.items]
    return model_answer(ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset)))


_ONE: dict[int | str, dict[str, Any]] = {200: {"model": CustomerBody, "description": "The customer."}}


@router.get(
    "/v0/customers/{id}",
    operation_id="getCustomer",
    responses={**failures(404), **_ONE},
    response_model=None,
)
async def get(id: str, merchant: Merchant, ports: Ports) -> Response:
    """Get a customer."""
    return model_answer(CustomerBody.of(await ports.customers.get(merchant, _checked(id))))


@router.patch(
    "/v0/customers/{id}",
    operation_id="updateCustomer",
    responses={**failures(400, 404, 409, 413, 415), **_ONE},
    response_model=None,
)
async def update(id: str, body: CustomerChanges, merchant: Merchant, ports: Ports) -> Response:
    """Change a customer's tax rates, notifications or external id; what is absent stays."""
    id = _checked(id)
    changes = decide_changes(body.model_dump(exclude_unset=True))
    if not changes:
        return model_answer(CustomerBody.of(await ports.customers.get(merchant, id)))
    changes["updated_at"] = ports.clock.now()
    return model_answer(CustomerBody.of(await ports.customers.update(merchant, id, changes)))


def decide_changes(asked: dict[str, Any]) -> dict[str, object]:
    """The fields of a customer to set, those of its notifications among them. Raises Invalid for nulls."""
    refuse_nulls(asked, "tax_id", "external_id")
    settings: dict[str, object] = asked.pop("notification_settings", {})
    refuse_nulls(settings, within="notificationSettings.")
    return asked | settings


@router.delete(
    "/v0/customers/{id}", status_code=204, operation_id="deleteCustomer", responses=failures(404, 409)
)
async def delete(id: str, merchant: Merchant, ports: Ports) -> None:
    """Delete a customer. Its externalId is free again; what is known of the consumer stays."""
    await ports.customers.delete(merchant, _checked(id), ports.clock.now())


def _checked(id: str) -> str:
    return checked_id(id, "cus", "customer")
