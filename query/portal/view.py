"""What the page shows that a customer sees of a subscription: names, exact numbers and instants as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final, assert_never

import msgspec

from meterhouse.domain.balance import Balance
from meterhouse.domain.entitlement import Boolean, Metered, Static, Status
from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import Instant
from meterhouse.domain.rollup import EXACT
from query.entitlements.balances import Standing
from query.page_words import Moment, grouped, moment
from query.portal.chart import Chart, chart_of
from query.portal.days import UsageByDay

WHOLE: Final = 1_000  # the width of a bar
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """A grant that is active or yet to come; `left` is None for the latter."""

    amount: str
    left: str | None
    begins: Moment
    ends: Moment | None
    recurs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What is left of a metered entitlement.

    `covered` is the usage that grants have paid for, `available` that and what is left; the bar is `filled`
    of WHOLE. `used` is all usage of the period.
    """

    left: str
    used: str
    covered: str
    available: str
    overage: str
    filled: int
    is_soft_limit: bool
    begins: Moment | None
    ends: Moment | None
    grants: tuple[GrantRow, ...]
    chart: Chart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An entitlement. `state` is a few words, `is_good` whether the feature may be used now."""

    id: str
    name: str
    key: str
    state: str
    is_good: bool
    begins: Moment | None
    ends: Moment | None
    config: tuple[tuple[str, str], ...]
    meter: Meter | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Whose page it is: a customer's, or of one of its subscriptions, which alone has a plan and a state."""

    title: str
    customer: str | None = None
    plan: str | None = None
    state: str | None = None
    is_active: bool = True
    since: Moment
    ends: Moment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Portal:
    """The page. `at` is the instant of its numbers, `more` how many entitlements it has no room for."""

    heading: Heading
    at: Moment
    link_ends: Moment
    cards: tuple[Card, ...]
    more: int


def card_of(standing: Standing, days: Mapping[str, UsageByDay]) -> Card:
    """The entitlement as it stands; `days` has its usage, if there is room for it."""
    entitlement, feature = standing.holding.entitlement, standing.holding.feature
    state, is_good = _state(standing)
    return Card(
        id=entitlement.id,
        name=feature.name,
        key=feature.key,
        state=state,
        is_good=is_good,
        begins=moment(entitlement.active_from) if standing.at < entitlement.active_from else None,
        ends=None if entitlement.ends_at is None else moment(entitlement.ends_at),
        config=_config(entitlement.template),
        meter=_meter(standing, days.get(entitlement.id)),
    )


def _state(standing: Standing) -> tuple[str, bool]:
    entitlement, at = standing.holding.entitlement, standing.at
    left = Decimal(0) if standing.balance is None else standing.balance.balance
    match entitlement.status(at):
        case Status.CANCELED:
            return "Canceled", False
        case Status.EXPIRED:
            return "Expired", False
        case Status.ACTIVE if at < entitlement.active_from:
            return "Not begun", False
    if not entitlement.has_access(at, left):
        return "None left", False
    return ("Included" if standing.balance is None else "Available"), True


def _config(template: Boolean | Static | Metered) -> tuple[tuple[str, str], ...]:
    match template:
        case Static(config):
            return tuple([(name, _shown(value)) for name, value in config.items()])
        case Boolean() | Metered():
            return ()
    assert_never(template)


def _shown(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | Decimal():
            return grouped(Decimal(value))
        case str():
            return value
        case None:
            return "none"
    return _encode(value).decode()


def _meter(standing: Standing, days: UsageByDay | None) -> Meter | None:
    template, balance = standing.holding.entitlement.template, standing.balance
    if not isinstance(template, Metered) or balance is None:
        return None
    period = standing.holding.entitlement.current_period(standing.at)
    covered, filled = _burned(balance)
    return Meter(
        left=grouped(balance.balance),
        used=grouped(balance.usage_in_period),
        covered=grouped(covered),
        available=grouped(EXACT.add(covered, balance.balance)),
        overage=grouped(balance.overage),
        filled=filled,
        is_soft_limit=template.is_soft_limit,
        begins=None if period.start is None else moment(period.start),
        ends=None if period.end is None else moment(period.end),
        grants=_grants(standing.holding.grants, balance, standing.at),
        chart=None if days is None else chart_of(days),
    )


def _burned(balance: Balance) -> tuple[Decimal, int]:
    """What grants have covered of the period's usage, and how much of WHOLE that is of all they had."""
    with localcontext(EXACT):
        covered = max(balance.usage_in_period - balance.overage, Decimal(0))
        had = covered + balance.balance
        if not had:
            return covered, WHOLE if balance.overage else 0
        return covered, int(covered * WHOLE // had)


def _grants(grants: Sequence[Grant], balance: Balance, at: Instant) -> tuple[GrantRow, ...]:
    """Those that count now, and those that will, in the order in which usage burns them."""
    shown = [
        one
        for one in sorted(grants, key=lambda grant: grant.burn_order)
        if one.id in balance.remainders or (one.effective_at > at and one.voided_at is None)
    ]
    return tuple([_grant(one, balance.remainders.get(one.id)) for one in shown])


def _grant(grant: Grant, left: Decimal | None) -> GrantRow:
    return GrantRow(
        amount=grouped(grant.amount),
        left=None if left is None else grouped(left),
        begins=moment(grant.effective_at),
        ends=None if grant.expires_at is None else moment(grant.expires_at),
        recurs=grant.recurrence is not None,
    )
