"""Blocks: rows that enter one ClickHouse table in one INSERT, whole or not at all (DESIGN: exactly once)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from meterhouse.domain.disposition import Flaw
from meterhouse.domain.event import EventColumns, IdHash
from meterhouse.domain.instant import Instant


class Table(StrEnum):
    """The tables that the aggregator writes, in the order in which it writes them."""

    EVENT_REPEATS = "event_repeats"
    EVENTS = "events"
    METERED_EVENTS = "metered_events"
    ROLLUPS = "rollups"
    EVENT_IDS = "event_ids"


@dataclass(slots=True)
class RepeatColumns:
    """Repeats of identities seen before. `payloads` is the event as JSON where it differs, else empty."""

    partition: int
    id_hashes: list[IdHash] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    first_partitions: list[int] = field(default_factory=list)
    first_offsets: list[int] = field(default_factory=list)
    received_ats: list[Instant] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(slots=True)
class IdentityColumns:
    """New entries of the dedup index."""

    partition: int
    id_hashes: list[IdHash] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    payload_hashes: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(slots=True)
class FirstSeenColumns:
    """First-seen events with what became of each (a Disposition's text).

    `flaws` is not stored: how often a metric could not use one of them, by why.
    """

    events: EventColumns
    dispositions: list[str] = field(default_factory=list)
    flaws: Counter[Flaw] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.events)


@dataclass(frozen=True, slots=True)
class MeteredGroup:
    """Rows of one metric version, column by column.

    `dimensions` holds a column for each of `dimension_names`, a text a row. `values` is None
    throughout for COUNT and UNIQUE_COUNT; `unique_hashes` is 0 throughout for anything but UNIQUE_COUNT.
    Only rollups of LATEST keep the newest value, as `shows_latest` says.
    """

    namespace: str
    billable_metric_id: str
    version: int
    dimension_names: tuple[str, ...]
    subjects: list[str]
    external_subjects: list[str]
    times: list[Instant]
    received_ats: list[Instant]
    offsets: list[int]
    dimensions: list[list[str]]
    values: list[Decimal | int | None]
    unique_hashes: list[IdHash]
    shows_latest: bool

    def __len__(self) -> int:
        return len(self.offsets)

    def dimensions_of(self, row: int) -> tuple[str, ...]:
        """The row's texts, in the order of `dimension_names`."""
        return tuple([column[row] for column in self.dimensions])

    def value_of(self, row: int) -> Decimal | None:
        value = self.values[row]
        return None if value is None else Decimal(value)


@dataclass(frozen=True, slots=True)
class MeteredColumns:
    """Metered events of one month of event time, a group per metric version."""

    partition: int
    groups: tuple[MeteredGroup, ...]

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups)


Rows = FirstSeenColumns | RepeatColumns | IdentityColumns | MeteredColumns


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one table and, where the table is kept by month of event time, one month.

    `stream` says whose offsets they are: the log partition ("0") or, for a backfill, the partition and the
    metric version ("0/bm_x/2"). `mark` is the log offset that a landed block proves: for `events` and
    `event_repeats` the largest offset of its own rows, for the tables by month the last offset of the
    batch, which the block carries in one extra row under the reserved key (namespace '', metric '',
    subject = stream, time = the month's start).
    """

    table: Table
    stream: str
    month: int
    mark: int
    rows: Rows


@dataclass(frozen=True, slots=True)
class Seen:
    """Where an identity was first seen, and the hash of its payload."""

    partition: int
    offset: int
    payload_hash: int
