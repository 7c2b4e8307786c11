"""What customers hold: entitlements, all that their balances come from, and the grants of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meterhouse.domain.entitlement import Entitlement
from meterhouse.domain.feature import Feature
from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """An entitlement, its feature, and what its balance is worked out from.

    `billable_metric_id` is what a metered one is measured by, `external_id` the customer's current one. Of
    its subscription, if it has one: when that starts, and where the test clock stands that it runs on.
    """

    entitlement: Entitlement
    feature: Feature
    billable_metric_id: str | None = None
    external_id: str | None = None
    grants: tuple[Grant, ...] = ()
    subscribed_at: Instant | None = None
    clock_at: Instant | None = None

    def now(self, wall: Instant) -> Instant:
        """What the time is for it: its test clock's, or that of the wall (contract 3.8)."""
        return wall if self.clock_at is None else self.clock_at


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingFilter:
    """Which entitlements. Those that have ended `at` an instant come after those that have not.

    Where that `is_now`, the test clock of an entitlement says when it is.
    """

    customer_id: str | None = None
    external_customer_id: str | None = None
    subscription_id: str | None = None
    feature_key: str | None = None
    product_id: str | None = None
    at: Instant
    is_now: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenGrant:
    """A grant of an entitlement. The template's has no `idempotency_key`, and nobody `asked` for it."""

    grant: Grant
    entitlement_id: str
    idempotency_key: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A grant that somebody is to pay for: what was `asked` is granted when it is paid (contract 10, 12)."""

    invoice_id: str
    entitlement_id: str
    idempotency_key: str
    asked: Mapping[str, Any]
    grant_id: str
    created_at: Instant
    paid_at: Instant | None = None
