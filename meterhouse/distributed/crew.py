"""The workers of an aggregator, one for each partition that is ours."""

from __future__ import annotations

import asyncio
from asyncio import Task, TaskGroup
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from aggregator.protocol import InsertRules
from aggregator.worker import Worker, pause
from meterhouse.adapters.clickhouse.tables import TOKEN_WINDOW
from meterhouse.assembly.aggregator import worker_over
from meterhouse.domain.errors import LogBroken, Unavailable
from meterhouse.settings import AggregatorSettings
from meterhouse.stores import Stores
from meterhouse.telemetry.instruments import AggregatorInstruments
from meterhouse.telemetry.spans import Spans

# Into one table, by one flush: a batch may span two months, or a backfill be inserted beside it.
_INSERTS_A_FLUSH: Final = 2
_LONGEST_MEMORY: Final = timedelta(hours=1)

# Each of a process's partitions asks Kafka that often while nothing arrives; all together ask the catalog.
_IDLE: Final = 0.5  # seconds

_log: Final = structlog.get_logger("meterhouse")


@dataclass(slots=True)
class Crew:
    """A worker for each partition that is ours. One that meets a broken log stops; the others go on."""

    stores: Stores
    instruments: AggregatorInstruments
    spans: Spans
    settings: AggregatorSettings
    _tasks: TaskGroup | None = None
    _running: dict[int, tuple[asyncio.Event, Task[None]]] = field(default_factory=dict)
    _broken: dict[int, str] = field(default_factory=dict)

    def work_in(self, tasks: TaskGroup) -> None:
        self._tasks = tasks

    async def finish(self) -> None:
        """Stop every worker, and begin with none from now on."""
        self._tasks = None
        await self.stop(frozenset(self._running))

    async def start(self, partitions: frozenset[int]) -> None:
        """Begin to count these."""
        if self._tasks is None:
            return
        for partition in sorted(partitions):
            stop = asyncio.Event()
            self._running[partition] = (stop, self._tasks.create_task(self._count(partition, stop)))

    async def stop(self, partitions: frozenset[int]) -> None:
        """Finish the batch that each of these is in, and return when all have."""
        ending = [self._running.pop(partition) for partition in partitions if partition in self._running]
        for stop, _ in ending:
            stop.set()
        for _, task in ending:
            await task
        for partition in partitions:
            self._broken.pop(partition, None)
            self.instruments.forget(partition)

    async def require_whole(self) -> None:
        """Raise LogBroken while a partition of ours cannot be counted."""
        if self._broken:
            raise LogBroken("; ".join(self._broken.values()))

    async def _count(self, partition: int, stop: asyncio.Event) -> None:
        try:
            worker = await self._worker(partition, stop)
            if worker is not None:
                await worker.run(stop)
        except LogBroken as error:
            self._broken[partition] = str(error)
            self.instruments.stopped.labels(str(partition)).set(1)
            _log.error("partition stopped", partition=partition, error=str(error))

    async def _worker(self, partition: int, stop: asyncio.Event) -> Worker | None:
        """Whoever counts that partition, once it is known where its rows lie; None if told to stop first."""
        failures = 0
        while not stop.is_set():
            try:
                return await self._made(partition)
            except Unavailable as error:
                failures += 1
                _log.warning("not begun yet", partition=partition, error=str(error), failures=failures)
                await pause(stop, failures)
        return None

    async def _made(self, partition: int) -> Worker:
        every = await self.stores.log.partitions()
        return await worker_over(
            self.stores,
            partition,
            of=every,
            rules=rules_of(self.settings, len(every)),
            instruments=self.instruments,
            spans=self.spans,
            idle_seconds=_IDLE,
            last_seconds=0.0,  # whoever takes the partition over goes on at once
            is_ours=lambda: partition in self._running,
        )


def rules_of(settings: AggregatorSettings, partitions: int) -> InsertRules:
    """Times that fit the tables' token windows, which the aggregators of that many partitions share."""
    windows_last = TOKEN_WINDOW * settings.flush_age / (partitions * _INSERTS_A_FLUSH)
    memory = settings.token_memory or min(_LONGEST_MEMORY, windows_last)
    return InsertRules.within(memory.total_seconds(), settle=settings.settle.total_seconds())
