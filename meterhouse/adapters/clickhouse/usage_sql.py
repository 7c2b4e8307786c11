"""The one statement that answers a question about usage: which rows it reads, and how states merge.

Nothing of a question is ever spliced into the text: identifiers are constants, values are bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from meterhouse.adapters.clickhouse.binding import Binding
from meterhouse.adapters.clickhouse.rollup_sql import OVERALL
from meterhouse.adapters.clickhouse.window_sql import window_start
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.block import Table
from meterhouse.domain.condition import ALWAYS, SUBJECT, Prefix, names_in
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from meterhouse.domain.rollup import Numerals
from meterhouse.domain.usage import TextsQuestion, UsageQuestion
from meterhouse.domain.window import Window, WindowSize

# Where a row lies: among the rollups of a size, or (None) among the metered events themselves.
Source = str | None
Lengths = Mapping[Source, Instant]

_LENGTHS: Final[Lengths] = {WindowSize.DAY: DAY, WindowSize.HOUR: HOUR, WindowSize.MINUTE: MINUTE, None: 1}
_OVERALL_LENGTHS: Final[Lengths] = {OVERALL: HOUR, WindowSize.MINUTE: MINUTE, None: 1}
# `DateTime`, the type of window starts, ends here; nothing that was ever accepted lies beyond.
LAST_WINDOW: Final = (2**32 - 1) // 3600 * HOUR


def _place(time: str, received_at: str, partition: str, offset: str) -> str:
    """The total order of LATEST in one number; the largest tuple takes four times as long to find."""
    return (
        f"bitShiftLeft(toUInt256(toUnixTimestamp64Micro({time})), 160)"
        f" + bitShiftLeft(toUInt256(toUnixTimestamp64Micro({received_at})), 96)"
        f" + bitShiftLeft(toUInt256({partition}), 64) + {offset}"
    )


_PLACE_IN_ROLLUP: Final = _place(
    "latest.at", "latest.received_at", "latest.log_partition", "latest.log_offset"
)
_PLACE_OF_EVENT: Final = _place("time", "received_at", "log_partition", "log_offset")


@dataclass(frozen=True, slots=True)
class State:
    """A field of Reading: how a rollup row and a metered event hold it, and how many of them merge.

    A Decimal(76) is merged into text, which takes a quarter of the time to read.
    """

    field: str
    of_rollup: str
    of_event: str
    merged: str
    is_text: bool = False

    def read(self, column: Sequence[Any]) -> Sequence[Any]:
        """The values in a column of the answer."""
        return Numerals(column) if self.is_text else column


COUNT: Final = State("count", "count AS s_count", "toUInt64(1) AS s_count", "sum(s_count)")
SUM: Final = State(
    "sum",
    "sum AS s_sum",
    "toDecimal256(assumeNotNull(value), 18) AS s_sum",
    "toString(sum(s_sum))",
    is_text=True,
)
MIN: Final = State("min", "min AS s_min", "value AS s_min", "min(s_min)")
MAX: Final = State("max", "max AS s_max", "value AS s_max", "max(s_max)")
LATEST: Final = State(
    "latest",
    f"latest.value AS s_latest, {_PLACE_IN_ROLLUP} AS s_place",
    f"assumeNotNull(value) AS s_latest, {_PLACE_OF_EVENT} AS s_place",
    "argMax(s_latest, s_place)",
)
UNIQUE: Final = State(
    "unique", "unique_hashes AS s_unique", "[unique_hash] AS s_unique", "uniqExactArray(s_unique)"
)

# Sums are read beside every extreme for nothing, sets of hashes cost most: each reads only what it shows.
STATES: Final = {
    Aggregation.SUM: (COUNT, SUM),
    Aggregation.COUNT: (COUNT,),
    Aggregation.AVG: (COUNT, SUM),
    Aggregation.MIN: (COUNT, MIN),
    Aggregation.MAX: (COUNT, MAX),
    Aggregation.UNIQUE_COUNT: (COUNT, UNIQUE),
    Aggregation.LATEST: (COUNT, LATEST),
}


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `{name:Type}` places, and what is bound to them."""

    text: str
    parameters: dict[str, object]


