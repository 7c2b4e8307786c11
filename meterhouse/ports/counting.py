"""How far the log is counted, and where that leads to. Every docstring says what a repeated call does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.block import Block, Seen
from meterhouse.domain.event import Facts, IdHash
from meterhouse.domain.instant import Instant
from meterhouse.domain.tombstone import Tombstones
from meterhouse.ports.log import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one stream of a log is counted, and who may say so.

    `stream` is the log partition ("0"), or for a backfill the partition and the metric version
    ("0/bm_x/2"). [next_offset, pending_last] is what is being inserted under `catalog_version`;
    `pending_last` is None between batches. A backfill ends at `until`; a live stream has None there.
    """

    stream: str
    partition: int
    epoch: int
    next_offset: int
    pending_last: int | None = None
    catalog_version: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """What is still to be counted for one metric version on one partition."""

    progress: Progress
    definition: Definition


class ProgressLedger(Protocol):
    """The exactly-once protocol's memory. Every write is a compare-and-set under the claimed epoch."""

    async def claim(self, partition: int) -> Progress:
        """Take the partition over: raise its epoch, so that every earlier owner is fenced."""

    async def plan(self, progress: Progress, last: int, received_until: Instant = 0) -> Progress:
        """Record that [next_offset, last] is about to be inserted, under the newest catalog version.

        None of its events was received after `received_until`: what appears in the catalog later can tell by
        that which events were counted without it. For the live stream the same transaction starts the
        backfill of every metric version that this catalog version knows and the partition had not met: up to
        `next_offset`. Raises Fenced.
        """

    async def confirm(self, progress: Progress) -> None:
        """Return while the claim still stands. Raises Fenced."""

    async def advance(self, progress: Progress) -> Progress:
        """Record that the pending range is in every table: next_offset = pending_last + 1. Raises Fenced."""

    async def backfills(self, progress: Progress) -> Sequence[Backfill]:
        """Start what the newest catalog version asks for and list what is unfinished on the partition.

        A backfill that reaches `until` is finished by `advance`; when a version's backfills are finished
        on every partition, that same transaction makes the version the active one. Raises Fenced.
        """


class Definitions(Protocol):
    """What the fold needs to know of the catalog."""

    async def at(self, catalog_version: int) -> Sequence[Definition]:
        """Every metric version, active or building, of that catalog version; the same answer for ever."""

    async def recent(self, max_age: float) -> int:
        """The catalog version that was the newest at some time in the last `max_age` seconds.

        It grows with every definition created or changed, and every reset.
        """

    async def tombstones(self, catalog_version: int) -> Mapping[str, Tombstones]:
        """Those of that catalog version by merchant, for those who have any; the same answer for ever."""


class BlockStore(Protocol):
    """Where blocks go."""

    async def find(self, id_hashes: Sequence[IdHash]) -> Mapping[IdHash, Seen]:
        """Where each of the identities was first seen; those never seen are left out."""

    async def insert(self, block: Block, token: str) -> None:
        """Insert the block as one part. The same token again inserts nothing, while it is remembered.

        Raises StoreUnavailable when it failed or nothing is known of it.
        """

    async def landed(self, block: Block) -> bool:
        """Whether the block's mark is in its table (for `event_ids`: whether its last identity is)."""

    async def held(self, partition: int, start: int) -> Bounds:
        """From the first to the last record at `start` or after it that `events` or `event_repeats` hold.

        Without one, empty bounds at `start`.
        """


class Placement(Protocol):
    """Which shard of the store holds which partition of one log."""

    async def shard_of(self, partition: int, shards: Sequence[int]) -> int:
        """The shard that the partition was given once; else the one of `shards` with the fewest, for ever.

        However often and by however many it is asked, the answer is the same.
        """


class EventArchive(Protocol):
    """Accepted events, to be counted again."""

    async def stored(
        self, partition: int, start: int, until: int, *, of: Definition, limit: int | None = None
    ) -> Facts:
        """First-seen events `of` the definition's type, with offsets in [start, until), ascending; without
        those from before the last tombstone over everybody.

        The first `limit` of them, if that is given.
        """


class Watermark(Protocol):
    """How far the log is counted."""

    async def counted(self) -> Mapping[int, int]:
        """For each log partition the offset before which everything is counted by live definitions."""
