"""Questions about accepted events: which ones, how many, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.disposition import Disposition
from meterhouse.domain.instant import EARLIEST, LATEST, Instant
from meterhouse.domain.tombstone import NO_TOMBSTONES, Tombstones
from meterhouse.domain.window import Window, WindowSize

EVER = Window(EARLIEST, LATEST)


@dataclass(frozen=True, slots=True, order=True)
class EventPlace:
    """Where an event stands among all: by when it was received, then by its place in the log."""

    received_at: Instant
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """First-seen events of one merchant.

    `texts` maps columns of an event (TEXT_COLUMNS) to the texts of which they have one. What became of an
    event is what `definitions`, those that readers see, make of it now, unless one of `tombstones` hides it;
    `disposition` and `counted_by` ask for events by that.
    """

    namespace: str
    definitions: tuple[Definition, ...]
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    received: Window = EVER
    time: Window = EVER
    disposition: Disposition | None = None
    counted_by: Definition | None = None
    tombstones: Tombstones = NO_TOMBSTONES


TEXT_COLUMNS = ("id", "source", "type", "subject", "external_subject", "external_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSearch:
    """At most `limit` events, newest first; with `before` those that are older than it."""

    filter: EventFilter
    before: EventPlace | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLookup:
    """The events of one merchant with that id: of each source, or of the one, the newest.

    With a source it takes the merchant's `tombstones` to find one that was sent again after a reset.
    """

    namespace: str
    id: str
    source: str | None
    tombstones: Tombstones = NO_TOMBSTONES


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStatistics:
    """How many events by type and disposition, in windows of the time at which they were received.

    Windows are those of `window_size` in the UTC calendar, or `local_windows`; without either it is one.
    """

    filter: EventFilter
    window_size: WindowSize | None = None
    local_windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class EventCount:
    """Events of one window, type and disposition; `window` is None where none was asked for.

    `disposition` is "duplicate" for repeats of an event, which count for no other disposition.
    """

    window: Window | None
    type: str
    disposition: str
    events: int


DUPLICATE = "duplicate"
