"""Customers as JSON (contract 3.6 and 9)."""

from __future__ import annotations

from operator import not_
from typing import Literal

from pydantic import ConfigDict, Field

from meterhouse.domain.customer import Consumer, Customer, missing_for_tax
from meterhouse.domain.instant import render
from query.wire import Moment, Number, Wire


class AddressBody(Wire):
    """Only what is known of it."""

    line1: str = Field(default="", exclude_if=not_)
    line2: str = Field(default="", exclude_if=not_)
    city: str = Field(default="", exclude_if=not_)
    state: str = Field(default="", exclude_if=not_)
    country: str = Field(default="", exclude_if=not_)
    zip_code: str = Field(default="", exclude_if=not_)


class TaxAddressBody(Wire):
    valid: bool
    message: str = Field(default="", description="Only where it is not valid.", exclude_if=not_)

    @classmethod
    def of(cls, consumer: Consumer) -> TaxAddressBody:
        missing = missing_for_tax(consumer.address)
        return cls(valid=not missing, message=f"the address lacks {', '.join(missing)}" if missing else "")


class CustomerCreatedBody(Wire):
    customer_id: str
    valid_tax_address: TaxAddressBody


class OrganizationBody(Wire):
    """The consumer."""

    id: str
    name: str
    address: AddressBody
    billing_emails: list[str]
    phone: str = Field(default="", description="Only where there is one.", exclude_if=not_)

    @classmethod
    def of(cls, consumer: Consumer) -> OrganizationBody:
        return cls(
            id=consumer.id,
            name=consumer.name,
            address=AddressBody.model_validate(consumer.address),
            billing_emails=[consumer.email],
            phone=consumer.phone or "",
        )


class NotificationsBody(Wire):
    model_config = ConfigDict(from_attributes=True)

    invoice_issued: bool
    invoice_paid: bool
    renewal_reminder: bool


class CustomerBody(Wire):
    id: str
    object: Literal["customer"] = "customer"
    merchant_id: str
    consumer_id: str
    organization: OrganizationBody
    tax_id: str = Field(default="", description="Only where there is one.", exclude_if=not_)
    external_id: str = Field(default="", description="Only where there is one.", exclude_if=not_)
    tax_rates: dict[str, Number] = Field(default={}, description="Only where there are any.", exclude_if=not_)
    notification_settings: NotificationsBody
    valid_tax_address: TaxAddressBody
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, customer: Customer) -> CustomerBody:
        return cls(
            id=customer.id,
            merchant_id=customer.merchant_id,
            consumer_id=customer.consumer.id,
            organization=OrganizationBody.of(customer.consumer),
            tax_id=customer.tax_id or "",
            external_id=customer.external_id or "",
            tax_rates=dict(customer.tax_rates),
            notification_settings=NotificationsBody.model_validate(customer.notifications),
            valid_tax_address=TaxAddressBody.of(customer.consumer),
            created_at=render(customer.created_at),
            updated_at=render(customer.updated_at),
        )
