"""Usage and its phases in memory, over events that a test hands in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from meterhouse.adapters.cloudevents_json import parse_data
from meterhouse.domain.billable_metric import (
    BillableMetric,
    Definition,
    parse_path,
)
from meterhouse.domain.condition import holds
from meterhouse.domain.disposition import Counted, Disposition, disposition_of
from meterhouse.domain.event import Event, value_hash
from meterhouse.domain.event_search import (
    DUPLICATE,
    EVER,
    EventCount,
    EventFilter,
    EventLookup,
    EventPlace,
    EventSearch,
    EventStatistics,
)
from meterhouse.domain.instant import Instant
from meterhouse.domain.matching import outcome_of
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.position import Position
from meterhouse.domain.rollup import Latest, Reading, RollupState
from meterhouse.domain.usage import (
    Cells,
    DimensionCount,
    EventPage,
    EventPageQuestion,
    GroupTotal,
    Repeat,
    StoredEvent,
    TextCount,
    TextsQuestion,
    Usage,
    UsageCell,
    UsageQuestion,
)
from meterhouse.domain.window import Window

Group = tuple[str, ...]
Row = tuple[Event, int, Counted]


def definition_of(metric: BillableMetric) -> Definition:
    """What a billable metric counts."""
    dimensions = sorted((metric.group_by or {}).items())
    return Definition(
        billable_metric_id=metric.id,
        version=metric.version,
        namespace=metric.merchant_id,
        aggregation=metric.aggregation,
        event_type=metric.event_type,
        value_path=None if metric.value_property is None else parse_path(metric.value_property),
        dimensions=tuple((name, parse_path(path)) for name, path in dimensions),
        event_from=metric.event_from,
    )


def window_in(question: UsageQuestion | EventStatistics, at: Instant) -> Window | None:
    """The window of the question that `at` lies in."""
    if question.window_size is not None:
        return question.window_size.window_of(at)
    return next((window for window in question.local_windows if at in window), None)


def _subject(event: Event, links: Mapping[str, str]) -> str:
    return event.subject or links.get(event.external_subject, "")


class FakePhases:
    """A PhaseReader whose every question finds `reading` in its first phase; `failure` is raised instead."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.failure: Exception | None = None
        self.asked: list[Sequence[PhasesQuestion]] = []

    async def phases(self, questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        self.asked.append(questions)
        if self.failure is not None:
            raise self.failure
        sizes = [max(len(one.cuts) - 1, 0) for one in questions]
        return [[self.reading, *[Reading()] * (size - 1)] if size else [] for size in sizes]


class FakeUsage:
    """Implements UsageReader by folding every event for every question."""

    def __init__(self) -> None:
        self.events_of_log: list[Event] = []
        self.repeats: dict[str, tuple[Repeat, ...]] = {}

    async def usage(self, question: UsageQuestion) -> Usage:
        cells: dict[tuple[Window | None, Group], RollupState] = defaultdict(RollupState)
        groups: dict[Group, RollupState] = defaultdict(RollupState)
        total = RollupState()
        for event, offset, counted in self._rows(question.definition, question.period):
            named: defaultdict[str, str] = defaultdict(str)  # a dimension that is not there is ""
            named.update(zip(question.definition.dimension_names, counted.dimensions, strict=True))
            named["subject"] = _subject(event, question.links)
            if not holds(question.condition, named.__getitem__):
                continue
            window = window_in(question, event.time)
            group = tuple(named[name] for name in question.group_by)
            state = _state(event, offset, counted)
            total = total.merge(state)
            cells[window, group] = cells[window, group].merge(state)
            groups[group] = groups[group].merge(state)
        asked = question.has_windows or question.group_by
        ordered = sorted(cells.items(), key=lambda one: (one[0][0] or Window(0, 0), one[0][1]))
        return Usage(
            total.reading(),
            Cells.of(
                [UsageCell(window, group, one.reading()) for (window, group), one in ordered] if asked else []
            ),
            tuple(GroupTotal(group, one.reading()) for group, one in groups.items())
            if question.group_by
            else (),
        )

    async def usages(self, questions: Sequence[UsageQuestion]) -> Sequence[Usage]:
        return [await self.usage(question) for question in questions]

    async def texts(self, question: TextsQuestion) -> Sequence[TextCount]:
        found = Counter(self._texts(question.definition, question.period, question.name, question.links))
        listed = [
            TextCount(text, number)
            for text, number in sorted(found.items())
            if text.startswith(question.prefix) and (question.after is None or text > question.after)
        ]
        return listed[: question.limit]

    async def dimensions(self, definition: Definition, period: Window) -> Sequence[DimensionCount]:
        some = {
            name: [text for text in self._texts(definition, period, name, {}) if text]
            for name in definition.dimension_names
        }
        return [DimensionCount(name, len(set(texts)), len(texts)) for name, texts in some.items()]

    def _texts(
        self, definition: Definition, period: Window, name: str, links: Mapping[str, str]
    ) -> list[str]:
        names = (*definition.dimension_names, "subject")
        rows = self._rows(definition, period)
        return [
            (*counted.dimensions, _subject(event, links))[names.index(name)] for event, _, counted in rows
        ]

    async def events(self, question: EventPageQuestion) -> EventPage:
        wanted = {
            "external_id": question.external_id,
            "external_subject": question.external_subject,
        }
        links = {} if question.linked is None else {question.linked: question.subject or ""}
        found = [
            event
            for event, _, _ in self._rows(question.definition, question.period)
            if all(text is None or getattr(event, name) == text for name, text in wanted.items())
            and question.subject in (None, _subject(event, links))
        ]
        found.sort(key=lambda event: event.time, reverse=True)
        return EventPage(tuple(found[question.offset : question.offset + question.limit]), len(found))

    async def search(self, search: EventSearch) -> Sequence[StoredEvent]:
        found = [
            (EventPlace(event.received_at, 0, offset), event, offset)
            for offset, event in enumerate(self.events_of_log)
            if self._matches(search.filter, event)
        ]
        newest_first = sorted(found, reverse=True)
        older = [one for one in newest_first if search.before is None or one[0] < search.before]
        return [self._stored(event, offset) for _, event, offset in older[: search.limit]]

    async def count(self, asked: EventStatistics) -> Sequence[EventCount]:
        counts: Counter[tuple[Window | None, str, str]] = Counter()
        for event in self.events_of_log:
            if self._matches(asked.filter, event):
                became = _became(asked.filter, event)
                counts[window_in(asked, event.received_at), event.type, became] += 1
            if self._matches(replace(asked.filter, received=EVER), event) and not asked.filter.disposition:
                for repeat in self.repeats.get(event.id, ()):
                    if repeat.received_at in asked.filter.received:
                        counts[window_in(asked, repeat.received_at), event.type, DUPLICATE] += 1
        ordered = sorted(counts.items(), key=lambda one: (one[0][0] or Window(0, 0), one[0][1:]))
        return [EventCount(*key, number) for key, number in ordered]

    def _matches(self, filter: EventFilter, event: Event) -> bool:
        counted_by = filter.counted_by
        return (
            event.namespace == filter.namespace
            and event.received_at in filter.received
            and event.time in filter.time
            and all(getattr(event, column) in texts for column, texts in filter.texts.items())
            and filter.disposition in (None, _became(filter, event))
            and (counted_by is None or _disposition((counted_by,), event) is Disposition.COUNTED)
        )

    async def lookup(self, asked: EventLookup) -> Sequence[StoredEvent]:
        return [
            self._stored(event, offset)
            for offset, event in enumerate(self.events_of_log)
            if (event.namespace, event.id) == (asked.namespace, asked.id)
            and asked.source in (None, event.source)
        ]

    def _stored(self, event: Event, offset: int) -> StoredEvent:
        repeats = self.repeats.get(event.id, ())
        return StoredEvent(event, Position(0, offset + 1), "counted", repeats, len(repeats))

    def _rows(self, definition: Definition, period: Window) -> list[Row]:
        rows: list[Row] = []
        for offset, event in enumerate(self.events_of_log):
            own = (event.namespace, event.type) == (definition.namespace, definition.event_type)
            if not own or event.time not in period:
                continue
            outcome = outcome_of(definition, event.time, parse_data(event.data))
            if isinstance(outcome, Counted):
                rows.append((event, offset, outcome))
        return rows


def _became(filter: EventFilter, event: Event) -> Disposition:
    hidden_by = filter.tombstones.hidden_by(event.subject, event.external_subject, event.received_at)
    return _disposition(filter.definitions, event) if hidden_by is None else Disposition.HIDDEN


def _disposition(definitions: Sequence[Definition], event: Event) -> Disposition:
    return disposition_of(
        [
            outcome_of(one, event.time, parse_data(event.data))
            for one in definitions
            if (one.namespace, one.event_type) == (event.namespace, event.type)
        ]
    )


def _state(event: Event, offset: int, counted: Counted) -> RollupState:
    value = counted.value
    if isinstance(value, Decimal):
        latest = Latest(event.time, event.received_at, 0, offset, value)
        return RollupState(1, value, value, value, latest)
    text = f"event {offset}" if value is None else value
    return RollupState(1, unique=frozenset({value_hash(text)}))
