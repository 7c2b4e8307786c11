"""What a report of costs adds up: groups and windows, from the usage under each cost (contract 3.11).

A group's cost is the sum over the costs that have usage in it. So is every total, over groups: where a cost
counts what does not add up, such as the largest value, the sum of the groups is what is reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.cost import Cost, total
from meterhouse.domain.rollup import Reading
from meterhouse.domain.usage import GroupTotal, Usage
from meterhouse.domain.window import Window

OTHER: Final = "__other__"


@dataclass(frozen=True, slots=True)
class Amount:
    """So many events came to such a quantity, which costs so much."""

    events: int = 0
    quantity: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)

    @classmethod
    def sum(cls, amounts: Iterable[Amount]) -> Amount:
        some = list(amounts)
        return cls(
            sum(one.events for one in some),
            total(one.quantity for one in some),
            total(one.cost for one in some),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The usage that was found under a cost, and that of the period before where it is compared.

    `aggregation` is that of the version which was read. Usage is grouped by one dimension, or not at all,
    and then the cost is its own group.
    """

    cost: Cost
    aggregation: Aggregation
    is_grouped: bool
    usage: Usage
    before: Usage | None = None

    def key_of(self, group: tuple[str, ...]) -> str:
        return group[0] if self.is_grouped else self.cost.id

    def amount(self, reading: Reading) -> Amount:
        quantity = reading.value(self.aggregation)
        return Amount(reading.count, quantity, self.cost.of(quantity))


@dataclass(frozen=True, slots=True)
class Group:
    """One group, or (`key` is OTHER) all that are not shown by themselves."""

    key: str
    amount: Amount
    before: Amount
    is_other: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there was no usage in the period, which is not the same as usage that costs nothing."""
        return not self.amount.events


def groups_of(found: Sequence[Counted]) -> list[Group]:
    """Every group with usage, now or before; and by cost, every cost."""
    now = _amounts((one, one.usage) for one in found)
    before = _amounts((one, one.before) for one in found if one.before is not None)
    return [
        Group(name, Amount.sum(now.get(name, ())), Amount.sum(before.get(name, ())))
        for name in sorted({*now, *before})
    ]


def _amounts(found: Iterable[tuple[Counted, Usage]]) -> Mapping[str, Sequence[Amount]]:
    amounts: defaultdict[str, list[Amount]] = defaultdict(list)
    for one, usage in found:
        parts = usage.groups if one.is_grouped else [GroupTotal((), usage.total)]
        for group, reading in parts:
            amounts[one.key_of(group)].append(one.amount(reading))
    return amounts


def ranked(groups: Iterable[Group], *, by_quantity: bool, ascending: bool) -> list[Group]:
    """In the order that is asked for; equal ones by their keys."""

    def place(group: Group) -> tuple[Decimal, str]:
        number = group.amount.quantity if by_quantity else group.amount.cost
        return number if ascending else number.copy_negate(), group.key

    return sorted(groups, key=place)


def folded(groups: Sequence[Group], top: int) -> list[Group]:
    """The first `top` of them, and one for the rest; a group that is named as the rest is part of it."""
    shown = [group for group in groups if group.key != OTHER][:top]
    names = {group.key for group in shown}
    rest = [group for group in groups if group.key not in names]
    if not rest:
        return shown
    amount, before = Amount.sum(one.amount for one in rest), Amount.sum(one.before for one in rest)
    return [*shown, Group(OTHER, amount, before, is_other=True)]


def places_of(groups: Iterable[Group], folding: Iterable[Group], page: Iterable[Group]) -> Mapping[str, str]:
    """Of the groups, before any was folded, those that are on the page, and under which key."""
    alone = {group.key for group in folding if not group.is_other}
    shown = {group.key for group in page}
    places = {group.key: group.key if group.key in alone else OTHER for group in groups}
    return {key: place for key, place in places.items() if place in shown}


def series_of(
    found: Sequence[Counted], places: Mapping[str, str]
) -> list[tuple[Window, Mapping[str, Decimal]]]:
    """By window, what lies in it of each place costs; windows without any usage are left out."""
    windows: defaultdict[Window, defaultdict[str, list[Decimal]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        for cell in one.usage.cells:
            place = places.get(one.key_of(cell.group))
            if place is not None:
                assert cell.window is not None, "windows were asked for"
                windows[cell.window][place].append(one.amount(cell.reading).cost)
    return [
        (window, {place: total(costs) for place, costs in sorted(windows[window].items())})
        for window in sorted(windows)
    ]
