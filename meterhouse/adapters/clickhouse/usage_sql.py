"""The one statement that answers a question about usage: which rows it reads, and how states merge.

Nothing of a question is ever spliced into the text: identifiers are constants, values are bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.block import Table
from meterhouse.domain.instant import HOUR, MINUTE, SECOND, Instant
from meterhouse.domain.usage import UsageQuestion
from meterhouse.domain.window import Window, WindowSize

SUBJECT: Final = "subject"  # the group that every metric has besides its dimensions

_LEVELS: Final = ((Table.ROLLUPS_HOUR, HOUR), (Table.ROLLUPS_MINUTE, MINUTE))
_TIME: Final = {
    Table.ROLLUPS_HOUR: "window_start",
    Table.ROLLUPS_MINUTE: "window_start",
    Table.METERED_EVENTS: "time",
}
_WINDOW: Final = {
    WindowSize.MINUTE: "toStartOfMinute",
    WindowSize.HOUR: "toStartOfHour",
    WindowSize.DAY: "toStartOfDay",
    WindowSize.MONTH: "toStartOfMonth",
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


def pieces(period: Window, *, by_minute: bool = False) -> dict[Table, list[Window]]:
    """Tile `period` with the coarsest tables that fit: hours, then minutes, then events at ragged edges.

    10:59:30 to 13:00:30 is events to 11:00, two hours, events from 13:00. With `by_minute` an hour row
    says too little, so minutes are the coarsest.
    """
    found: dict[Table, list[Window]] = {}
    for table, window in _cover(period, _LEVELS[1:] if by_minute else _LEVELS):
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


def usage_statement(question: UsageQuestion) -> Statement | None:
    """The statement whose rows are the cells, the group totals and the total; None for an empty period.

    Its columns: `level`, then `window` (seconds) and `g0`, `g1` … as asked for, then the states. Level 0
    are the finest cells; each following level leaves out the finest key; the last one is the total. Rows
    are ordered by level, window and group.
    """
    sources = pieces(question.period, by_minute=question.window_size is WindowSize.MINUTE)
    if not sources:
        return None
    parameters = _parameters(question)
    branches: list[str] = []
    for table, windows in sources.items():
        branches.append(_branch(question, table, len(branches), windows))
        parameters.update(_bounds(table, len(branches) - 1, windows))
    keys = [*_window_key(question), *[f"g{i}" for i in range(len(question.group_by))]]
    merged = [f"{state.merged} AS {state.field}" for state in STATES[question.definition.aggregation]]
    columns = ", ".join([f"{_level(question)} AS level", *keys, *merged])
    rows = "\nUNION ALL\n".join(branches)
    text = f"SELECT {columns}\nFROM (\n{rows}\n)"  # constants and bound names only
    if keys:
        text += (
            f"\nGROUP BY GROUPING SETS ({_grouping_sets(question)})\nORDER BY {', '.join(['level', *keys])}"
        )
    return Statement(text, parameters)


def _window_key(question: UsageQuestion) -> list[str]:
    return [] if question.window_size is None else ["window"]


def _level(question: UsageQuestion) -> str:
    keys = [*_window_key(question), *(["g0"] if question.group_by else [])]
    return " + ".join([f"grouping({key})" for key in keys]) or "0"


def _grouping_sets(question: UsageQuestion) -> str:
    window = _window_key(question)
    groups = [f"g{i}" for i in range(len(question.group_by))]
    sets = [[*window, *groups], groups, []] if window and groups else [[*window, *groups], []]
    return ", ".join([f"({', '.join(keys)})" for keys in sets])


def _branch(question: UsageQuestion, table: Table, number: int, windows: list[Window]) -> str:
    time = _TIME[table]
    columns = []
    if question.window_size is not None:
        # a month's start is a Date, which has no zone of its own
        start = f"toDateTime({_WINDOW[question.window_size]}({time}), 'UTC')"
        columns.append(f"toUnixTimestamp({start}) AS window")
    columns += [f"{_group(name, f'group{i}')} AS g{i}" for i, name in enumerate(question.group_by)]
    columns += [_state(state, table) for state in STATES[question.definition.aggregation]]
    spans = [_span(time, f"{number}_{i}") for i in range(len(windows))]
    conditions = [*_conditions(question), f"({' OR '.join(spans)})"]
    return f"SELECT {', '.join(columns)}\nFROM {table}\nWHERE {' AND '.join(conditions)}"


def _state(state: State, table: Table) -> str:
    return state.of_event if table is Table.METERED_EVENTS else state.of_rollup


def _group(name: str, parameter: str) -> str:
    return SUBJECT if name == SUBJECT else f"dimensions[{{{parameter}:String}}]"


def _span(time: str, suffix: str) -> str:
    return f"({time} >= {_instant(time, f'start{suffix}')} AND {time} < {_instant(time, f'end{suffix}')})"


def _instant(time: str, parameter: str) -> str:
    if time == "time":
        return f"fromUnixTimestamp64Micro({{{parameter}:Int64}}, 'UTC')"
    return f"toDateTime({{{parameter}:Int64}}, 'UTC')"


def _bounds(table: Table, number: int, windows: list[Window]) -> dict[str, object]:
    bounds: dict[str, object] = {}
    for i, window in enumerate(windows):
        for name, at in (("start", window.start), ("end", window.end)):
            exact = table is Table.METERED_EVENTS
            bounds[f"{name}{number}_{i}"] = at if exact else min(at, _LAST_WINDOW) // SECOND
    return bounds


def _conditions(question: UsageQuestion) -> list[str]:
    conditions = [BOUND_TO_VERSION]
    if question.subject is not None:
        conditions.append("subject = {subject:String}")
    for i, name in enumerate(question.filters):
        conditions.append(f"{_group(name, f'filter{i}')} = {{filtered{i}:String}}")
    return conditions


BOUND_TO_VERSION: Final = (
    "namespace = {namespace:String} AND billable_metric_id = {metric:String} AND version = {version:UInt32}"
)


def _parameters(question: UsageQuestion) -> dict[str, object]:
    definition = question.definition
    parameters: dict[str, object] = {
        "namespace": definition.namespace,
        "metric": definition.billable_metric_id,
        "version": definition.version,
    }
    if question.subject is not None:
        parameters["subject"] = question.subject
    parameters |= {f"group{i}": name for i, name in enumerate(question.group_by) if name != SUBJECT}
    for i, (name, text) in enumerate(question.filters.items()):
        parameters[f"filtered{i}"] = text
        if name != SUBJECT:
            parameters[f"filter{i}"] = name
    return parameters
