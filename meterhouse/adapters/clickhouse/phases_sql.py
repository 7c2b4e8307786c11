"""The statements that read usage phase by phase, for many subjects and billable metrics at once.

A row's *place* is one number: which question it answers, and when. So the cuts of all questions are one
sorted array, and the phase of a row is the greatest cut that is not beyond its place.

    place = number of the question * 2**53 + microseconds        (2**53 µs are past the year 2200)

A rollup is read where no cut of its question lies inside its window: days first, then the hours of days that
are cut, the minutes of such hours, and the events of such minutes. Values are bound, never spliced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from meterhouse.adapters.clickhouse.binding import Binding
from meterhouse.adapters.clickhouse.usage_sql import LAST_WINDOW, STATES, UNIQUE, State, Statement
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.block import Table
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.window import WindowSize

Numbered = tuple[int, PhasesQuestion]

SPAN: Final = 1 << 53

_SERIES: Final = (
    "concat(billable_metric_id, if(subject = '', ' external ', ' subject '),"
    " if(subject = '', external_subject, subject))"
)


def place(number: int, at: Instant) -> int:
    """Where what happens at the instant is ordered for the question of that number."""
    return number * SPAN + at


def states_of(questions: Sequence[Numbered]) -> tuple[State, ...]:
    """Every state that some aggregation of the questions shows, once."""
    shown = sorted({one.definition.aggregation for _, one in questions})
    return tuple(dict.fromkeys(state for aggregation in shown for state in STATES[aggregation]))


def phases_statement(questions: Sequence[Numbered]) -> Statement:
    """The statement whose rows are the places at which phases begin, each with its `states_of(questions)`.

    The questions are of one namespace, have at least two cuts each, and none counts what is unique.
    """
    states = states_of(questions)
    binding = Binding()
    rows = _rows(questions, states, binding)
    merged = ", ".join([f"{state.merged} AS {state.field}" for state in states])
    text = f"SELECT phase, {merged}\nFROM (\n{rows}\n)\nGROUP BY phase"  # constants and bound names only
    return Statement(text, binding.parameters)


def unique_statement(questions: Sequence[Numbered]) -> Statement:
    """The statement whose rows are such places, each with how many hashes its period has first in that phase.

    The questions are as before, but count what is unique.
    """
    binding = Binding()
    rows = _rows(questions, (UNIQUE,), binding)
    begins = [place(number, at) for number, one in questions for at in (one.cuts[0], *one.resets)]
    period = f"roundDown(phase, {binding.bind(sorted([0, *begins]), 'Array(UInt64)')})"
    first = f"SELECT {period} AS period, arrayJoin(s_unique) AS hash, min(phase) AS first\nFROM (\n{rows}\n)"
    text = f"SELECT first, count()\nFROM (\n{first}\nGROUP BY period, hash\n)\nGROUP BY first"
    return Statement(text, binding.parameters)


def counts_unique(question: PhasesQuestion) -> bool:
    """Whether `unique_statement` is the one for it."""
    return question.definition.aggregation is Aggregation.UNIQUE_COUNT


@dataclass(frozen=True, slots=True)
class _Level:
    """Rollups of a size: how long they are, and the function from an instant to the start of its window."""

    size: WindowSize
    length: Instant
    start: str


# Coarsest first. Of a minute that is cut the events are read.
_LEVELS: Final = (
    _Level(WindowSize.DAY, DAY, "toStartOfDay"),
    _Level(WindowSize.HOUR, HOUR, "toStartOfHour"),
    _Level(WindowSize.MINUTE, MINUTE, "toStartOfMinute"),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a row tells which question it is about: by its number, where there is but one."""

    question: str
    join: str = ""

    @classmethod
    def bind(cls, questions: Sequence[Numbered], binding: Binding) -> _Asked:
        if len(questions) == 1:
            return cls(str(questions[0][0]))
        return cls("question", f" ARRAY JOIN {_series(questions, binding)} AS question")

    def place(self, micros: str) -> str:
        return f"{self.question} * {SPAN} + toUInt64({micros})"


