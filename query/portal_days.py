"""How much was used day by day in the current period, for the page that customers see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.instant import DAY, Instant
from meterhouse.domain.period_usage import running_values
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.window import Window
from meterhouse.ports import Serving
from query.backend import Backend
from query.balances import Standing, read_phases
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


async def usage_by_day(
    backend: Backend, merchant: str, standings: Sequence[Standing]
) -> Mapping[str, UsageByDay]:
    """By entitlement, from one look at the usage of all; of as many as the page can hold, in their order."""
    shown = _affordable([one for one in standings if one.holding.billable_metric_id is not None])
    metrics = sorted({_metric_of(one) for one in shown})
    if not metrics:
        return {}
    return await steady_some(backend, merchant, metrics, partial(_look, backend, shown))


def _affordable(metered: Sequence[Standing]) -> Sequence[Standing]:
    shown, days = [], 0
    for one in metered:
        span = span_of(one)
        if span is None:
            continue
        days += len(cuts_of(span, _until(one)))
        if days > _MOST_OF_ALL:
            break
        shown.append(one)
    return shown


async def _look(
    backend: Backend, shown: Sequence[Standing], servings: Sequence[Serving]
) -> Mapping[str, UsageByDay]:
    serving = {one.metric.id: one for one in servings}
    asked = [_question(one, serving[_metric_of(one)].shown.definition) for one in shown]
    readings = await read_phases(backend.holdings.phases, asked)
    found = {}
    for one, question, of_days in zip(shown, asked, readings, strict=True):
        counts = question.definition.event_type is not None
        metric, span = serving[_metric_of(one)].metric, span_of(one)
        assert span is not None, "it is shown"
        values = running_values(question.definition.aggregation, of_days, question.cuts, question.resets)
        found[one.holding.entitlement.id] = UsageByDay(
            metric.name, metric.unit, span, question.cuts, tuple(values) if counts else ()
        )
    return found


def _question(standing: Standing, definition: Definition) -> PhasesQuestion:
    span = span_of(standing)
    assert span is not None, "it is shown"
    cuts = cuts_of(span, _until(standing))
    return PhasesQuestion(
        definition=definition,
        subject=standing.holding.entitlement.customer_id,
        linked=standing.holding.external_id,
        cuts=cuts,
        resets=cuts,  # each day is read by itself
    )


def _until(standing: Standing) -> Instant:
    """Usage at that very instant, and after the end of the entitlement, is not in the balance either."""
    ends_at = standing.holding.entitlement.ends_at
    return standing.at if ends_at is None else min(standing.at, ends_at)


def _metric_of(standing: Standing) -> str:
    metric = standing.holding.billable_metric_id
    assert metric is not None, "it is metered"
    return metric
