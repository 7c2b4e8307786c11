"""Transactions against the catalog's database, run in threads of their own; its errors as ours."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.address import parse_address
from meterhouse.adapters.catalog.engines import DatabaseLimits, Engines
from meterhouse.adapters.catalog.sqlite import open_engines as open_sqlite
from meterhouse.domain.errors import CatalogUnavailable, Invalid
from meterhouse.telemetry.instruments import Observe, unobserved

T = TypeVar("T")

_LIMITS: Final = DatabaseLimits()


class Database:
    """A database and the threads that use it, a connection each.

    `waited` is told how many seconds each call waited for one of them.
    """

    def __init__(self, url: str, limits: DatabaseLimits = _LIMITS, waited: Observe = unobserved) -> None:
        self._engines = _engines(url, limits)
        self._threads = ThreadPoolExecutor(limits.connections, thread_name_prefix="catalog")
        self._waited = waited

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, limits: DatabaseLimits = _LIMITS, waited: Observe = unobserved
    ) -> AsyncIterator[Database]:
        """The database at `sqlite:///path` or `postgresql://…`. Raises Invalid for any other URL."""
        database = cls(url, limits, waited)
        try:
            yield database
        finally:
            database._threads.shutdown()
            database._engines.reading.dispose()

    async def read(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, from a transaction that changes nothing and sees one snapshot.

        Raises CatalogUnavailable.
        """
        return await self.start_read(work)

    def start_read(self, work: Callable[[Session], T]) -> asyncio.Future[T]:
        """The same, begun at once, for several to wait for."""
        return self._start(self._engines.reading, work)

    async def write(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, once its transaction is durable.

        On SQLite it has the database alone from the beginning on. On PostgreSQL others write meanwhile, so
        `work` locks what it decides by, in the order that counters.py gives. Raises what `work` raises, with
        nothing changed; CatalogUnavailable when the transaction failed or nothing is known of it.
        """
        return await self._start(self._engines.writing, work)

    def _start(self, engine: Engine, work: Callable[[Session], T]) -> asyncio.Future[T]:
        began = perf_counter()

        def transact() -> T:
            self._waited(perf_counter() - began)
            return _transact(engine, work)

        return asyncio.get_running_loop().run_in_executor(self._threads, transact)


def _transact(engine: Engine, work: Callable[[Session], T]) -> T:
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            return work(session)
    except (IntegrityError, ProgrammingError, DataError):
        raise  # a statement of ours was wrong, which no retry mends
    except (DBAPIError, PoolTimeout) as error:
        said = " ".join(str(error.__cause__ or error).split())
        raise CatalogUnavailable(f"the catalog did not answer: {said}") from error


def _engines(url: str, limits: DatabaseLimits) -> Engines:
    address = parse_address(url)
    if address.get_backend_name() == "sqlite":
        return open_sqlite(address, limits)
    try:
        # The driver is an extra, and takes 0.1 s to import.
        postgres = importlib.import_module("meterhouse.adapters.catalog.postgres")
    except ModuleNotFoundError as error:
        raise Invalid("PostgreSQL needs its driver: pip install 'meterhouse[postgres]'") from error
    engines: Engines = postgres.open_engines(address, limits)
    return engines
