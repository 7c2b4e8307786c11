"""A bounded pool of ClickHouse clients, each with a thread of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Final, Self, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error, OperationalError

from meterhouse.adapters.clickhouse.address import Address
from meterhouse.adapters.clickhouse.tables import Tables
from meterhouse.adapters.clickhouse.traced import traced
from meterhouse.domain.errors import Overloaded, StoreUnavailable
from meterhouse.telemetry.instruments import Observe, unobserved
from meterhouse.telemetry.spans import NO_SPANS, Spans

R = TypeVar("R")

_PATIENCE: Final = 30.0  # seconds that a call waits for a client before it is refused

# Longer than the server lets any INSERT run, so that its own word on it arrives.
ANSWER_TIMEOUT: Final = timedelta(seconds=75)


class EngineError(StoreUnavailable):
    """ClickHouse answered with an error. `code` is its own (159 is a time limit), None if it gave none."""

    def __init__(self, message: str, code: int | None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Slot:
    """A thread and the client that it alone touches; `server` counts on when that one gives no answer."""

    thread: ThreadPoolExecutor
    client: Client | None = None
    server: int = 0


class ClickHousePool:
    """`size` clients of the ClickHouse at `url` (see Address.parse), whose `database` they read by default.

    A client serialises its calls, and a chDB connection keeps bound parameters on itself, so each has its
    own thread. Use it as an async context manager; `migrate` makes the database. `user` and `password` go
    before those of the URL, `database` too. `tables` names the tables, on one node or on the `cluster`.
    `waited` is told how many seconds each call waited for a client.
    """

    def __init__(
        self,
        url: str | Address,
        *,
        user: str = "",
        password: str = "",
        database: str = "",
        cluster: str = "",
        size: int = 4,
        waiting: int = 1000,
        timeout: timedelta = ANSWER_TIMEOUT,
        waited: Observe = unobserved,
        spans: Spans = NO_SPANS,
    ) -> None:
        address = Address.parse(url) if isinstance(url, str) else url
        self._address = address.login(user, password)
        self._hosts: Sequence[str] = (self._address.host,)
        self.tables = Tables(database or self._address.database, cluster)
        self._size = size
        self._waiting = waiting
        self._timeout = timeout
        self._waited = waited
        self._spans = spans
        self._queued = 0
        self._slots: list[_Slot] = []
        self._idle: deque[_Slot] = deque()
        self._free = asyncio.Semaphore(0)

    def at(self, hosts: Sequence[str]) -> ClickHousePool:
        """A pool like this one, not entered yet, on other servers of the cluster, replicas of one shard.

        Each client stays with the first that answers, until it gives no answer any more.
        """
        pool = ClickHousePool(
            self._address,
            database=self.tables.database,
            cluster=self.tables.cluster,
            size=self._size,
            waiting=self._waiting,
            timeout=self._timeout,
            waited=self._waited,
            spans=self._spans,
        )
        pool._hosts = tuple(hosts)
        return pool

    @property
    def hosts(self) -> Sequence[str]:
        """The servers' names; one that is empty for the embedded engine."""
        return self._hosts

    @property
    def folder(self) -> str | None:
        """Where the embedded engine keeps its data; None for a server."""
        return self._address.folder

    async def __aenter__(self) -> Self:
        try:
            for _ in range(self._size):
                slot = _Slot(ThreadPoolExecutor(max_workers=1, thread_name_prefix="clickhouse"))
                self._slots.append(slot)
                await _in(slot.thread, partial(self._client_of, slot))
                self._give_back(slot)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def run(self, work: Callable[[Client], R]) -> R:
        """Call `work` with a client, on that client's thread.

        Raises EngineError (a StoreUnavailable) with the engine's message when ClickHouse refused or failed,
        a plain StoreUnavailable when it gave no answer, after which a statement may be done or not, and
        Overloaded when too many calls are waiting already. Only a SELECT that lost its connection is sent
        again, by the driver. A cancelled call gives its client back only once the statement has ended:
        ClickHouse is still working on it.
        """
        began = perf_counter()
        try:
            slot = await self._take()
        finally:
            self._waited(perf_counter() - began)  # the longest waits are those in vain
        future = slot.thread.submit(copy_context().run, self._work, slot, work)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._give_back, slot))
        return await _translated(future)

    async def answers(self) -> None:
        """Return if ClickHouse answers at all; raise as `run` does if not."""
        await self.run(lambda client: client.command("SELECT 1"))

    def _work(self, slot: _Slot, work: Callable[[Client], R]) -> R:
        client = self._client_of(slot)
        try:
            return work(client)
        except OperationalError as error:
            if error.code is None and len(self._hosts) > 1:
                slot.client = None
                slot.server += 1
                client.close()
            raise

    def _client_of(self, slot: _Slot) -> Client:
        """The slot's client, connected to the server whose turn it is, or the next that answers."""
        others = len(self._hosts) - 1
        while slot.client is None:
            try:
                slot.client = self._connect(self._hosts[slot.server % len(self._hosts)])
            except OperationalError:
                if not others:
                    raise
                others -= 1
                slot.server += 1
        return slot.client

    def _connect(self, host: str) -> Client:
        client = replace(self._address, host=host).connect(self._timeout)
        client.database = self.tables.database
        return traced(client, self._spans)

    async def _take(self) -> _Slot:
        if self._free.locked() and self._queued >= self._waiting:
            raise Overloaded(f"{self._queued} questions are waiting for ClickHouse already")
        self._queued += 1
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._free.acquire()
        except TimeoutError:
            raise Overloaded(f"no ClickHouse client became free within {_PATIENCE:g} s") from None
        finally:
            self._queued -= 1
        return self._idle.pop()

    def _give_back(self, slot: _Slot) -> None:
        self._idle.append(slot)
        self._free.release()

    async def _close(self) -> None:
        while self._slots:
            slot = self._slots.pop()
            try:
                if slot.client is not None:
                    await _in(slot.thread, slot.client.close)
            finally:
                slot.thread.shutdown(wait=False)


async def _in(thread: ThreadPoolExecutor, work: Callable[[], R]) -> R:
    return await _translated(thread.submit(work))


async def _translated(future: Future[R]) -> R:
    """The future's result, with the driver's exceptions as ours."""
    try:
        return await asyncio.wrap_future(future)
    except OperationalError as error:
        if error.code is not None:
            raise EngineError(str(error), error.code) from error
        raise StoreUnavailable(f"ClickHouse gave no answer: {_reason(error)}") from error
    except Error as error:
        raise EngineError(str(error), error.code) from error
    except (ClickHouseError, OSError) as error:
        raise StoreUnavailable(str(error)) from error


def _reason(error: Error) -> str:
    """What happened on the wire; the driver quotes the URL, and so statement and parameters, beside it."""
    cause = error.__cause__
    return str(getattr(cause, "reason", None) or cause or error)
