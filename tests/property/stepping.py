"""Coroutines driven by hand, so that a test decides who runs, who dies and what arrives, and when."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypeVar

from meterhouse.adapters.memory.ledger import MemoryLedger
from meterhouse.adapters.memory.log import MemoryLog
from meterhouse.adapters.memory.store import MemoryStore
from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.block import Block, Seen
from meterhouse.domain.errors import StoreUnavailable
from meterhouse.domain.event import Facts, IdHash
from meterhouse.domain.instant import Instant
from meterhouse.domain.tombstone import Tombstones
from meterhouse.ports.counting import Backfill, Progress
from meterhouse.ports.log import Bounds, LogRecord

R = TypeVar("R")
LONGEST_INSERT = 60.0  # seconds; the settle time of the rules must be longer


@types.coroutine
def checkpoint() -> Generator[None, None, None]:
    """A point where the coroutine may be left for a while, or for ever."""
    yield


def at_once(coroutine: Coroutine[Any, Any, R]) -> R:
    """The result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: R = stop.value
        return result
    raise AssertionError("it wanted to wait")


async def offload(work: Callable[[], R], /) -> R:
    await checkpoint()
    return work()


async def _around(work: Coroutine[Any, Any, R]) -> R:
    """Do the work between two checkpoints: one may die before it, or after it and before knowing."""
    try:
        await checkpoint()
    except BaseException:
        work.close()
        raise
    result = await work
    await checkpoint()
    return result


@dataclass(slots=True)
class SteppedLog:
    """A LogReader over a MemoryLog."""

    log: MemoryLog

    async def partitions(self) -> Sequence[int]:
        return await self.log.partitions()

    async def bounds(self, partition: int) -> Bounds:
        return await _around(self.log.bounds(partition))

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        return await _around(self.log.read(partition, start, limit))

    async def wait(self, partition: int, offset: int, seconds: float) -> bool:
        await checkpoint()
        return offset < (await self.log.bounds(partition)).end


@dataclass(slots=True)
class SteppedLedger:
    """A ProgressLedger and Definitions over a MemoryLedger."""

    ledger: MemoryLedger
    _recent: int | None = None

    async def claim(self, partition: int) -> Progress:
        return await _around(self.ledger.claim(partition))

    async def plan(self, progress: Progress, last: int, received_until: Instant = 0) -> Progress:
        return await _around(self.ledger.plan(progress, last, received_until))

    async def confirm(self, progress: Progress) -> None:
        await _around(self.ledger.confirm(progress))

    async def advance(self, progress: Progress) -> Progress:
        return await _around(self.ledger.advance(progress))

    async def backfills(self, progress: Progress) -> Sequence[Backfill]:
        return await _around(self.ledger.backfills(progress))

    async def at(self, catalog_version: int) -> Sequence[Definition]:
        return await _around(self.ledger.at(catalog_version))

    async def recent(self, max_age: float) -> int:
        """That of the last time that it was asked for; at first, of now."""
        before, self._recent = self._recent, await _around(self.ledger.newest())
        return self._recent if before is None else before

    async def tombstones(self, catalog_version: int) -> Mapping[str, Tombstones]:
        return await _around(self.ledger.tombstones(catalog_version))


class _Stage(Enum):
    ON_THE_WIRE = auto()
    COMMITTING = auto()
    OVER = auto()


@dataclass(slots=True, eq=False)
class Request:
    """An INSERT that somebody sent, who may be dead by now."""

    block: Block
    token: str
    sent_at: float
    stage: _Stage = _Stage.ON_THE_WIRE
    answer: bool | None = None


@dataclass(slots=True)
class FaultyStore:
    """A BlockStore and EventArchive whose INSERTs take time and can fail at every point of it."""

    store: MemoryStore
    clock: Callable[[], float]
    requests: list[Request] = field(default_factory=list)
    taken_at: dict[str, float] = field(default_factory=dict)

    async def find(self, id_hashes: Sequence[IdHash]) -> Mapping[IdHash, Seen]:
        return await _around(self.store.find(id_hashes))

    async def landed(self, block: Block) -> bool:
        return await _around(self.store.landed(block))

    async def held(self, partition: int, start: int) -> Bounds:
        return await _around(self.store.held(partition, start))

    async def stored(
        self, partition: int, start: int, until: int, *, of: Definition, limit: int | None = None
    ) -> Facts:
        return await _around(self.store.stored(partition, start, until, of=of, limit=limit))

    async def insert(self, block: Block, token: str) -> None:
        request = Request(block, token, self.clock())
        self.requests.append(request)
        while request.answer is None:
            await checkpoint()
        if not request.answer:
            raise StoreUnavailable("the answer was an error")

    def begin(self, request: Request) -> None:
        """The INSERT reaches the server, which takes its token, or drops it for having it."""
        if request.stage is not _Stage.ON_THE_WIRE:
            return
        if self.store.knows(request.block.table, request.token):
            self._end(request, answer=True)
            return
        self.store.take_token(request.block.table, request.token)
        self.taken_at[request.token] = self.clock()
        request.stage = _Stage.COMMITTING

    def commit(self, request: Request, *, answer: bool) -> None:
        """The rows appear; the answer arrives, or an error does in its place."""
        self.begin(request)
        if request.stage is _Stage.COMMITTING:
            self.store.commit(request.block)
            self._end(request, answer=answer)

    def give_up(self, request: Request) -> None:
        """The sender gets an error while the INSERT is still under way."""
        request.answer = False

    def lose(self, request: Request) -> None:
        """It never arrives."""
        if request.stage is _Stage.ON_THE_WIRE:
            self._end(request, answer=False)

    def crash(self) -> None:
        """The server dies: what was being committed leaves its token without its rows."""
        for request in list(self.requests):
            if request.stage is _Stage.COMMITTING:
                self._end(request, answer=False)

    def pass_time(self, window: float) -> None:
        """No INSERT runs for longer than its limit; no token is sure to be known for longer than `window`."""
        for request in list(self.requests):
            if self.clock() - request.sent_at > LONGEST_INSERT:
                self.lose(request)
                self.commit(request, answer=False)
        old = {token for token, taken in self.taken_at.items() if self.clock() - taken > window}
        self.store.forget_tokens(old)

    def _end(self, request: Request, *, answer: bool) -> None:
        request.stage = _Stage.OVER
        if request.answer is None:
            request.answer = answer
        self.requests.remove(request)
