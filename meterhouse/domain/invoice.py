"""Invoices: what customers were asked to pay. Those of purchased grants are the only ones there are yet."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from meterhouse.domain.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """`amount` is of `currency` (ISO 4217), without tax; the customer may have been deleted since.

    The plan is the one of the subscription, None where what was bought belongs to none.
    """

    id: str
    customer_id: str
    subscription_id: str | None
    plan_id: str | None = None
    plan_name: str | None = None
    currency: str
    amount: Decimal
    issued_at: Instant
    paid_at: Instant | None
