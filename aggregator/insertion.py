"""Carrying out what the protocol decides, block by block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from aggregator.fault import Fault
from aggregator.protocol import (
    Attempt,
    ClaimAgain,
    Confirm,
    Insert,
    InsertRules,
    Landed,
    Look,
    Wait,
    after_confirm,
    after_error,
    after_insert,
    after_look,
    after_wait,
    decide,
    token_of,
)
from aggregator.spans import BatchSpans
from meterhouse.domain.block import Block, Table
from meterhouse.domain.errors import StoreUnavailable
from meterhouse.ports.counting import BlockStore, Progress, ProgressLedger
from meterhouse.telemetry.instruments import AggregatorInstruments

# A backfill writes neither events nor identities.
_BACKFILLED: Final = (Table.METERED_EVENTS, Table.ROLLUPS)


def _points(prefix: str, tables: Iterable[Table]) -> tuple[str, ...]:
    return tuple([f"{prefix}{side}:{table}" for table in tables for side in ("before", "after")])


# Every name that a worker calls its `fault` hook with, where nobody died before it, and in a replay besides.
FAULT_POINTS: Final = (
    *("claimed", "planned", *_points("", Table), "advanced"),
    *("backfill:planned", *_points("backfill:", _BACKFILLED), "backfill:advanced"),
)
REPLAY_POINTS: Final = (*_points("replay:", Table), *_points("replay:backfill:", _BACKFILLED))


_LOOK_SECONDS: Final = 0.5  # between two looks for a block that others may be committing


class LookTooOld(Exception):
    """The worker was held up for so long that what it knows of the tables may no longer be true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Insertion:
    """How blocks get into the store. `clock` is in seconds, monotonic, and counts sleep."""

    store: BlockStore
    ledger: ProgressLedger
    log_id: str
    rules: InsertRules
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    fault: Fault
    instruments: AggregatorInstruments
    spans: BatchSpans

    async def bring_up(
        self, blocks: Sequence[Block], planned: Progress, start: Attempt, *, prefix: str = ""
    ) -> None:
        """Return once every block is in its table, exactly once.

        Raises StoreUnavailable when the store cannot even say whether a block landed, LookTooOld, and Fenced;
        after any of them, claim again and replay.
        """
        prefix = prefix if start.sure else f"replay:{prefix}"
        for block in blocks:
            began = self.clock()
            self.fault(f"{prefix}before:{block.table}")
            with self.spans.insert(block):
                await self._bring_up(block, planned, start)
            self.fault(f"{prefix}after:{block.table}")
            self.instruments.insert_seconds.labels(block.table).observe(self.clock() - began)

    async def _bring_up(self, block: Block, planned: Progress, attempt: Attempt) -> None:
        token = token_of(self.log_id, planned, block)
        while True:
            match decide(attempt, self.clock(), self.rules):
                case Look():
                    asked_at = self.clock()
                    landed = await self.store.landed(block)
                    attempt = after_look(attempt, landed=landed, asked_at=asked_at)
                case Confirm():
                    asked_at = self.clock()
                    await self.ledger.confirm(planned)
                    attempt = after_confirm(attempt, asked_at=asked_at)
                case Insert(suffix):
                    attempt = await self._insert(block, token + suffix, attempt)
                case Wait(seconds):
                    if await self._lands_within(block, seconds):
                        return
                    attempt = after_wait(attempt)
                case ClaimAgain():
                    raise LookTooOld(f"{token}: the look is older than {self.rules.look_age:g} s")
                case Landed():
                    return
                case other:
                    assert_never(other)

    async def _lands_within(self, block: Block, seconds: float) -> bool:
        """Mostly whoever took the token is just committing: do not wait for longer than that takes."""
        while seconds > 0:
            pause = min(_LOOK_SECONDS, seconds)
            await self.sleep(pause)
            seconds -= pause
            if await self.store.landed(block):
                return True
        return False

    async def _insert(self, block: Block, token: str, attempt: Attempt) -> Attempt:
        try:
            await self.store.insert(block, token)
        except StoreUnavailable:
            await self.sleep(0.2)  # an error that comes at once must not become a storm of them
            return after_error(attempt)
        return after_insert(attempt)
