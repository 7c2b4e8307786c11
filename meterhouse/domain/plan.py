"""Plans: which prices a subscription pays, version by version (contract 3.9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from meterhouse.domain.errors import Invalid, Problem
from meterhouse.domain.instant import Instant
from meterhouse.domain.price import Price


class Cadence(StrEnum):
    """How often a plan is billed, as an ISO 8601 duration."""

    MONTHLY = "P1M"
    QUARTERLY = "P3M"
    YEARLY = "P1Y"

    @property
    def interval(self) -> str:
        """The older word for it."""
        return self.name.lower()


class TaxBehavior(StrEnum):
    """Whether tax comes on top of a price or is in it."""

    EXCLUSIVE = "exclusive"
    INCLUSIVE = "inclusive"


class TransitionDate(StrEnum):
    """When subscriptions move to another version of their plan."""

    END_OF_CURRENT_PERIOD = "end_of_current_period"
    IMMEDIATE = "immediate"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditAllocation:
    """Credits of a pricing unit that a subscription begins with, and gets again after each `recurrence`."""

    pricing_unit_id: str
    amount: Decimal
    recurrence: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a product is sold as. `prices` are those of the default version, which subscriptions pay."""

    id: str
    merchant_id: str
    product_id: str
    name: str
    description: str | None
    invoice_display_name: str | None
    currency: str
    cadence: Cadence
    billing_anchor: Instant | None
    billing_version: int
    default_tax_code: str
    default_tax_rate: Decimal
    tax_behavior: TaxBehavior
    renewal_reminder_enabled: bool
    renewal_reminder_days: int
    credit_allocations: tuple[CreditAllocation, ...]
    stable_price_ids: bool
    transition_date: TransitionDate
    default_version_id: str
    prices: tuple[Price, ...] = ()
    created_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFilter:
    """Which plans: of a product, with a part of the name in any case, `open_to` a customer.

    A plan is, unless the customer has a subscription of its product that is not over `at` an instant.
    """

    product_id: str | None = None
    search: str | None = None
    open_to: str | None = None
    at: Instant = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A price that a plan is to charge. `key` names the line; None leaves that to `spare_key`."""

    price_id: str
    key: str | None
    spare_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """What a version is to hold: all of its lines, in order.

    `based_on` is the version that whoever asks has seen as the default one; None where it does not matter.
    """

    id: str
    lines: tuple[Line, ...]
    based_on: str | None = None
    published_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLine:
    """A line of a version, by the key that it has in every version that keeps it."""

    key: str
    price: Price
    is_price_deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanVersion:
    """A set of prices that a plan has, or had, or may have again. Which they are never changes.

    `subscription_count` subscriptions began with it and are not over.
    """

    id: str
    plan_id: str
    number: int
    is_default: bool
    subscription_count: int
    based_on: str | None
    published_at: Instant
    lines: tuple[VersionLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """A version without its lines."""

    id: str
    number: int
    is_default: bool
    subscription_count: int
    published_at: Instant


def require_distinct(lines: Sequence[Line]) -> None:
    """Raises Invalid where two lines have one price or one key: each would be charged twice, or unclear."""
    problems: list[Problem] = []
    for number, line in enumerate(lines):
        before = lines[:number]
        if any(line.price_id == other.price_id for other in before):
            problems.append(Problem(f"prices.{number}.priceId", f"{line.price_id} is listed twice"))
        if line.key is not None and any(line.key == other.key for other in before):
            problems.append(Problem(f"prices.{number}.key", f"{line.key} is listed twice"))
    if problems:
        raise Invalid("; ".join([f"{one.field}: {one.message}" for one in problems]), tuple(problems))


def key_lines(lines: Sequence[Line], held: Mapping[str, str]) -> dict[str, str]:
    """Key and price of each line, in order. `held` are the keys that lines have already, by their price.

    A line that says no key keeps the one that its price has, unless another line says that.
    """
    said = {line.key for line in lines}
    keyed: dict[str, str] = {}
    for line in lines:
        kept = held.get(line.price_id)
        key = line.key or (kept if kept not in said else None) or line.spare_key
        keyed[key] = line.price_id
    return keyed
