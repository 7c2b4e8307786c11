"""Definitions and progress in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from meterhouse.domain.billable_metric import Definition, VersionState
from meterhouse.domain.errors import Fenced
from meterhouse.domain.instant import Instant
from meterhouse.domain.tombstone import Tombstone, Tombstones
from meterhouse.ports.counting import Backfill, Progress

VersionKey = tuple[str, int]


def _key(definition: Definition) -> VersionKey:
    return definition.billable_metric_id, definition.version


@dataclass(slots=True)
class _Partition:
    """What is known of one partition: its live stream, and a backfill per version it has met."""

    live: Progress
    backfills: dict[VersionKey, Progress] = field(default_factory=dict)
    finished: set[VersionKey] = field(default_factory=set)


class MemoryLedger:
    """Implements ProgressLedger, Definitions and Watermark. Every method is one transaction."""

    def __init__(self, *, partitions: int = 1) -> None:
        self._partitions = {
            number: _Partition(Progress(stream=str(number), partition=number, epoch=0, next_offset=0))
            for number in range(partitions)
        }
        self._states: dict[VersionKey, VersionState] = {}
        self._definitions: dict[VersionKey, Definition] = {}
        self._history: list[tuple[Definition, ...]] = [()]
        self._tombstones: dict[str, list[Tombstone]] = {}
        self._known: list[Mapping[str, Tombstones]] = [{}]
        self._received_until: Instant = 0

    def define(self, definition: Definition) -> None:
        """Add a metric version, building until every partition has counted what is older than it."""
        known = Tombstones.of(self._tombstones.get(definition.namespace, ()))
        self._definitions[_key(definition)] = replace(definition, tombstones=known)
        self._states[_key(definition)] = VersionState.BUILDING
        self._remember()

    def bury(self, namespace: str, tombstone: Tombstone) -> Instant:
        """Hide events by a tombstone there or, if such events were planned already, after them; where it is.

        Whoever buries defines a next version of every metric that counts them.
        """
        at = max(tombstone.at, self._received_until + 1)
        self._tombstones.setdefault(namespace, []).append(replace(tombstone, at=at))
        self._remember()
        return at

    def state(self, billable_metric_id: str, version: int) -> VersionState:
        return self._states[billable_metric_id, version]

    async def at(self, catalog_version: int) -> Sequence[Definition]:
        return self._history[catalog_version]

    async def newest(self) -> int:
        """The newest catalog version."""
        return len(self._history) - 1

    async def recent(self, max_age: float) -> int:
        return await self.newest()

    async def tombstones(self, catalog_version: int) -> Mapping[str, Tombstones]:
        return self._known[catalog_version]

    async def counted(self) -> Mapping[int, int]:
        return {number: one.live.next_offset for number, one in self._partitions.items()}

    async def claim(self, partition: int) -> Progress:
        row = self._partitions[partition]
        row.live = replace(row.live, epoch=row.live.epoch + 1)
        return row.live

    async def plan(self, progress: Progress, last: int, received_until: Instant = 0) -> Progress:
        row = self._owned(progress)
        if progress.pending_last is not None:
            raise Fenced(f"{progress.stream}: a range is pending already")
        if progress.until is None:
            self._start_backfills(row)
            self._received_until = max(self._received_until, received_until)
        planned = replace(progress, pending_last=last, catalog_version=await self.newest())
        self._write(row, planned)
        return planned

    async def confirm(self, progress: Progress) -> None:
        self._owned(progress)

    async def advance(self, progress: Progress) -> Progress:
        row = self._owned(progress)
        if progress.pending_last is None:
            raise Fenced(f"{progress.stream}: nothing is pending")
        advanced = replace(
            progress, next_offset=progress.pending_last + 1, pending_last=None, catalog_version=None
        )
        self._write(row, advanced)
        return advanced

    async def backfills(self, progress: Progress) -> Sequence[Backfill]:
        row = self._owned(progress)
        self._start_backfills(row)
        return [
            Backfill(replace(one, epoch=row.live.epoch), self._definitions[key])
            for key, one in row.backfills.items()
            if key not in row.finished and self._states[key] is VersionState.BUILDING
        ]

    def _owned(self, progress: Progress) -> _Partition:
        row = self._partitions[progress.partition]
        stored = row.live
        if progress.until is not None:
            _, metric, version = progress.stream.rsplit("/", 2)
            stored = replace(row.backfills[metric, int(version)], epoch=row.live.epoch)
        if stored != progress:
            raise Fenced(f"{progress.stream}: epoch {row.live.epoch} owns it, not {progress.epoch}")
        return row

    def _write(self, row: _Partition, progress: Progress) -> None:
        if progress.until is None:
            row.live = progress
            return
        _, metric, version = progress.stream.rsplit("/", 2)
        row.backfills[metric, int(version)] = progress
        if progress.pending_last is None and progress.next_offset >= progress.until:
            row.finished.add((metric, int(version)))
            self._activate((metric, int(version)))

    def _start_backfills(self, row: _Partition) -> None:
        for definition in self._history[-1]:
            key = _key(definition)
            if key in row.backfills:
                continue
            row.backfills[key] = Progress(
                stream=f"{row.live.partition}/{key[0]}/{key[1]}",
                partition=row.live.partition,
                epoch=row.live.epoch,
                next_offset=0,
                until=row.live.next_offset,
            )
            if row.live.next_offset == 0:
                row.finished.add(key)
                self._activate(key)

    def _activate(self, key: VersionKey) -> None:
        if not all(key in row.finished for row in self._partitions.values()):
            return
        for other, state in self._states.items():
            if other[0] == key[0] and other[1] < key[1] and state is not VersionState.RETIRED:
                self._states[other] = VersionState.RETIRED
        if self._states[key] is VersionState.BUILDING:
            self._states[key] = VersionState.ACTIVE
            self._remember()

    def _remember(self) -> None:
        kept = [
            self._definitions[key] for key, state in self._states.items() if state is not VersionState.RETIRED
        ]
        self._history.append(tuple(kept))
        self._known.append({name: Tombstones.of(ones) for name, ones in self._tombstones.items()})
