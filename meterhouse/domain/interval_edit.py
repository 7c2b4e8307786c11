"""Edits of price intervals: what is asked for, and what a timeline is once it is done (contract 2.3).

An edit is a set of operations that are done together, first the removals, then the changes, then the
additions. Nothing here says whether the outcome may be: that is `interval_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from meterhouse.domain.errors import Conflict, Invalid, NotFound
from meterhouse.domain.instant import Instant, render
from meterhouse.domain.interval_rules import OVERLAP, VERSION, require_written
from meterhouse.domain.price import Price, StandardRate
from meterhouse.domain.price_interval import Charge, PriceInterval, QuantityStep, WrittenInterval, ending
from meterhouse.domain.subscription import ChangeReason
from meterhouse.domain.timeline import Closure, Timeline

_KEY: Final = re.compile("[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)

# What an interval cannot have otherwise, by its names here and on the wire.
_FIXED: Final[Mapping[str, str]] = {
    "price_id": "priceId",
    "price_key": "priceKey",
    "plan_version_id": "planVersionId",
    "billing_cadence": "billingCadence",
    "billing_mode": "billingMode",
    "bill_date": "billDate",
    "start_date": "startDate",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """An interval to add. `price_id` may be left out over a line of the plan; no cadence charges once."""

    id: str
    key: str
    price_id: str | None = None
    plan_version_id: str | None = None
    unit_price: Decimal | None
    base_quantity: Decimal
    steps: tuple[QuantityStep, ...] = ()
    billing_cadence: str | None
    is_in_advance: bool
    bill_date: Instant | None = None
    start: Instant
    end: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """What an interval is to be like. `asked` is what was said of it, by the names of the wire in snake case,
    but for `steps`; what is absent stays as it is.
    """

    id: str
    asked: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalEdit:
    """All that is to be done at once, and why. `change_id` is what the record of it is to be called."""

    change_id: str
    added: tuple[Addition, ...] = ()
    altered: tuple[Alteration, ...] = ()
    removed: tuple[str, ...] = ()
    reason: ChangeReason = ChangeReason.UNSPECIFIED
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    at: Instant


def edited(before: Timeline, edit: IntervalEdit, prices: Mapping[str, Price]) -> Timeline:
    """The timeline once all of it is done; `prices` are those that it names and the merchant has.

    Raises Invalid, NotFound for an interval or a price that is not there, Conflict.
    """
    draft = _Draft(before)
    for number, id in enumerate(edit.removed):
        draft.remove(draft.named(id, f"remove.{number}.id"))
    for number, alteration in enumerate(edit.altered):
        place = f"edit.{number}"
        draft.alter(draft.named(alteration.id, f"{place}.id"), alteration.asked, place)
    for number, addition in enumerate(edit.added):
        draft.add(addition, prices, f"add.{number}")
    return draft.timeline()


class _Draft:
    """A timeline that is being edited. Whatever is named by its id is an interval from before."""

    def __init__(self, before: Timeline) -> None:
        self._before = before
        self._unnamed = {one.id: one for one in before.intervals()}
        self._named: set[str] = set()
        self._written = {one.id: one for one in before.written}
        self._closures = list(before.closures)

    def timeline(self) -> Timeline:
        return replace(
            self._before,
            written=tuple(self._written.values()),
            closures=tuple(sorted(self._closures, key=_order)),
        )

    def named(self, id: str, place: str) -> PriceInterval:
        if id in self._named:
            raise Invalid.field(place, f"{id} is named twice")
        if id not in self._unnamed:
            raise NotFound(f"{place}: the subscription {self._before.subscription.id} has no interval {id}")
        self._named.add(id)
        return self._unnamed[id]

    def remove(self, one: PriceInterval) -> None:
        """Without it the line that it is written over charges again; without a line itself, nothing does."""
        if one.id in self._written:
            del self._written[one.id]
        else:
            self._closures.append(Closure(one.key, one.start, self._open(one.end)))

    def alter(self, one: PriceInterval, asked: Mapping[str, Any], place: str) -> None:
        _require_same(one, asked, place)
        told = {name: asked[name] for name in ("unit_price", "base_quantity", "steps") if name in asked}
        charge = replace(one.charge, **told)
        if one.is_owned:
            charge = _saved(charge)
        end = asked.get("end_date", one.end)
        if one.id in self._written:
            kept = self._written[one.id]
            if (charge, end) == (one.charge, one.end):
                return
            wanted = replace(kept, charge=charge, end=kept.end if end == one.end else self._open(end))
        else:
            end = one.end if end == one.end else self._end_line(one, end, f"{place}.endDate")
            if charge == one.charge:
                return
            wanted = WrittenInterval(
                id=one.id, key=one.key, is_owned=False, charge=charge, start=one.start, end=self._open(end)
            )
        require_written(replace(wanted, end=one.end) if end == one.end else wanted, self._before, place)
        self._written[one.id] = wanted
        self._drop_needless(one.id)

    def add(self, asked: Addition, prices: Mapping[str, Price], place: str) -> None:
        version = self._before.version_at(asked.start)
        if asked.plan_version_id not in (None, version.id):
            message = (
                f"the subscription is on {version.id} at {render(asked.start)}, not {asked.plan_version_id}"
            )
            raise Conflict(f"{place}.planVersionId: {message}", code=VERSION)
        line = next((line for line in version.lines if line.key == asked.key), None)
        if line is None:
            price = _own_price(asked, prices, place)
        elif asked.price_id not in (None, line.price.id):
            message = f"the line {asked.key} of the plan is charged by {line.price.id}; leave it out"
            raise Invalid.field(f"{place}.priceId", message)
        else:
            price = line.price
        charge = Charge(
            price=price,
            unit_price=asked.unit_price,
            base_quantity=asked.base_quantity,
            steps=asked.steps,
            billing_cadence=asked.billing_cadence,
            is_in_advance=asked.is_in_advance,
            bill_date=asked.bill_date,
        )
        wanted = WrittenInterval(
            id=asked.id,
            key=asked.key,
            is_owned=line is None,
            charge=_saved(charge) if line is None else charge,
            start=asked.start,
            end=self._open(asked.end),
        )
        require_written(wanted, self._before, place)
        self._written[asked.id] = wanted

    def _drop_needless(self, id: str) -> None:
        """Forget what is written over a line where the line itself says the same."""
        now = self.timeline()
        without = replace(now, written=tuple([one for one in now.written if one.id != id]))
        if any(one.id == id and one in now.intervals() for one in without.intervals()):
            del self._written[id]

    def _open(self, end: Instant | None) -> Instant | None:
        """What ends with the subscription has no end of its own, so that it follows when that moves."""
        return None if end == self._before.end else end

    def _end_line(self, one: PriceInterval, end: Instant | None, place: str) -> Instant | None:
        """Close a line of the plan from `end` on, or open it again as the plan has it; when it ends then."""
        closing = [each for each in self._closures if each.key == one.key and each.start == one.end]
        opened = replace(
            self._before, closures=tuple([each for each in self._closures if each not in closing])
        )
        [whole] = [
            each
            for each in opened.intervals()
            if (each.key, each.start, each.id) == (one.key, one.start, one.id)
        ]
        if end is not None and end <= one.start:
            raise Invalid.field(place, "must be after startDate")
        if end is None or end == whole.end:
            self._closures = list(opened.closures)
            return whole.end
        if end > ending(whole.end):
            if whole.end == self._before.end:
                raise Invalid.field(place, "must not be after the end of the subscription")
            raise Conflict(f"{place}: another interval of {one.key} charges before", code=OVERLAP)
        self._closures = [*opened.closures, Closure(one.key, end, None)]
        return end


def _order(one: Closure) -> tuple[str, Instant]:
    return one.key, one.start


def _require_same(one: PriceInterval, asked: Mapping[str, Any], place: str) -> None:
    """Raises Invalid for what was said of an interval that is otherwise, and cannot be changed."""
    stands: Mapping[str, Any] = {
        "price_id": one.charge.price.id,
        "price_key": one.key,
        "plan_version_id": one.plan_version_id,
        "billing_cadence": one.charge.billing_cadence,
        "billing_mode": one.charge.is_in_advance,
        "bill_date": one.charge.bill_date,
        "start_date": one.start,
    }
    for name, wire in _FIXED.items():
        if name in asked and asked[name] != stands[name]:
            raise Invalid.field(f"{place}.{wire}", "cannot be changed: remove the interval, and add another")


def _own_price(asked: Addition, prices: Mapping[str, Price], place: str) -> Price:
    """The price of an interval that no line of the plan has the key of."""
    if not _KEY.fullmatch(asked.key):
        message = "begins with a small letter or a digit, then up to 63 of them, hyphens and underscores"
        raise Invalid.field(f"{place}.priceKey", message)
    if asked.price_id is None:
        message = f"is required, as the plan has no line {asked.key}"
        raise Invalid.field(f"{place}.priceId", message, "required")
    if asked.price_id not in prices:
        raise NotFound(f"there is no price {asked.price_id}")
    return prices[asked.price_id]


def _saved(charge: Charge) -> Charge:
    """With the rate that the price has now, where it has one and none was said."""
    rate = charge.price.rate
    if charge.unit_price is None and isinstance(rate, StandardRate):
        return replace(charge, unit_price=rate.unit_price)
    return charge
