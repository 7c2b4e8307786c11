"""The tables in memory, with what can go wrong between a token and its rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.block import (
    Block,
    FirstSeenColumns,
    IdentityColumns,
    MeteredColumns,
    MeteredGroup,
    RepeatColumns,
    Seen,
    Table,
)
from meterhouse.domain.event import EventColumns, Facts, IdHash, alias_of
from meterhouse.domain.instant import Instant
from meterhouse.domain.rollup import Latest, RollupState
from meterhouse.domain.window import WindowSize
from meterhouse.ports.log import Bounds

RollupKey = tuple[str, str, int, str, str, Instant, tuple[str, ...]]


@dataclass(frozen=True, slots=True, order=True)
class Metered:
    """One row of `metered_events`."""

    partition: int
    offset: int
    namespace: str
    billable_metric_id: str
    version: int
    subject: str
    external_subject: str
    time: Instant
    received_at: Instant
    dimensions: tuple[str, ...]
    value: Decimal | None
    unique_hash: IdHash

    def state(self) -> RollupState:
        """What it adds to a rollup."""
        unique = frozenset({self.unique_hash}) if self.unique_hash else frozenset[int]()
        if self.value is None:
            return RollupState(1, unique=unique)
        latest = Latest(self.time, self.received_at, self.partition, self.offset, self.value)
        return RollupState(1, self.value, self.value, self.value, latest, unique)


class MemoryStore:
    """Implements BlockStore and EventArchive. `window` is how many tokens a table remembers."""

    def __init__(self, *, window: int = 1000) -> None:
        self.parts: dict[Table, list[Block]] = {table: [] for table in Table}
        self._tokens: dict[Table, deque[str]] = {table: deque(maxlen=window) for table in Table}
        self._first_seen: dict[IdHash, Seen] = {}
        self._events: dict[tuple[int, int], tuple[EventColumns, int]] = {}
        self._repeats: set[tuple[int, int]] = set()

    async def find(self, id_hashes: Sequence[IdHash]) -> Mapping[IdHash, Seen]:
        return {one: self._first_seen[one] for one in id_hashes if one in self._first_seen}

    async def insert(self, block: Block, token: str) -> None:
        if token not in self._tokens[block.table]:
            self.take_token(block.table, token)
            self.commit(block)

    async def landed(self, block: Block) -> bool:
        rows = block.rows
        match rows:
            case IdentityColumns():
                return rows.id_hashes[-1] in self._first_seen
            case FirstSeenColumns():
                return (rows.events.partition, block.mark) in self._events
            case RepeatColumns():
                return (rows.partition, block.mark) in self._repeats
        key = (block.stream, block.month)
        return any(
            part.mark >= block.mark for part in self.parts[block.table] if (part.stream, part.month) == key
        )

    async def held(self, partition: int, start: int) -> Bounds:
        places = self._events.keys() | self._repeats
        offsets = [offset for number, offset in places if number == partition and offset >= start]
        return Bounds(min(offsets), max(offsets) + 1) if offsets else Bounds(start, start)

    async def stored(
        self, partition: int, start: int, until: int, *, of: Definition, limit: int | None = None
    ) -> Facts:
        places = sorted(
            place for place in self._events if place[0] == partition and start <= place[1] < until
        )
        facts = Facts()
        for events, row in [self._events[place] for place in places]:
            if (events.namespaces[row], events.types[row]) != (of.namespace, of.event_type):
                continue
            if events.received_ats[row] < of.tombstones.since:
                continue
            if len(facts) == limit:
                break
            facts.offsets.append(events.offsets[row])
            facts.id_hashes.append(events.id_hashes[row])
            facts.subjects.append(events.subjects[row])
            facts.aliases.append(alias_of(events.subjects[row], events.external_subjects[row]))
            facts.times.append(events.times[row])
            facts.received_ats.append(events.received_ats[row])
            facts.data.append(events.data[row])
        return facts

    def knows(self, table: Table, token: str) -> bool:
        """Whether the table remembers the token."""
        return token in self._tokens[table]

    def take_token(self, table: Table, token: str) -> None:
        """Remember the token; a store that dies before `commit` has a token without rows."""
        self._tokens[table].append(token)

    def commit(self, block: Block) -> None:
        """Let the rows appear, whatever the tokens say."""
        self.parts[block.table].append(block)
        rows = block.rows
        match rows:
            case IdentityColumns():
                for identity, offset, payload_hash in zip(
                    rows.id_hashes, rows.offsets, rows.payload_hashes, strict=True
                ):
                    self._first_seen.setdefault(identity, Seen(rows.partition, offset, payload_hash))
            case FirstSeenColumns():
                for row, offset in enumerate(rows.events.offsets):
                    self._events[rows.events.partition, offset] = (rows.events, row)
            case RepeatColumns():
                self._repeats.update((rows.partition, offset) for offset in rows.offsets)
            case MeteredColumns():
                pass

    def forget_tokens(self, forgotten: Container[str]) -> None:
        """As if so many blocks had come in between that these tokens are no longer remembered."""
        for tokens in self._tokens.values():
            kept = [token for token in tokens if token not in forgotten]
            tokens.clear()
            tokens.extend(kept)

    def dispositions(self) -> dict[tuple[int, int], str]:
        """What became of each first-seen event, by log place."""
        return {
            (part.rows.events.partition, offset): disposition
            for part in self.parts[Table.EVENTS]
            if isinstance(part.rows, FirstSeenColumns)
            for offset, disposition in zip(part.rows.events.offsets, part.rows.dispositions, strict=True)
        }

    def metered(self) -> list[Metered]:
        """All rows of `metered_events`, marks left out, in a stable order."""
        return sorted(self._metered(Table.METERED_EVENTS))

    def rollups(self, size: WindowSize) -> dict[RollupKey, RollupState]:
        """The merged rollups of a window size."""
        found: dict[RollupKey, RollupState] = {}
        for row in self._metered(Table.ROLLUPS):
            key = (
                row.namespace,
                row.billable_metric_id,
                row.version,
                row.subject,
                row.external_subject,
                size.window_of(row.time).start,
                row.dimensions,
            )
            found[key] = found.get(key, RollupState()).merge(row.state())
        return found

    def _metered(self, table: Table) -> Iterator[Metered]:
        for part in self.parts[table]:
            if isinstance(part.rows, MeteredColumns):
                for group in part.rows.groups:
                    yield from _metered_rows(part.rows.partition, group)


def _metered_rows(partition: int, group: MeteredGroup) -> Iterator[Metered]:
    for row in range(len(group)):
        yield Metered(
            partition,
            group.offsets[row],
            group.namespace,
            group.billable_metric_id,
            group.version,
            group.subjects[row],
            group.external_subjects[row],
            group.times[row],
            group.received_ats[row],
            group.dimensions_of(row),
            group.value_of(row),
            group.unique_hashes[row],
        )
