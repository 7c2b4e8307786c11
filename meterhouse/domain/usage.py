"""Questions about usage, and their answers before an aggregation is applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.condition import ALWAYS, Condition
from meterhouse.domain.event import Event
from meterhouse.domain.instant import Instant
from meterhouse.domain.position import Position
from meterhouse.domain.rollup import Reading, Readings
from meterhouse.domain.window import Window, WindowSize


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuestion:
    """Usage under `definition` in `period`, to the microsecond.

    `condition` and `group_by` name dimensions, or SUBJECT. Windows are those of `window_size` in the UTC
    calendar, or `local_windows`: some that follow each other without a gap and cover the period, by the
    calendar of a time zone. Events without a subject are those of the one that `links` has for their
    external subject.
    """

    definition: Definition
    period: Window
    condition: Condition = ALWAYS
    window_size: WindowSize | None = None
    local_windows: tuple[Window, ...] = ()
    group_by: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_windows(self) -> bool:
        return self.window_size is not None or bool(self.local_windows)


class UsageCell(NamedTuple):
    """One (window, group): `window` is None when none was asked for; `group` follows `group_by`."""

    window: Window | None
    group: tuple[str, ...]
    reading: Reading


@dataclass(frozen=True, slots=True)
class Cells(Sequence[UsageCell]):
    """Cells column by column, each made when it is asked for."""

    windows: Sequence[Window | None] = ()
    groups: Sequence[tuple[str, ...]] = ()
    readings: Readings = field(default_factory=Readings)

    @classmethod
    def of(cls, cells: Iterable[UsageCell]) -> Cells:
        kept = list(cells)
        readings = Readings.of([one.reading for one in kept])
        return cls([one.window for one in kept], [one.group for one in kept], readings)

    def __len__(self) -> int:
        return len(self.groups)

    @overload
    def __getitem__(self, place: int) -> UsageCell: ...
    @overload
    def __getitem__(self, place: slice) -> Cells: ...
    def __getitem__(self, place: int | slice) -> UsageCell | Cells:
        if isinstance(place, slice):
            return Cells(self.windows[place], self.groups[place], self.readings[place])
        return UsageCell(self.windows[place], self.groups[place], self.readings[place])

    def __iter__(self) -> Iterator[UsageCell]:
        return map(UsageCell, self.windows, self.groups, self.readings)


class GroupTotal(NamedTuple):
    """A group over the whole period, windows set aside: what top-N orders by."""

    group: tuple[str, ...]
    reading: Reading


@dataclass(frozen=True, slots=True)
class Usage:
    """`total` is over the whole period, from states, never by adding cells up.

    `cells`, by window and then by group, is empty when neither windows nor groups were asked for; empty cells
    are left out. `groups` is filled when groups were asked for, whether or not there are windows too.
    """

    total: Reading
    cells: Cells = field(default_factory=Cells)
    groups: tuple[GroupTotal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsQuestion:
    """The texts that the dimension `name`, or SUBJECT, has in `period`: those after `after`, in order.

    `links` is as in UsageQuestion.
    """

    definition: Definition
    period: Window
    name: str
    prefix: str
    after: str | None
    limit: int
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextCount:
    """A text of a dimension, and how many events have it."""

    text: str
    events: int


@dataclass(frozen=True, slots=True)
class DimensionCount:
    """How many texts a dimension has, "" aside, and how many events have one."""

    name: str
    texts: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPageQuestion:
    """Events that `definition` counts in `period`, newest first.

    Events without a subject are those of `subject` too where their external subject is `linked`.
    """

    definition: Definition
    period: Window
    subject: str | None
    external_id: str | None
    external_subject: str | None
    limit: int
    offset: int
    linked: str | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    events: tuple[Event, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """A repeat of an identity; `payload` is the event as JSON where it differs from the first."""

    received_at: Instant
    position: Position
    payload: bytes


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A first-seen event, the position just after it, and what is listed of its repeats.

    `repeats` is oldest first and bounded, those that differ from the first before those that do not;
    `repeat_count` is how many there are in all. `hidden_by` is the tombstone that hides it, if one does.
    """

    event: Event
    position: Position
    disposition: str
    repeats: tuple[Repeat, ...]
    repeat_count: int = 0
    hidden_by: Instant | None = None
