"""The one statement that answers a question about usage: which rows it reads, and how states merge.

Nothing of a question is ever spliced into the text: identifiers are constants, values are bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from meterhouse.adapters.clickhouse.binding import Binding
from meterhouse.adapters.clickhouse.window_sql import window_start
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.block import Table
from meterhouse.domain.condition import ALWAYS, Prefix
from meterhouse.domain.instant import HOUR, MINUTE, SECOND, Instant
from meterhouse.domain.usage import TextsQuestion, UsageQuestion
from meterhouse.domain.window import Window, WindowSize

_LEVELS: Final = ((Table.ROLLUPS_HOUR, HOUR), (Table.ROLLUPS_MINUTE, MINUTE))
_TIME: Final = {
    Table.ROLLUPS_HOUR: "window_start",
    Table.ROLLUPS_MINUTE: "window_start",
    Table.METERED_EVENTS: "time",
}
# `DateTime`, the type of window starts, ends here; nothing that was ever accepted lies beyond.
_LAST_WINDOW: Final = (2**32 - 1) // 3600 * HOUR


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
    """A field of Reading: how a rollup row and a metered event hold it, and how many of them merge."""

    field: str
    of_rollup: str
    of_event: str
    merged: str


COUNT: Final = State("count", "count AS s_count", "toUInt64(1) AS s_count", "sum(s_count)")
SUM: Final = State("sum", "sum AS s_sum", "toDecimal256(assumeNotNull(value), 18) AS s_sum", "sum(s_sum)")
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


def pieces(period: Window, *, grain: Instant = HOUR) -> dict[Table, list[Window]]:
    """Tile `period` with the coarsest tables that fit: hours, then minutes, then events at ragged edges.

    10:59:30 to 13:00:30 is events to 11:00, two hours, events from 13:00. Rows of more than `grain` say too
    little, so they are not read.
    """
    found: dict[Table, list[Window]] = {}
    levels = tuple([level for level in _LEVELS if level[1] <= grain])
    for table, window in _cover(period, levels):
        found.setdefault(table, []).append(window)
    return found


def _cover(period: Window, levels: tuple[tuple[Table, Instant], ...]) -> Iterator[tuple[Table, Window]]:
    if period.start >= period.end:
        return
    if not levels:
        yield Table.METERED_EVENTS, period
        return
    (table, length), *finer = levels
    first = -(-period.start // length) * length
    last = period.end // length * length
    if first >= last:
        yield from _cover(period, tuple(finer))
        return
    yield from _cover(Window(period.start, first), tuple(finer))
    yield table, Window(first, last)
    yield from _cover(Window(last, period.end), tuple(finer))


def grain_of(question: UsageQuestion) -> Instant:
    """The longest row that lies in one window wherever it lies: an hour, a minute, or an instant (1)."""
    if question.window_size is WindowSize.MINUTE:
        return MINUTE
    starts = [window.start for window in question.local_windows]
    for length in (HOUR, MINUTE):
        if all(start % length == 0 for start in starts):
            return length
    return 1


def usage_statement(question: UsageQuestion) -> Statement | None:
    """The statement whose rows are the cells, the group totals and the total; None for an empty period.

    Its columns: `level`, then `window` (seconds) and `g0`, `g1` … as asked for, then the states. Level 0
    are the finest cells; each following level leaves out the finest key; the last one is the total. Rows
    are ordered by level, window and group.
    """
    states = STATES[question.definition.aggregation]
    binding = Binding(version_parameters(question.definition), question.links)
    rows = _rows(question, states, binding)
    if not rows:
        return None
    keys = [*_window_key(question), *[f"g{i}" for i in range(len(question.group_by))]]
    merged = [f"{state.merged} AS {state.field}" for state in states]
    columns = ", ".join([f"{_level(question)} AS level", *keys, *merged])
    text = f"SELECT {columns}\nFROM (\n{rows}\n)"  # constants and bound names only
    if keys:
        text += (
            f"\nGROUP BY GROUPING SETS ({_grouping_sets(question)})\nORDER BY {', '.join(['level', *keys])}"
        )
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


def _rows(question: UsageQuestion, states: Sequence[State], binding: Binding) -> str:
    """The rows of every table that the period is tiled with; "" for an empty one."""
    sources = pieces(question.period, grain=grain_of(question))
    branches = [_branch(question, states, table, windows, binding) for table, windows in sources.items()]
    return "\nUNION ALL\n".join(branches)


def _window_key(question: UsageQuestion) -> list[str]:
    return ["window"] if question.has_windows else []


def _level(question: UsageQuestion) -> str:
    keys = [*_window_key(question), *(["g0"] if question.group_by else [])]
    return " + ".join([f"grouping({key})" for key in keys]) or "0"


def _grouping_sets(question: UsageQuestion) -> str:
    window = _window_key(question)
    groups = [f"g{i}" for i in range(len(question.group_by))]
    sets = [[*window, *groups], groups, []] if window and groups else [[*window, *groups], []]
    return ", ".join([f"({', '.join(keys)})" for keys in sets])


def _branch(
    question: UsageQuestion,
    states: Sequence[State],
    table: Table,
    windows: Sequence[Window],
    binding: Binding,
) -> str:
    time = _TIME[table]
    columns = []
    if question.has_windows:
        start = window_start(time, question.window_size, question.local_windows, binding)
        columns.append(f"{start} AS window")
    columns += [f"{binding.named(name)} AS g{i}" for i, name in enumerate(question.group_by)]
    columns += [_state(state, table) for state in states]
    spans = [_span(time, window, binding) for window in windows]
    conditions = [BOUND_TO_VERSION, f"({' OR '.join(spans)})"]
    if question.condition != ALWAYS:
        conditions.append(f"({binding.condition(question.condition)})")
    return f"SELECT {', '.join(columns)}\nFROM {table}\nWHERE {' AND '.join(conditions)}"


def _state(state: State, table: Table) -> str:
    return state.of_event if table is Table.METERED_EVENTS else state.of_rollup


def _span(time: str, window: Window, binding: Binding) -> str:
    start, end = _instant(time, window.start, binding), _instant(time, window.end, binding)
    return f"({time} >= {start} AND {time} < {end})"


def _instant(time: str, at: Instant, binding: Binding) -> str:
    if time == "time":
        return f"fromUnixTimestamp64Micro({binding.bind(at, 'Int64')}, 'UTC')"
    return f"toDateTime({binding.bind(min(at, _LAST_WINDOW) // SECOND, 'Int64')}, 'UTC')"


BOUND_TO_VERSION: Final = (
    "namespace = {namespace:String} AND billable_metric_id = {metric:String} AND version = {version:UInt32}"
)


def version_parameters(definition: Definition) -> dict[str, object]:
    """What BOUND_TO_VERSION needs to read one version of a merchant's billable metric."""
    return {
        "namespace": definition.namespace,
        "metric": definition.billable_metric_id,
        "version": definition.version,
    }
