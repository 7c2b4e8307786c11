"""What a catalog on PostgreSQL does when its server fails, is slow, or is not there."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from deploy.local.machine import halt
from deploy.local.postgres import LocalPostgres
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.engines import DatabaseLimits
from meterhouse.adapters.catalog.models import LogProgressRow
from meterhouse.adapters.catalog.schema import migrate
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.errors import CatalogUnavailable, Invalid
from meterhouse.ports.counting import Progress, ProgressLedger
from tests.servers.postgres import PostgresServer, own_server

pytestmark = pytest.mark.anyio

LOG = "log-1"
QUICK = DatabaseLimits(connections=2, statement_timeout=timedelta(milliseconds=500))


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[LocalPostgres]:
    """A server that the tests of this module may kill, stop and restart."""
    with own_server() as server:
        yield server


@pytest.fixture
async def own_url(own_postgres: LocalPostgres) -> str:
    """A migrated catalog on that server; it goes with the server."""
    own_postgres.start()
    url = PostgresServer(own_postgres.url()).new_database(migrated=False)
    await migrate(url)
    return url


async def _count_for(catalog: Catalog, partition: int, stop: asyncio.Event) -> list[tuple[int, int]]:
    """Count as a worker does, claiming again after every failure; the ranges whose end was acknowledged."""
    ledger = catalog.ledger(LOG, [0, 1])
    counted: list[tuple[int, int]] = []
    progress: Progress | None = None
    while not stop.is_set():
        try:
            if progress is None:
                progress = await ledger.claim(partition)
            planned = progress
            if planned.pending_last is None:
                planned = await ledger.plan(progress, progress.next_offset + 9)
            assert planned.pending_last is not None
            progress = await ledger.advance(planned)
            counted.append((planned.next_offset, planned.pending_last))
        except CatalogUnavailable:
            progress = None
            await asyncio.sleep(0.05)
    return counted


@pytest.mark.parametrize("violently", [True, False], ids=["killed", "stopped"])
async def test_counting_goes_on_after_a_restart_of_the_server(
    own_postgres: LocalPostgres, own_url: str, violently: bool
) -> None:
    stop = asyncio.Event()
    async with Catalog.connect(own_url) as catalog:
        workers = [asyncio.create_task(_count_for(catalog, partition, stop)) for partition in (0, 1)]
        for _ in range(3):
            await _until_counted_further(catalog)
            await asyncio.to_thread(own_postgres.kill if violently else own_postgres.stop)
            with pytest.raises(CatalogUnavailable):
                await catalog.newest()
            await asyncio.to_thread(own_postgres.start)
        await _until_counted_further(catalog)
        stop.set()
        for partition, worker in enumerate(workers):
            ranges = await worker
            end = (await catalog.watermark(LOG).counted())[partition]
            # What was acknowledged is there, in order, each once; what was cut off was found advanced or
            # pending, so at most the acknowledgement is missing.
            assert ranges == sorted(set(ranges))
            assert all((last - first, first % 10) == (9, 0) for first, last in ranges)
            assert ranges[-1][1] < end
            assert end // 10 - len(ranges) in range(4)


async def _until_counted_further(catalog: Catalog) -> None:
    """Return once both partitions are counted ten batches further."""
    deadline = time.monotonic() + 10
    start: Mapping[int, int] | None = None
    while time.monotonic() < deadline:
        try:
            counted = await catalog.watermark(LOG).counted()
        except CatalogUnavailable:
            continue
        if start is None:
            start = counted
        elif all(counted.get(partition, 0) >= start.get(partition, 0) + 100 for partition in (0, 1)):
            return
        await asyncio.sleep(0.01)
    pytest.fail("counting does not go on")


@contextmanager
def frozen(server: LocalPostgres) -> Iterator[None]:
    """Let the server accept everything and answer nothing, as a network that swallows packets does."""
    assert server.pid is not None
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    members = [server.pid, *map(int, children)]
    for member in members:
        halt(member)
    try:
        yield
    finally:
        for member in members:
            os.kill(member, signal.SIGCONT)


async def test_a_server_that_says_nothing_is_unavailable_in_time(
    own_postgres: LocalPostgres, own_url: str
) -> None:
    async with Catalog.connect(own_url, QUICK) as catalog:
        await asyncio.gather(catalog.newest(), catalog.newest())
        with frozen(own_postgres):
            for _ in range(2):  # over the open connections, then with none left
                started_at = time.monotonic()
                answers = await asyncio.gather(catalog.newest(), catalog.newest(), return_exceptions=True)
                assert [type(answer) for answer in answers] == [CatalogUnavailable] * 2
                assert time.monotonic() - started_at < 4
        assert await catalog.newest() == 0


async def test_waiting_for_a_lock_ends_in_time(postgres_url: str) -> None:
    async with Catalog.connect(postgres_url, QUICK) as catalog:
        ledger = catalog.ledger(LOG, [0])
        claimed = await ledger.claim(0)
        with psycopg.connect(postgres_url) as holder:
            holder.execute("SELECT * FROM log_progress FOR UPDATE")
            started_at = time.monotonic()
            with pytest.raises(CatalogUnavailable, match="statement timeout"):
                await ledger.claim(0)
            assert time.monotonic() - started_at < 2
        assert await ledger.claim(0) == replace(claimed, epoch=2)


async def test_a_process_that_was_stopped_in_a_transaction_does_not_keep_its_locks(postgres_url: str) -> None:
    held, resumed = threading.Event(), threading.Event()

    def hold(session: Session) -> None:
        session.execute(select(LogProgressRow).with_for_update())
        held.set()
        assert resumed.wait(10)
        session.execute(update(LogProgressRow).values(next_offset=7))

    async with Catalog.connect(postgres_url, QUICK) as catalog, Database.open(postgres_url, QUICK) as stopped:
        ledger = catalog.ledger(LOG, [0])
        await ledger.claim(0)
        holding = asyncio.create_task(stopped.write(hold))
        await asyncio.to_thread(held.wait)
        assert (await _claimed_at_last(ledger)).epoch == 2
        resumed.set()
        with pytest.raises(CatalogUnavailable):
            await holding
        assert (await ledger.claim(0)).next_offset == 0


async def _claimed_at_last(ledger: ProgressLedger) -> Progress:
    deadline = time.monotonic() + 5
    while True:
        try:
            return await ledger.claim(0)
        except CatalogUnavailable:
            assert time.monotonic() < deadline


async def test_commits_are_durable_and_isolated_whatever_the_database_defaults_to(
    postgres: PostgresServer, postgres_url: str
) -> None:
    name = sql.Identifier(postgres_url.rpartition("/")[2])
    for setting in ("synchronous_commit = off", "default_transaction_isolation = 'serializable'"):
        postgres.run(sql.SQL("ALTER DATABASE {} SET {}").format(name, sql.SQL(setting)))

    def shown(session: Session) -> tuple[str, ...]:
        names = ("synchronous_commit", "transaction_isolation", "transaction_read_only")
        return tuple([session.connection().exec_driver_sql(f"SHOW {name}").scalar_one() for name in names])

    async with Database.open(postgres_url) as database:
        assert await database.write(shown) == ("on", "read committed", "off")
        assert await database.read(shown) == ("on", "repeatable read", "on")
        assert await database.write(shown) == ("on", "read committed", "off")


# Addresses


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://meter:s3cret@127.0.0.1:1/meterhouse",
        "postgres://meter:s3cret@127.0.0.1:1/meterhouse?connect_timeout=2",
        "postgresql+psycopg://meter@127.0.0.1:1/meterhouse?password=s3cret",
    ],
)
async def test_an_unreachable_server_is_named_without_its_password(url: str) -> None:
    with pytest.raises(CatalogUnavailable, match=r"127\.0\.0\.1") as caught:
        async with Catalog.connect(url):
            pass
    assert "s3cret" not in _whole(caught.value)


async def test_a_wrong_password_is_not_shown(postgres_url: str, postgres: PostgresServer) -> None:
    url = postgres_url.replace("postgresql://postgres:", "postgresql://nobody-s3cret:s3cret2")
    with pytest.raises(CatalogUnavailable) as caught:
        async with Catalog.connect(url):
            pass
    assert "s3cret2" not in _whole(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3cret",
        "mysql://meter:s3cret@127.0.0.1/meterhouse",
        "postgresql://meter:s3cret@127.0.0.1",
        "postgresql://meter@127.0.0.1:5432s3cret/meterhouse",
        "postgresql://127.0.0.1:s3cret/meterhouse",
        "postgresql+asyncpg://meter:s3cret@127.0.0.1/meterhouse",
    ],
)
async def test_what_is_no_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        async with Catalog.connect(url):
            pass
    assert "s3cret" not in _whole(caught.value)


def _whole(error: BaseException | None) -> str:
    """All that a log could show of the error."""
    told = []
    while error is not None:
        told.append(f"{error!r} {error}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(told)
