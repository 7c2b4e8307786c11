"""How much was used day by day in the current period, for the page that customers see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.holding import Holding
from meterhouse.domain.instant import DAY, Instant
from meterhouse.domain.period_usage import running_values
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.window import Window
from meterhouse.ports.metrics import Serving
from query.backend import Backend
from query.entitlements.balances import Standing, read_phases
from query.reading import steady_some

_MOST_DAYS: Final = 366  # of a chart: a year
_NEWEST_DAYS: Final = 92  # that are shown of a period which is longer, or has no end
_MOST_OF_ALL: Final = 4_000  # days on one page: each is a phase of one question


@dataclass(frozen=True, slots=True)
class UsageByDay:
    """The value of each UTC day in [days.start, days.end), the first and the last of which may be cut.

    `name` and `unit` are the billable metric's; `span` is the time that the days are of, which goes on beyond
    them where the period does.
    """

    name: str
    unit: str
    span: Window
    cuts: tuple[Instant, ...]
    values: tuple[Decimal, ...]


def span_of(standing: Standing) -> Window | None:
    """The time that is shown of a metered entitlement; None before it has begun."""
    entitlement, at = standing.holding.entitlement, standing.at
    period = entitlement.current_period(at)
    if period.start is None or at <= entitlement.active_from:
        return None
    end = at if period.end is None else period.end
    if end - period.start > _MOST_DAYS * DAY:
        return Window(max(period.start, at - _NEWEST_DAYS * DAY), at)
    return Window(period.start, end)


def cuts_of(span: Window, until: Instant) -> tuple[Instant, ...]:
    """Where the days of the span begin, and where the last of them ends, which is at `until` the latest."""
    end = min(span.end, until)
    first_midnight = span.start - span.start % DAY + DAY
    return (span.start, *range(first_midnight, end, DAY), end)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A metered holding, and the days of it that are shown: those of `span` as far as they have come."""

    holding: Holding
    metric_id: str
    span: Window
    cuts: tuple[Instant, ...]

    def question(self, definition: Definition) -> PhasesQuestion:
        return PhasesQuestion(
            definition=definition,
            subject=self.holding.entitlement.customer_id,
            linked=self.holding.external_id,
            cuts=self.cuts,
            resets=self.cuts,  # each day is read by itself
        )


async def usage_by_day(
    backend: Backend, merchant: str, standings: Sequence[Standing]
) -> Mapping[str, UsageByDay]:
    """By entitlement, from one look at the usage of all; of as many as the page can hold, in their order."""
    shown = _affordable(standings)
    metrics = sorted({one.metric_id for one in shown})
    if not metrics:
        return {}
    return await steady_some(backend, merchant, metrics, partial(_look, backend, shown))


def _affordable(standings: Sequence[Standing]) -> Sequence[_Shown]:
    found, days = [], 0
    for one in filter(None, map(_shown_of, standings)):
        days += len(one.cuts)
        if days > _MOST_OF_ALL:
            break
        found.append(one)
    return found


def _shown_of(standing: Standing) -> _Shown | None:
    """None of what is not metered, or has not begun."""
    metric_id, span = standing.holding.billable_metric_id, span_of(standing)
    if metric_id is None or span is None:
        return None
    return _Shown(standing.holding, metric_id, span, cuts_of(span, _until(standing)))


async def _look(
    backend: Backend, shown: Sequence[_Shown], servings: Sequence[Serving]
) -> Mapping[str, UsageByDay]:
    serving = {one.metric.id: one for one in servings}
    asked = [one.question(serving[one.metric_id].shown.definition) for one in shown]
    readings = await read_phases(backend.holdings.phases, asked)
    found = {}
    for one, question, of_days in zip(shown, asked, readings, strict=True):
        counts = question.definition.event_type is not None
        metric = serving[one.metric_id].metric
        values = running_values(question.definition.aggregation, of_days, one.cuts, one.cuts)
        found[one.holding.entitlement.id] = UsageByDay(
            metric.name, metric.unit, one.span, one.cuts, tuple(values) if counts else ()
        )
    return found


def _until(standing: Standing) -> Instant:
    """Usage at that very instant, and after the end of the entitlement, is not in the balance either."""
    ends_at = standing.holding.entitlement.ends_at
    return standing.at if ends_at is None else min(standing.at, ends_at)
