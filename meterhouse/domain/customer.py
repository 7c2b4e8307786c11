"""Customers of a merchant, and the consumers that they are (contract 3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from meterhouse.domain.instant import Instant

_TAX_NEEDS: Final = ("line1", "city", "country", "zipCode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A person or an organization, which one merchant alone knows, by its email.

    `address` has what is known of line1, line2, city, state, country (two letters) and zipCode.
    """

    id: str
    name: str
    email: str
    address: Mapping[str, str]
    phone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifications:
    """The emails that a customer wants."""

    invoice_issued: bool = True
    invoice_paid: bool = True
    renewal_reminder: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A consumer as the customer of a merchant, which may call it by an `external_id` of its own.

    `tax_rates` are percentages from 0 to 100, by plan, billable metric or "default".
    """

    id: str
    merchant_id: str
    consumer: Consumer
    tax_id: str | None
    external_id: str | None
    tax_rates: Mapping[str, Decimal]
    notifications: Notifications = Notifications()
    created_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFilter:
    """Which customers: parts of the consumer's name and email, whatever their case; a whole external id."""

    name: str | None = None
    email: str | None = None
    external_id: str | None = None


def caseless(text: str) -> str:
    """`text` as names and emails are compared: ACME and acme are one."""
    return text.casefold()


def missing_for_tax(address: Mapping[str, str]) -> tuple[str, ...]:
    """What the address lacks to work taxes out with; nothing when it is valid for that."""
    return tuple([name for name in _TAX_NEEDS if not address.get(name)])
