"""Transactions against the catalog's database, run in threads of their own; its errors as ours.

A read sees one snapshot on SQLite. A write on SQLite takes the write lock as it begins, so that it never
fails half-way because another process wrote in between; on other databases the statements lock their rows.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from meterhouse.domain.errors import CatalogUnavailable

T = TypeVar("T")

THREADS: Final = 4
_BUSY_TIMEOUT_MS: Final = 4_000  # the official clients give up after five seconds
_WRITES: Final = "meterhouse_writes"


class Database:
    """An engine and the threads that use it."""

    def __init__(self, url: str) -> None:
        self._reading = _engine(url)
        self._writing = self._reading.execution_options(**{_WRITES: True})
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="catalog")

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Database]:
        database = cls(url)
        try:
            yield database
        finally:
            database._threads.shutdown()
            database._reading.dispose()

    async def read(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, from a transaction that changes nothing. Raises CatalogUnavailable."""
        return await self._start(self._reading, work)

    def start_read(self, work: Callable[[Session], T]) -> asyncio.Future[T]:
        """The same, begun at once, for several to wait for."""
        return self._start(self._reading, work)

    async def write(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, once its transaction is durable.

        Raises what `work` raises, with nothing changed; CatalogUnavailable when the transaction failed or
        nothing is known of it.
        """
        return await self._start(self._writing, work)

    def _start(self, engine: Engine, work: Callable[[Session], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, _transact, engine, work)


def _transact(engine: Engine, work: Callable[[Session], T]) -> T:
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            return work(session)
    except (IntegrityError, ProgrammingError, DataError):
        raise  # a statement of ours was wrong, which no retry mends
    except (DBAPIError, PoolTimeout) as error:
        raise CatalogUnavailable(f"the catalog did not answer: {error.__cause__ or error}") from error


def _engine(url: str) -> Engine:
    engine = create_engine(url, pool_size=THREADS, max_overflow=0, pool_timeout=4, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Without this the driver begins transactions by itself, later than we want and never IMMEDIATE.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