def pieces(
    period: Window, *, grain: Instant = DAY, lengths: Lengths = _LENGTHS
) -> dict[Source, list[Window]]:
    """Tile `period` with the coarsest rows that fit: days, hours, minutes, then events at ragged edges.

    10:59:30 to 13:00:30 is events to 11:00, two hours, events from 13:00. Rows of more than `grain` say too
    little, so they are not read.
    """
    found: dict[Source, list[Window]] = {}
    fitting = [(source, length) for source, length in lengths.items() if length <= grain]
    for source, window in _cover(period, fitting):
        found.setdefault(source, []).append(window)
    return found


def _cover(period: Window, sources: Sequence[tuple[Source, Instant]]) -> Iterator[tuple[Source, Window]]:
    if period.start >= period.end:
        return
    (coarsest, length), *finer = sources
    first = -(-period.start // length) * length
    last = period.end // length * length
    if first >= last:
        yield from _cover(period, finer)
        return
    yield from _cover(Window(period.start, first), finer)
    yield coarsest, Window(first, last)
    yield from _cover(Window(last, period.end), finer)


def grain_of(question: UsageQuestion) -> Instant:
    """The longest row that lies in one window, wherever it lies: a day, an hour, a minute or an instant."""
    if question.window_size is not None:
        return _LENGTHS.get(question.window_size, DAY)
    starts = [window.start for window in question.local_windows]
    return max(length for length in _LENGTHS.values() if all(start % length == 0 for start in starts))


def usage_statement(question: UsageQuestion) -> Statement | None:
    """The statement whose rows are the cells, the group totals and the total; None for an empty period.

    Its columns: `level`, then `window` (seconds) and `g0`, `g1` … as asked for, then the states. Level 0
    are the finest cells; each following level leaves out the finest key; the last one is the total. Rows
    are ordered by level, window and group.
    """
    return _statement(question, Binding(version_parameters(question.definition), question.links), ())


def usages_statement(questions: Sequence[UsageQuestion]) -> Statement | None:
    """The statement of several questions that differ in their definitions, not their aggregation, alone.

    A first column, `metric`, is the id of what the row is of; its rows are together, ordered as before.
    """
    definitions = [one.definition for one in questions]
    [namespace] = {one.namespace for one in definitions}
    versions = sorted((one.billable_metric_id, one.version) for one in definitions)
    binding = Binding({"namespace": namespace, "versions": versions}, questions[0].links)
    return _statement(questions[0], binding, ("metric",))


def _statement(question: UsageQuestion, binding: Binding, of: tuple[str, ...]) -> Statement | None:
    states = STATES[question.definition.aggregation]
    rows = _rows(question, states, binding, of)
    if not rows:
        return None
    keys = [*_window_key(question), *[f"g{i}" for i in range(len(question.group_by))]]
    merged = [f"{state.merged} AS {state.field}" for state in states]
    columns = ", ".join([*of, f"{_level(question)} AS level", *keys, *merged])
    text = f"SELECT {columns}\nFROM (\n{rows}\n)"  # constants and bound names only
    if keys or of:
        order = ", ".join([*of, "level", *keys])
        text += f"\nGROUP BY GROUPING SETS ({_grouping_sets(question, of)})\nORDER BY {order}"
    return Statement(text, binding.parameters)


def texts_statement(question: TextsQuestion) -> Statement | None:
    """The statement whose rows are texts and how many events have each; None for an empty period."""
    condition = Prefix(question.name, question.prefix) if question.prefix else ALWAYS
    grouped = UsageQuestion(
        definition=question.definition,
        period=question.period,
        condition=condition,
        group_by=(question.name,),
        links=question.links,
    )
    binding = Binding(version_parameters(question.definition), question.links)
    rows = _rows(grouped, (COUNT,), binding)
    if not rows:
        return None
    after = "" if question.after is None else f"\nWHERE g0 > {binding.text(question.after)}"
    limit = binding.bind(question.limit, "UInt64")
    text = f"SELECT g0, {COUNT.merged}\nFROM (\n{rows}\n)"  # constants and bound names only
    return Statement(f"{text}{after}\nGROUP BY g0 ORDER BY g0 LIMIT {limit}", binding.parameters)


def dimensions_statement(definition: Definition, period: Window) -> Statement | None:
    """The statement whose one row has, of each dimension, the number of its texts and of events with one."""
    question = UsageQuestion(definition=definition, period=period, group_by=definition.dimension_names)
    binding = Binding(version_parameters(definition))
    rows = _rows(question, (COUNT,), binding)
    if not rows or not question.group_by:
        return None
    columns = [
        f"uniqExactIf(g{i}, g{i} != ''), sumIf(s_count, g{i} != '')" for i in range(len(question.group_by))
    ]
    text = f"SELECT {', '.join(columns)}\nFROM (\n{rows}\n)"  # constants and bound names only
    return Statement(text, binding.parameters)


def _rows(
    question: UsageQuestion, states: Sequence[State], binding: Binding, of: tuple[str, ...] = ()
) -> str:
    """The rows that the period is tiled with; "" for an empty one."""
    sources = pieces(question.period, grain=grain_of(question), lengths=_lengths_for(question))
    branches = [
        _branch(question, states, source, windows, binding=binding, of=of)
        for source, windows in sources.items()
    ]
    return "\nUNION ALL\n".join(branches)


def _lengths_for(question: UsageQuestion) -> Lengths:
    """The rows that can tell what is asked: those over all subjects, unless some subject matters."""
    by_subject = SUBJECT in question.group_by or SUBJECT in names_in(question.condition)
    return _LENGTHS if by_subject else _OVERALL_LENGTHS


def _window_key(question: UsageQuestion) -> list[str]:
    return ["window"] if question.has_windows else []


def _level(question: UsageQuestion) -> str:
    keys = [*_window_key(question), *(["g0"] if question.group_by else [])]
    return " + ".join([f"grouping({key})" for key in keys]) or "0"


def _grouping_sets(question: UsageQuestion, of: tuple[str, ...]) -> str:
    window = _window_key(question)
    groups = [f"g{i}" for i in range(len(question.group_by))]
    finer = [[*window, *groups], groups] if window and groups else [[*window, *groups]]
    sets = [*finer, []] if window or groups else [[]]
    return ", ".join([f"({', '.join([*of, *keys])})" for keys in sets])


def _branch(
    question: UsageQuestion,
    states: Sequence[State],
    source: Source,
    windows: Sequence[Window],
    *,
    binding: Binding,
    of: tuple[str, ...],
) -> str:
    time = "time" if source is None else "window_start"
    columns = [f"billable_metric_id AS {name}" for name in of]
    if question.has_windows:
        start = window_start(time, question.window_size, question.local_windows, binding)
        columns.append(f"{start} AS window")
    columns += [f"{binding.named(name)} AS g{i}" for i, name in enumerate(question.group_by)]
    columns += [state.of_event if source is None else state.of_rollup for state in states]
    spans = [_span(time, window, binding) for window in windows]
    conditions = [
        _BOUND_TO_VERSIONS if of else BOUND_TO_VERSION,
        *_of_size(source),
        f"({' OR '.join(spans)})",
    ]
    if question.condition != ALWAYS:
        conditions.append(f"({binding.condition(question.condition)})")
    table = Table.METERED_EVENTS if source is None else Table.ROLLUPS
    # ClickHouse would make a PREWHERE of it by itself, and take a tenth of a short statement's time for that
    return f"SELECT {', '.join(columns)}\nFROM {table}\nPREWHERE {' AND '.join(conditions)}"


def _of_size(source: Source) -> list[str]:
    return [] if source is None else [f"window_size = '{source}'"]


def _span(time: str, window: Window, binding: Binding) -> str:
    start, end = _instant(time, window.start, binding), _instant(time, window.end, binding)
    return f"({time} >= {start} AND {time} < {end})"


def _instant(time: str, at: Instant, binding: Binding) -> str:
    if time == "time":
        return f"fromUnixTimestamp64Micro({binding.bind(at, 'Int64')}, 'UTC')"
    return f"toDateTime({binding.bind(min(at, LAST_WINDOW) // SECOND, 'Int64')}, 'UTC')"


BOUND_TO_VERSION: Final = (
    "namespace = {namespace:String} AND billable_metric_id = {metric:String} AND version = {version:UInt32}"
)

_BOUND_TO_VERSIONS: Final = (
    "namespace = {namespace:String}"
    " AND (billable_metric_id, version) IN {versions:Array(Tuple(String, UInt32))}"
)


def version_parameters(definition: Definition) -> dict[str, object]:
    """What BOUND_TO_VERSION needs to read one version of a merchant's billable metric."""
    return {
        "namespace": definition.namespace,
        "metric": definition.billable_metric_id,
        "version": definition.version,
    }
