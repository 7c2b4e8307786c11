"""Windows in SQL: the start of the one that a row lies in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from meterhouse.adapters.clickhouse.binding import Binding
from meterhouse.domain.instant import SECOND
from meterhouse.domain.window import Window, WindowSize

_STARTS: Final = {
    WindowSize.MINUTE: "toStartOfMinute",
    WindowSize.HOUR: "toStartOfHour",
    WindowSize.DAY: "toStartOfDay",
    WindowSize.WEEK: "toMonday",
    WindowSize.MONTH: "toStartOfMonth",
    WindowSize.YEAR: "toStartOfYear",
}


def window_start(
    time: str, size: WindowSize | None, local_windows: Sequence[Window], binding: Binding
) -> str:
    """The start, in seconds, of the window that `time` lies in: of UTC, else of `local_windows`, else 0."""
    if size is not None:
        # the start of anything longer than a day is a Date, which has no zone of its own
        return f"toUnixTimestamp(toDateTime({_STARTS[size]}({time}), 'UTC'))"
    if not local_windows:
        return "0"
    starts = [window.start // SECOND for window in local_windows]
    return f"roundDown(toUnixTimestamp({time}), {binding.bind(starts, 'Array(UInt32)')})"


def windows_by_start(
    starts: Iterable[int], size: WindowSize | None, local_windows: Sequence[Window]
) -> Mapping[int, Window]:
    """The windows that `window_start` means, by its seconds."""
    if size is not None:
        return {start: size.window_of(start * SECOND) for start in starts}
    return {window.start // SECOND: window for window in local_windows}
