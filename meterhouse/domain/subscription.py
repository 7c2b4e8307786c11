"""Subscriptions: which customer pays for which plan, since when, and until when (contract 3.10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from meterhouse.domain.customer import Consumer, Customer
from meterhouse.domain.duration import Duration
from meterhouse.domain.errors import Conflict, Invalid
from meterhouse.domain.instant import DAY, Instant

_BACKDATED: Final = DAY  # a start further back than this is: what the published clients say of billing it
_LONGEST_ELAPSED: Final = Duration(months=12)


class SubscriptionStatus(StrEnum):
    """Nothing waits for a payment here, as there is no payment provider: a subscription is active at once."""

    PENDING_PAYMENT = "pending_payment"
    ACTIVE = "active"
    TERMINATED = "terminated"


class VersionPolicy(StrEnum):
    """FLOATING follows the default version of the plan, PINNED keeps one."""

    FLOATING = "floating"
    PINNED = "pinned"


class ElapsedBilling(StrEnum):
    """Whether what fell due before a backdated subscription was made is billed."""

    NONE = "none"
    PER_PERIOD = "per_period"


class ChangeReason(StrEnum):
    """Why something about a subscription changed."""

    COMMERCIAL = "commercial"
    CORRECTION = "correction"
    MIGRATION = "migration"
    UNSPECIFIED = "unspecified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a subscription may change. None leaves a reminder to the plan; `ending_at` None is no end."""

    ending_at: Instant | None = None
    version_policy: VersionPolicy = VersionPolicy.FLOATING
    auto_charge: bool = False
    tax_exempt: bool = False
    payment_term_days: int = 0
    renewal_reminder_enabled: bool | None = None
    renewal_reminder_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """That it is over from `at` on. `by` is the customer's or the merchant's id."""

    at: Instant
    by: str | None = None
    reason: str | None = None
    change_reason: ChangeReason = ChangeReason.UNSPECIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A customer's subscription of a plan.

    `plan_version_id` and `version_number` are the version that it began with. Billing periods are whole
    `billing_cadence`s (ISO 8601) away from `billing_anchor`; both are as the plan had them at the beginning.
    `clock_at` is where its test clock stands, None without one; `consumer` None once the customer is deleted.
    """

    id: str
    merchant_id: str
    customer_id: str
    consumer: Consumer | None = None
    name: str
    plan_id: str
    plan_version_id: str
    version_number: int
    started_at: Instant
    elapsed_billing: ElapsedBilling
    billing_starts_at: Instant
    billing_anchor: Instant
    billing_cadence: str
    terms: Terms
    metadata: Mapping[str, Any] = field(default_factory=dict)
    test_clock_id: str | None = None
    clock_at: Instant | None = None
    termination: Termination | None = None
    created_at: Instant
    updated_at: Instant

    def now(self, wall: Instant) -> Instant:
        """What the time is for all that belongs to it: its test clock's, or that of the wall."""
        return wall if self.clock_at is None else self.clock_at

    def ended(self, wall: Instant) -> Termination | None:
        """How it came to its end, if it has by now: it was terminated, or its end was foreseen."""
        ending_at = self.terms.ending_at
        if self.termination is None and ending_at is not None and ending_at <= self.now(wall):
            return Termination(at=ending_at)
        return self.termination

    def status(self, wall: Instant) -> SubscriptionStatus:
        return SubscriptionStatus.ACTIVE if self.ended(wall) is None else SubscriptionStatus.TERMINATED

    def terminated(self, how: Termination, wall: Instant) -> Subscription:
        """The subscription, over from `how.at` on, or from now on if that is earlier.

        One that is over already stays as it is, so that asking again changes nothing.
        """
        if self.ended(wall) is not None:
            return self
        at = min(how.at, self.now(wall))
        return replace(self, termination=replace(how, at=at), updated_at=wall)

    def agreed(self, terms: Terms, wall: Instant) -> Subscription:
        """The subscription under other terms. Raises Conflict when it is over, Invalid for an end that has
        passed.
        """
        if self.ended(wall) is not None:
            raise Conflict(f"the subscription {self.id} is terminated")
        if terms.ending_at != self.terms.ending_at:
            _require_end(terms.ending_at, max(self.started_at, self.now(wall)))
        return replace(self, terms=terms, updated_at=wall)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubscription:
    """What is asked for: of a customer there is, or of `customer`, who becomes one.

    `asked` is the request, by which a repeated one is known; `created_at` is when it came.
    """

    id: str
    merchant_id: str
    customer_id: str | None = None
    customer: Customer | None = None
    name: str
    plan_id: str
    started_at: Instant
    elapsed_billing: ElapsedBilling = ElapsedBilling.NONE
    terms: Terms = Terms()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    test_clock_id: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """What a subscription takes from its plan as it begins."""

    version_id: str
    version_number: int
    billing_anchor: Instant | None
    billing_cadence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionFilter:
    """Which subscriptions, as of `at`, which is now where no test clock says otherwise.

    `started_by` includes those that start at it; no `statuses` are all of them.
    """

    customer_id: str | None = None
    consumer_id: str | None = None
    statuses: frozenset[SubscriptionStatus] = frozenset()
    started_by: Instant | None = None
    at: Instant


def begin(new: NewSubscription, customer_id: str, sold: Sold, clock_at: Instant | None) -> Subscription:
    """The subscription that is asked for. Raises Invalid.

    One that starts more than a day back is billed from now on, unless its elapsed periods are to be billed.
    """
    now = new.created_at if clock_at is None else clock_at
    _require_end(new.terms.ending_at, max(new.started_at, now))
    is_backdated = new.started_at < now - _BACKDATED
    if is_backdated and new.elapsed_billing is ElapsedBilling.PER_PERIOD:
        if new.started_at < _LONGEST_ELAPSED.after(now, -1):
            raise Invalid.field(
                "startedAt", "must not be over 12 months back where elapsed periods are billed"
            )
        is_backdated = False
    return Subscription(
        id=new.id,
        merchant_id=new.merchant_id,
        customer_id=customer_id,
        name=new.name,
        plan_id=new.plan_id,
        plan_version_id=sold.version_id,
        version_number=sold.version_number,
        started_at=new.started_at,
        elapsed_billing=new.elapsed_billing,
        billing_starts_at=now if is_backdated else new.started_at,
        billing_anchor=new.started_at if sold.billing_anchor is None else sold.billing_anchor,
        billing_cadence=sold.billing_cadence,
        terms=new.terms,
        metadata=new.metadata,
        test_clock_id=new.test_clock_id,
        clock_at=clock_at,
        created_at=new.created_at,
        updated_at=new.created_at,
    )


def _require_end(ending_at: Instant | None, after: Instant) -> None:
    if ending_at is not None and ending_at <= after:
        raise Invalid.field("endingAt", "must be after startedAt, and must not have passed")