@dataclass(frozen=True, slots=True)
class _Cut:
    """The windows of a level inside which a cut of their question lies.

    Their starts alone find rows by the primary key, and are all there is to say for one question.
    """

    level: _Level
    asked: _Asked
    starts: str
    places: str

    @classmethod
    def bind(
        cls, questions: Sequence[Numbered], level: _Level, asked: _Asked, binding: Binding
    ) -> _Cut | None:
        """None where no window is cut."""
        length = level.length
        cut = {(n, at // length * length) for n, one in questions for at in one.cuts if at % length}
        if not cut:
            return None
        starts = binding.bind(sorted({at // SECOND for _, at in cut if at < LAST_WINDOW}), "Array(UInt32)")
        several = len(questions) > 1
        places = binding.bind(sorted(place(*one) for one in cut), "Array(UInt64)") if several else ""
        return cls(level, asked, starts, places)

    def holds(self, time: str) -> str:
        """Whether the window that `time` lies in is cut."""
        start = f"{self.level.start}({time})"
        found = f"toUInt32({start}) IN {self.starts}"
        return f"{found} AND {self.asked.place(_micros(start))} IN {self.places}" if self.places else found

    def spares(self, time: str) -> str:
        """Whether the window that begins at `time` is not cut."""
        if self.places:
            return f"{self.asked.place(_micros(time))} NOT IN {self.places}"
        return f"toUInt32({time}) NOT IN {self.starts}"


def _rows(questions: Sequence[Numbered], states: Sequence[State], binding: Binding) -> str:
    """A SELECT of the `phase` and the states of every row that the questions are about.

    Two at most, one of rollups and one of events: to plan another costs more than to read what it would.
    """
    asked = _Asked.bind(questions, binding)
    cuts = sorted({0, *[place(number, at) for number, one in questions for at in one.cuts]})
    phases = binding.bind(cuts, "Array(UInt64)")
    of_subjects = _of_subjects(questions, binding)
    windows = [_Cut.bind(questions, level, asked, binding) for level in _LEVELS]
    since, until = _days(questions, binding)

    def select(table: Table, time: str, micros: str, columns: list[str], condition: str) -> str:
        shown = [f"roundDown({asked.place(micros)}, {phases}) AS phase", *columns]
        found = f"SELECT {', '.join(shown)}\nFROM {table}{asked.join}"
        wanted = [*of_subjects, f"{time} >= {since}", f"{time} < {until}", condition]
        return f"{found}\nWHERE {' AND '.join(wanted)}"

    of_sizes = " OR ".join([f"({' AND '.join(parts)})" for parts in _of_sizes(windows)])
    columns, micros = [one.of_rollup for one in states], _micros("window_start")
    found = [select(Table.ROLLUPS, "window_start", micros, columns, f"({of_sizes})")]
    if windows[-1] is not None:
        columns, micros = [one.of_event for one in states], "toUnixTimestamp64Micro(time)"
        found.append(select(Table.METERED_EVENTS, "time", micros, columns, windows[-1].holds("time")))
    return "\nUNION ALL\n".join(found)


def _of_sizes(windows: Sequence[_Cut | None]) -> Iterator[list[str]]:
    """What is asked of the rollups of each size, until nothing is cut that a finer one would be read for."""
    for level, coarser, own in zip(_LEVELS, [None, *windows], windows, strict=False):
        if coarser is None and level is not _LEVELS[0]:
            return
        parts = [f"window_size = '{level.size}'"]
        if coarser is not None:
            parts.append(coarser.holds("window_start"))
        if own is not None:
            parts.append(own.spares("window_start"))
        yield parts


def _series(questions: Sequence[Numbered], binding: Binding) -> str:
    """The numbers of the questions that a row is about: none, one, or several of one subject and metric."""
    numbers: dict[str, list[int]] = {}
    for number, one in questions:
        metric = one.definition.billable_metric_id
        numbers.setdefault(f"{metric} subject {one.subject}", []).append(number)
        if one.linked is not None:
            numbers.setdefault(f"{metric} external {one.linked}", []).append(number)
    names = binding.bind(list(numbers), "Array(String)")
    indexes = binding.bind(list(range(2, len(numbers) + 2)), "Array(UInt64)")
    lists = binding.bind([[], *numbers.values()], "Array(Array(UInt64))")
    return f"{lists}[transform({_SERIES}, {names}, {indexes}, toUInt64(1))]"


def _of_subjects(questions: Sequence[Numbered], binding: Binding) -> list[str]:
    """What finds the rows of the metrics and subjects by the primary key."""
    definitions = {one.definition for _, one in questions}
    [namespace] = {one.namespace for one in definitions}
    linked = sorted({one.linked for _, one in questions if one.linked is not None})
    of_linked = f"subject = '' AND external_subject IN {binding.bind(linked, 'Array(String)')}"
    of_own = _is_one_of("subject", [one.subject for _, one in questions], binding)
    return [
        f"namespace = {binding.text(namespace)}",
        _of_versions(definitions, binding),
        f"({of_own} OR ({of_linked}))" if linked else of_own,
    ]


def _of_versions(definitions: Collection[Definition], binding: Binding) -> str:
    if len(definitions) == 1:
        [one] = definitions
        version = binding.bind(one.version, "UInt32")
        return f"billable_metric_id = {binding.text(one.billable_metric_id)} AND version = {version}"
    metrics = sorted({(one.billable_metric_id, one.version) for one in definitions})
    return f"(billable_metric_id, version) IN {binding.bind(metrics, 'Array(Tuple(String, UInt32))')}"


def _is_one_of(column: str, texts: Collection[str], binding: Binding) -> str:
    """An equation where it can be one: it is planned faster."""
    distinct = sorted(set(texts))
    if len(distinct) == 1:
        return f"{column} = {binding.text(distinct[0])}"
    return f"{column} IN {binding.bind(distinct, 'Array(String)')}"


def _days(questions: Sequence[Numbered], binding: Binding) -> tuple[str, str]:
    """The days from the first cut to the last, [first, end): which months there are rows to look for in."""
    first, last = min(one.cuts[0] for _, one in questions), max(one.cuts[-1] for _, one in questions)
    start = f"toDateTime({binding.bind(_day_of(first), 'Int64')}, 'UTC')"
    end = f"toDateTime({binding.bind(_day_of(last) + DAY // SECOND, 'Int64')}, 'UTC')"
    return start, end


def _day_of(at: Instant) -> int:
    """The start of the day in seconds; nothing that was ever accepted lies beyond the last window."""
    return min(at, LAST_WINDOW - DAY) // DAY * (DAY // SECOND)


def _micros(time: str) -> str:
    return f"toUnixTimestamp({time}) * {SECOND}"
