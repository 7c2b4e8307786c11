"""Timelines: what charges a subscription over time, by its plan and what was written for it (contract 2.3).

The lines of the plan's versions charge where nothing else does. What is written over a line charges in its
place; where a line is closed, it does not charge at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from itertools import zip_longest
from typing import Final, NamedTuple

from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import PlanVersion, VersionLine
from meterhouse.domain.price import PaymentTerm
from meterhouse.domain.price_interval import Charge, PriceInterval, Span, WrittenInterval, ending
from meterhouse.domain.subscription import Subscription

_ONCE: Final = "P0D"  # the cadence of a price that is charged once


class Closure(NamedTuple):
    """No line with that key charges in [start, end), None for good."""

    key: str
    start: Instant
    end: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All that says what charges a subscription. `versions` are those of the `spans`, which ascend."""

    subscription: Subscription
    spans: Sequence[Span]
    versions: Mapping[int, PlanVersion]
    written: tuple[WrittenInterval, ...] = ()
    closures: tuple[Closure, ...] = ()

    @property
    def end(self) -> Instant | None:
        """When the subscription is over, as far as that is known."""
        termination = self.subscription.termination
        return self.subscription.terms.ending_at if termination is None else termination.at

    def version_at(self, instant: Instant) -> PlanVersion:
        """The version that charges at it; the first one before that."""
        return self._charging(
            next((span for span in reversed(self.spans) if span.start <= instant), self.spans[0])
        )

    def _charging(self, span: Span) -> PlanVersion:
        """The version of a span, with lines of another where that charges in advance."""
        version = self.versions[span.number]
        if span.advance_number is None:
            return version
        return replace(version, lines=blended(self.versions[span.advance_number].lines, version.lines))

    def intervals(self) -> tuple[PriceInterval, ...]:
        """All of them by their start, those that ended and those to come among them.

        What charges once does so in the first of the versions that have it.
        """
        written = [placed for one in self.written if (placed := self._placed(one)) is not None]
        taken: defaultdict[str, list[Closure]] = defaultdict(list)
        for one in [*[Closure(each.key, each.start, each.end) for each in written], *self.closures]:
            taken[one.key].append(one)
        lines = [piece for line in self._lines() for piece in _pieces(self.subscription.id, line, taken)]
        keys = dict.fromkeys(line.key for span in self.spans for line in self._charging(span).lines)
        places = {key: place for place, key in enumerate(keys)}
        return tuple(
            sorted(
                [*written, *lines],
                key=lambda one: (one.start, places.get(one.key, len(places)), one.key),
            )
        )

    def keys_within(self, start: Instant, end: Instant | None) -> frozenset[str]:
        """The keys of the lines of every version that charges within [start, end)."""
        return frozenset(
            line.key
            for span, following in zip_longest(self.spans, self.spans[1:])
            if span.start < ending(end) and ending(following and following.start) > start
            for line in self._charging(span).lines
        )

    def _placed(self, one: WrittenInterval) -> PriceInterval | None:
        """Where it charges: no longer than the subscription, nor than the line goes on that it is over."""
        ends = [one.end, self.end]
        if not one.is_owned:
            ends.append(self._line_ends(one.key, one.start))
        end = min([each for each in ends if each is not None], default=None)
        if ending(end) <= one.start:
            return None
        return PriceInterval(
            id=one.id,
            key=one.key,
            is_owned=one.is_owned,
            plan_version_id=self.version_at(one.start).id,
            charge=one.charge,
            start=one.start,
            end=end,
        )

    def _line_ends(self, key: str, start: Instant) -> Instant | None:
        """When the first version without the key charges, from `start` on; None where none does."""
        if not _has(self.version_at(start), key):
            return start
        later = [span for span in self.spans if span.start > start]
        return next((span.start for span in later if not _has(self._charging(span), key)), None)

    def _lines(self) -> Iterator[PriceInterval]:
        """The lines of the versions, as if nothing were written."""
        charged: set[tuple[str, str]] = set()
        for span, following in zip_longest(self.spans, self.spans[1:]):
            ends = [one for one in (self.end, following and following.start) if one is not None]
            end = min(ends, default=None)
            if end is not None and end <= span.start:
                continue
            version = self._charging(span)
            origin = self.versions[span.number if span.advance_number is None else span.advance_number]
            for one in _of_version(self.subscription, span, end, version, charged):
                is_older = one.is_in(origin) and not one.is_in(self.versions[span.number])
                yield replace(one, plan_version_id=origin.id) if is_older else one
            charged |= {(line.key, line.price.id) for line in version.lines}


def _has(version: PlanVersion, key: str) -> bool:
    return any(line.key == key for line in version.lines)


def _of_version(
    subscription: Subscription,
    span: Span,
    end: Instant | None,
    version: PlanVersion,
    charged: Iterable[tuple[str, str]],
) -> Iterator[PriceInterval]:
    for line in version.lines:
        is_once = line.price.billing_cadence == _ONCE
        if is_once and (line.key, line.price.id) in charged:
            continue
        yield PriceInterval(
            id=_id(subscription.id, span.start, line.key),
            key=line.key,
            plan_version_id=version.id,
            charge=charge_of(subscription, line, span.start),
            start=span.start,
            end=end,
        )


def blended(old: Sequence[VersionLine], new: Sequence[VersionLine]) -> tuple[VersionLine, ...]:
    """What charges for the rest of a period when the new version takes over at once: in advance, and where a
    line is in advance in the new one, still the old; in arrears the new (contract 2.3).
    """
    by_key = {line.key: line for line in new}
    kept = [line for line in old if _is_in_advance(line) or _is_in_advance(by_key.get(line.key))]
    keys = {line.key for line in kept}
    return (*kept, *[line for line in new if line.key not in keys and not _is_in_advance(line)])


def _is_in_advance(line: VersionLine | None) -> bool:
    """What charges once is too: it does so when the new version begins as a whole."""
    if line is None:
        return False
    price = line.price
    return price.billing_cadence == _ONCE or price.payment_term is not PaymentTerm.IN_ARREARS


def charge_of(subscription: Subscription, line: VersionLine, start: Instant) -> Charge:
    """What a line charges that begins to do so at `start`."""
    is_once = line.price.billing_cadence == _ONCE
    return Charge(
        price=line.price,
        base_quantity=Decimal(line.price.quantity),
        billing_cadence=None if is_once else line.price.billing_cadence or subscription.billing_cadence,
        is_in_advance=line.price.payment_term is not PaymentTerm.IN_ARREARS,
        bill_date=start if is_once else None,
    )


def _pieces(
    subscription_id: str, line: PriceInterval, taken: Mapping[str, Sequence[Closure]]
) -> Iterator[PriceInterval]:
    """What is left of a line; of one that charges once, the piece that does."""
    start, date = line.start, line.charge.bill_date
    for one in [*sorted(taken.get(line.key, ()), key=lambda one: one.start), None]:
        end = line.end if one is None or one.start >= ending(line.end) else one.start
        if start < ending(end) and (date is None or start <= date < ending(end)):
            yield replace(line, id=_id(subscription_id, start, line.key), start=start, end=end)
        if one is None or one.end is None:
            return
        start = max(start, one.end)


def _id(subscription_id: str, start: Instant, key: str) -> str:
    """The same whenever it is asked for: an interval of a line is known by when it starts, and its line."""
    return f"int_{sha256(f'{subscription_id} {start} {key}'.encode()).hexdigest()[:24]}"
