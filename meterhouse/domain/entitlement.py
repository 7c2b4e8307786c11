"""Entitlements: which feature a customer has, since when, and how much of it (contract 3.4, 4.5, 4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple, assert_never

from meterhouse.domain.allowance import Allowance
from meterhouse.domain.duration import Duration
from meterhouse.domain.errors import Invalid
from meterhouse.domain.feature import FeatureType
from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import Instant
from meterhouse.domain.recurrence import Recurrence
from meterhouse.domain.window import Window


@dataclass(frozen=True, slots=True)
class Boolean:
    """The feature, or not."""


@dataclass(frozen=True, slots=True)
class Static:
    """The feature as `config` describes it, any JSON object."""

    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UsagePeriod:
    """Usage begins anew every `interval`, counted from `anchor`, or from where the entitlement begins."""

    interval: Duration
    anchor: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """So much of the feature. Without a usage period it is granted once, and never reset.

    `issue_after_reset` is the amount of the template's grant, 0 for none; the rollovers and the priority are
    that grant's. A soft limit gives access without a balance too.
    """

    usage_period: UsagePeriod | None = None
    is_soft_limit: bool = False
    issue_after_reset: Decimal = Decimal(0)
    issue_after_reset_priority: int = 0
    preserve_overage_at_reset: bool = False
    reset_max_rollover: Decimal = Decimal(0)  # contract 10, decision 14
    reset_min_rollover: Decimal = Decimal(0)


Template = Boolean | Static | Metered

MAX_PERIODS: Final = 10_000  # more usage periods than this are too much work for one balance


def type_of(template: Template) -> FeatureType:
    """The type of feature that the template is for."""
    match template:
        case Boolean():
            return FeatureType.BOOLEAN
        case Static():
            return FeatureType.STATIC
        case Metered():
            return FeatureType.METERED
    assert_never(template)


class Status(StrEnum):
    """Before it begins an entitlement is active too, without access."""

    ACTIVE = "active"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Period(NamedTuple):
    """[start, end); None where it is open, or not known."""

    start: Instant | None
    end: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """A customer's claim to a feature in [active_from, ends_at)."""

    id: str
    merchant_id: str
    customer_id: str
    feature_id: str
    template: Template
    active_from: Instant
    active_to: Instant | None = None
    canceled_at: Instant | None = None
    subscription_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: Instant

    @property
    def ends_at(self) -> Instant | None:
        """When it was canceled, or expires, whichever is first. Its balance stays what it was just before."""
        ends = [end for end in (self.active_to, self.canceled_at) if end is not None]
        return min(ends, default=None)

    @property
    def recurrence(self) -> Recurrence | None:
        """Where its usage periods begin."""
        if not isinstance(self.template, Metered) or self.template.usage_period is None:
            return None
        period = self.template.usage_period
        return Recurrence(self.active_from if period.anchor is None else period.anchor, period.interval)

    def status(self, at: Instant) -> Status:
        """Whichever of its ends came first; canceled where both fall together, since somebody did that."""
        if self.ends_at is None or at < self.ends_at:
            return Status.ACTIVE
        return Status.CANCELED if self.ends_at == self.canceled_at else Status.EXPIRED

    def has_access(self, at: Instant, balance: Decimal = Decimal(0)) -> bool:
        """Whether the feature may be used at `at`; `balance` is what there is then of a metered one."""
        if at < self.active_from or self.status(at) is not Status.ACTIVE:
            return False
        match self.template:
            case Boolean() | Static():
                return True
            case Metered(is_soft_limit=soft):
                return soft or balance > 0
        assert_never(self.template)

    def current_period(self, at: Instant, *, subscribed_at: Instant | None = None) -> Period:
        """The usage period that `at` lies in: the last one, once the entitlement has ended (contract 4.7).

        It starts at the last reset, or with the entitlement, and ends where the calendar ends it, whether or
        not the entitlement ends before. Before it begins: from the start of its subscription, if it has one.
        """
        if at < self.active_from:
            return Period(subscribed_at, self.active_from)
        recurrence, moment = self.recurrence, self._last_moment(at)
        if recurrence is None:
            return Period(self.active_from, None)
        last = recurrence.last_at_or_before(moment)
        start = self.active_from if last is None else max(self.active_from, last)
        return Period(start, recurrence.first_after(moment))

    def resets_by(self, at: Instant) -> tuple[Instant, ...]:
        """When its usage has begun anew up to and including `at`: after it began, and before it ended."""
        if self.recurrence is None:
            return ()
        return self.recurrence.within(Window(self.active_from + 1, self._last_moment(at) + 1))

    def allowance(self, grants: tuple[Grant, ...], at: Instant) -> Allowance:
        """What a balance at `at` is worked out from. `grants` are all it has, the template's among them."""
        return Allowance(
            start=self.active_from,
            end=self.ends_at,
            grants=grants,
            resets=self.resets_by(at),
            preserve_overage=isinstance(self.template, Metered) and self.template.preserve_overage_at_reset,
        )

    def _last_moment(self, at: Instant) -> Instant:
        """`at`, or the last microsecond before the end, but not before the beginning."""
        return at if self.ends_at is None else max(self.active_from, min(at, self.ends_at - 1))


def require_bearable(entitlement: Entitlement, at: Instant, named: str) -> None:
    """Raises Invalid for the field `named` where too many usage periods lie before `at`."""
    if len(entitlement.resets_by(at)) > MAX_PERIODS:
        message = f"has more than {MAX_PERIODS} usage periods between activeFrom and it"
        raise Invalid.field(named, message)


def template_grant(entitlement: Entitlement, *, id: str) -> Grant | None:
    """The grant that the template issues, whole, at the beginning and at every reset; None if it issues none.

    It ends with the entitlement alone (contract 10, decision 14; 10.3, decisions 28 and 29).
    """
    template = entitlement.template
    if not isinstance(template, Metered) or not template.issue_after_reset:
        return None
    return Grant(
        id=id,
        amount=template.issue_after_reset,
        priority=template.issue_after_reset_priority,
        effective_at=entitlement.active_from,
        created_at=entitlement.created_at,
        reset_max_rollover=template.reset_max_rollover,
        reset_min_rollover=template.reset_min_rollover,
        recurrence=entitlement.recurrence,
    )
