"""Rollups: the mergeable state of the seven aggregations, over exact Decimals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, Overflow, localcontext
from itertools import repeat
from typing import Any, Final, NamedTuple, assert_never, overload

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.instant import Instant

# Sums are kept in Decimal(76, 18). The default context (28 digits) rounds and is not associative.
EXACT: Final = Context(prec=76, traps=[Inexact, Overflow])
_AVERAGE: Final = Context(prec=120, rounding=ROUND_HALF_EVEN)
_QUANTUM: Final = Decimal(1).scaleb(-18)


@dataclass(frozen=True, slots=True, order=True)
class Latest:
    """A value and its place in the total order: event time, receive time, log place."""

    at: Instant
    received_at: Instant
    partition: int
    offset: int
    value: Decimal


@dataclass(frozen=True, slots=True)
class RollupState:
    """What is kept of the events of one window. Merging is commutative and associative."""

    count: int = 0
    sum: Decimal = Decimal(0)
    min: Decimal | None = None
    max: Decimal | None = None
    latest: Latest | None = None
    unique: frozenset[int] = field(default_factory=frozenset)

    def merge(self, other: RollupState) -> RollupState:
        """The state of the events of both."""
        return RollupState(
            self.count + other.count,
            EXACT.add(self.sum, other.sum),
            min(_present(self.min, other.min), default=None),
            max(_present(self.max, other.max), default=None),
            max((one for one in (self.latest, other.latest) if one is not None), default=None),
            self.unique | other.unique,
        )

    def reading(self) -> Reading:
        latest = None if self.latest is None else self.latest.value
        return Reading(self.count, self.sum, self.min, self.max, latest, len(self.unique))


def _present(*values: Decimal | None) -> list[Decimal]:
    return [value for value in values if value is not None]


class Reading(NamedTuple):
    """The finished figures of some events, of which an aggregation shows one."""

    count: int = 0  # type: ignore[assignment] # hides tuple.count, which nobody misses
    sum: Decimal = Decimal(0)
    min: Decimal | None = None
    max: Decimal | None = None
    latest: Decimal | None = None
    unique: int = 0

    def then(self, later: Reading) -> Reading:
        """The figures of both: `later` is of later events, and its `unique` of what was new by then."""
        return Reading(
            self.count + later.count,
            EXACT.add(self.sum, later.sum),
            min(_present(self.min, later.min), default=None),
            max(_present(self.max, later.max), default=None),
            self.latest if later.latest is None else later.latest,
            self.unique + later.unique,
        )

    def value(self, aggregation: Aggregation) -> Decimal:
        """The usage; 0 where there were no events (contract, decision 3)."""
        match aggregation:
            case Aggregation.SUM:
                return self.sum
            case Aggregation.COUNT:
                return Decimal(self.count)
            case Aggregation.AVG:
                return average(self.sum, self.count)
            case Aggregation.MIN:
                return self.min if self.min is not None else Decimal(0)
            case Aggregation.MAX:
                return self.max if self.max is not None else Decimal(0)
            case Aggregation.UNIQUE_COUNT:
                return Decimal(self.unique)
            case Aggregation.LATEST:
                return self.latest if self.latest is not None else Decimal(0)
        assert_never(aggregation)


def average(total: Decimal, count: int) -> Decimal:
    """The exact quotient rounded half-even to 18 fractional digits (contract 10.2, decision 23)."""
    if count == 0:
        return Decimal(0)
    with localcontext(_AVERAGE):
        return (total / count).quantize(_QUANTUM)


@dataclass(frozen=True, slots=True)
class Numerals(Sequence[Decimal]):
    """Numbers as the plain text that a store gave (matching.plain), each read when it is asked for."""

    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, place: int) -> Decimal: ...
    @overload
    def __getitem__(self, place: slice) -> Numerals: ...
    def __getitem__(self, place: int | slice) -> Decimal | Numerals:
        found = self.texts[place]
        return Decimal(found) if isinstance(found, str) else Numerals(found)

    def __iter__(self) -> Iterator[Decimal]:
        return map(Decimal, self.texts)


@dataclass(frozen=True, slots=True)
class Readings(Sequence[Reading]):
    """Readings field by field, each made when it is asked for: an answer has tens of thousands.

    Fields that `columns` has not are as in a Reading of nothing; all that it has are of one length.
    """

    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, readings: Iterable[Reading]) -> Readings:
        return cls(dict(zip(Reading._fields, zip(*readings, strict=True), strict=False)))

    @property
    def counts(self) -> Sequence[int]:
        """How many events each is of."""
        return self.columns.get("count") or [one.count for one in self]

    def values(self, aggregation: Aggregation) -> Sequence[Decimal]:
        """The usage of each."""
        if aggregation is Aggregation.SUM and "sum" in self.columns:
            return self.columns["sum"]
        return [one.value(aggregation) for one in self]

    def __len__(self) -> int:
        return next(map(len, self.columns.values()), 0)

    @overload
    def __getitem__(self, place: int) -> Reading: ...
    @overload
    def __getitem__(self, place: slice) -> Readings: ...
    def __getitem__(self, place: int | slice) -> Reading | Readings:
        found: dict[str, Any] = {name: column[place] for name, column in self.columns.items()}
        return Readings(found) if isinstance(place, slice) else Reading(**found)

    def __iter__(self) -> Iterator[Reading]:
        every = [self.columns.get(name, repeat(nothing)) for name, nothing in Reading()._asdict().items()]
        return map(Reading, *every) if self.columns else iter(())
