"""The answer to one question about usage: what is asked of the store for it, and how it looks in JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.calendar import period_before
from meterhouse.domain.condition import AllOf, Not, OneOf
from meterhouse.domain.matching import plain
from meterhouse.domain.rollup import EXACT, Reading
from meterhouse.domain.usage import Usage, UsageCell, UsageQuestion
from meterhouse.domain.window import Window
from meterhouse.ports.metrics import Serving
from meterhouse.ports.usage import UsageReader
from query.metering.usage_asked import UsageAsked, moment
from query.metering.usage_groups import Group, GroupPage, page_of

NOTHING = Usage(Reading())


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Usage of the whole, of one group, or of all groups that are not shown.

    `cells` is by window, empty where none were asked for; `previous` is of the period before.
    """

    reading: Reading
    cells: Sequence[UsageCell] = ()
    previous: Reading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageAnswer:
    """`groups` are those of one page, in order; `other` is what is in none of them."""

    definition: Definition
    whole: Figures
    page: GroupPage | None = None
    groups: Mapping[Group, Figures]
    other: Figures | None = None
    before: Window | None = None


async def usage_answer(
    reader: UsageReader, definition: Definition, asked: UsageAsked, local_windows: tuple[Window, ...]
) -> UsageAnswer:
    """All that `asked` wants to know, under `definition`.

    One statement for the whole; one more for the windows of groups, for the rest, for the period before.
    """
    names = tuple(asked.group_by)
    question = UsageQuestion(
        definition=definition, period=asked.period, condition=asked.condition(), group_by=names
    )
    size = None if local_windows else asked.window_size
    before = None if asked.compare is None else period_before(asked.time_zone, asked.period)

    def with_windows(question: UsageQuestion) -> UsageQuestion:
        return replace(question, window_size=size, local_windows=local_windows)

    async def ask(question: UsageQuestion) -> Usage:
        return NOTHING if definition.event_type is None else await reader.usage(question)

    usage = await ask(question if names else with_windows(question))
    past = NOTHING if before is None else await ask(replace(question, period=before))
    past_groups = {one.group: one.reading for one in past.groups}

    def figures(reading: Reading, cells: Sequence[UsageCell], previous: Reading | None) -> Figures:
        return Figures(
            reading=reading, cells=cells, previous=None if before is None else previous or Reading()
        )

    whole = figures(usage.total, () if names else usage.cells, past.total)
    if not names:
        return UsageAnswer(definition=definition, whole=whole, groups={}, before=before)

    page = page_of(
        usage.groups,
        definition.aggregation,
        order=asked.order_by,
        names=names,
        limit=asked.top or asked.limit,
        after=asked.cursor,
    )
    shown = OneOf(names, frozenset(one.group for one in page.shown))
    readings = {one.group: one.reading for one in page.shown}
    cells: defaultdict[Group, list[UsageCell]] = defaultdict(list)
    if asked.window_size is not None and page.shown:
        windowed = await ask(with_windows(narrowed(question, shown)))
        readings |= {one.group: one.reading for one in windowed.groups}
        for cell in windowed.cells:
            cells[cell.group].append(cell)
    groups = {
        one.group: figures(readings[one.group], cells[one.group], past_groups.get(one.group))
        for one in page.shown
    }
    other = None
    if asked.top is not None:
        rest = narrowed(replace(question, group_by=()), Not(shown))
        usage = await ask(with_windows(rest))
        past = NOTHING if before is None else await ask(replace(rest, period=before))
        other = figures(usage.total, usage.cells, past.total)
    return UsageAnswer(
        definition=definition, whole=whole, page=page, groups=groups, other=other, before=before
    )


def narrowed(question: UsageQuestion, further: OneOf | Not) -> UsageQuestion:
    return replace(question, condition=AllOf((question.condition, further)))


# --- JSON ---


def answer_body(answer: UsageAnswer, asked: UsageAsked, serving: Serving, counted: str) -> dict[str, object]:
    """The JSON of `answer`. Values are decimal text, which no reader of JSON rounds."""
    shown = figures_body(answer, asked)
    definition = answer.definition
    body: dict[str, object] = {
        "object": "usage",
        "billableMetricId": definition.billable_metric_id,
        "version": definition.version,
        "state": serving.shown.state.value,
        "aggregation": definition.aggregation.value,
        "unit": serving.metric.unit,
        "watermark": counted,
        "from": moment(asked.time_zone, asked.from_),
        "to": moment(asked.time_zone, asked.to),
        "timeZone": asked.time_zone.key,
        **shown(answer.whole),
    }
    if answer.before is not None:
        body["previousFrom"] = moment(asked.time_zone, answer.before.start)
        body["previousTo"] = moment(asked.time_zone, answer.before.end)
    if answer.page is not None:
        body["groups"] = [
            {"group": dict(zip(asked.group_by, group, strict=True)), **shown(one)}
            for group, one in answer.groups.items()
        ]
        body["groupCount"] = answer.page.total
        body["nextCursor"] = None if asked.top else answer.page.cursor
    if answer.other is not None:
        body["other"] = shown(answer.other)
    return body


def figures_body(answer: UsageAnswer, asked: UsageAsked) -> Callable[[Figures], dict[str, object]]:
    """How figures look in this answer."""
    aggregation = answer.definition.aggregation
    texts: dict[Window, tuple[str, str]] = {}  # many cells share a window
    has_windows = asked.window_size is not None

    def shown(figures: Figures) -> dict[str, object]:
        value = figures.reading.value(aggregation)
        body: dict[str, object] = {"value": plain(value), "eventCount": figures.reading.count}
        if figures.previous is not None:
            past = figures.previous.value(aggregation)
            body |= {"previousValue": plain(past), "change": plain(EXACT.subtract(value, past))}
        if has_windows and (figures is not answer.whole or answer.page is None):
            body["windows"] = [windowed(cell) for cell in figures.cells]
        return body

    def windowed(cell: UsageCell) -> dict[str, object]:
        window = window_of(cell)
        if window not in texts:
            texts[window] = moment(asked.time_zone, window.start), moment(asked.time_zone, window.end)
        start, end = texts[window]
        value = plain(cell.reading.value(aggregation))
        return {"windowStart": start, "windowEnd": end, "value": value, "eventCount": cell.reading.count}

    return shown


def window_of(cell: UsageCell) -> Window:
    assert cell.window is not None, "windows were asked for"
    return cell.window
