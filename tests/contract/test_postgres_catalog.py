"""What only several processes or connections can break in a catalog on PostgreSQL."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain, count
from typing import TypeVar

import psycopg
import pytest
from psycopg import sql

from meterhouse.adapters.catalog.counters import ADVISORY_LOCK
from meterhouse.adapters.catalog.engines import DatabaseLimits
from meterhouse.adapters.catalog.schema import HEAD, migrate
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.errors import Conflict, Fenced
from meterhouse.ports.counting import Progress
from tests.servers.catalogs import metric
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.anyio

T = TypeVar("T")

LOG = "log-1"
PROCESSES = 4
# Where many compete for one row on a busy machine, and it is not the time that matters.
PATIENT = DatabaseLimits(statement_timeout=timedelta(seconds=30))


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Processes of their own, started once."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as pool:
        yield pool


@pytest.fixture
async def catalog(postgres_url: str) -> AsyncIterator[Catalog]:
    async with Catalog.connect(postgres_url, PATIENT) as catalog:
        await catalog.ensure_product("org_a", "prod_a")
        yield catalog


async def everywhere(pool: ProcessPoolExecutor, work: Callable[..., T], *arguments: object) -> list[T]:
    """What `work` returns in each of the processes, which run it at once; it is given its number last."""
    loop = asyncio.get_running_loop()
    calls = [loop.run_in_executor(pool, partial(work, *arguments, number)) for number in range(PROCESSES)]
    return list(await asyncio.gather(*calls))


# Claims and plans


def _claim_often(url: str, number: int) -> list[int]:
    async def claim() -> list[int]:
        async with Catalog.connect(url, PATIENT) as catalog:
            ledger = catalog.ledger(LOG, [0])
            return [(await ledger.claim(0)).epoch for _ in range(25)]

    return asyncio.run(claim())


async def test_each_epoch_is_claimed_once(processes: ProcessPoolExecutor, postgres_url: str) -> None:
    claimed = await everywhere(processes, _claim_often, postgres_url)
    assert sorted(chain.from_iterable(claimed)) == list(range(1, 25 * PROCESSES + 1))
    assert all(epochs == sorted(epochs) for epochs in claimed)


def _count_as_if_alone(url: str, claims: Sequence[Progress], number: int) -> list[tuple[int, int]]:
    """Plan and advance batches under claims that others use too; the (partition, last) that were ours."""

    async def count_all() -> list[tuple[int, int]]:
        won = []
        async with Catalog.connect(url, PATIENT) as catalog:
            ledger = catalog.ledger(LOG, range(len(claims)))
            for progress in claims:
                for last in range(number, 40, PROCESSES):
                    try:
                        planned = await ledger.plan(progress, last)
                        await ledger.advance(planned)
                    except Fenced:
                        continue
                    won.append((progress.partition, last))
        return won

    return asyncio.run(count_all())


async def test_one_of_the_plans_under_one_epoch_is_written(
    processes: ProcessPoolExecutor, catalog: Catalog, postgres_url: str
) -> None:
    ledger = catalog.ledger(LOG, range(8))
    claims = [await ledger.claim(partition) for partition in range(8)]
    won = list(chain.from_iterable(await everywhere(processes, _count_as_if_alone, postgres_url, claims)))
    assert Counter(partition for partition, _ in won) == dict.fromkeys(range(8), 1)
    assert await catalog.watermark(LOG).counted() == {partition: last + 1 for partition, last in won}


async def all_held_up(url: str, table: str, *calls: Awaitable[T]) -> list[T | BaseException]:
    """What the calls come to when each has gone as far as it gets without the rows of `table`."""
    with psycopg.connect(url) as holder:
        holder.execute(sql.SQL("SELECT * FROM {} FOR UPDATE").format(sql.Identifier(table)))
        tasks = []
        for number, call in enumerate(calls, start=1):
            tasks.append(asyncio.ensure_future(call))
            await _until_blocked(url, number)
    return await asyncio.gather(*tasks, return_exceptions=True)


def _winner(outcomes: Sequence[Progress | BaseException]) -> Progress:
    """The one outcome that is no Fenced."""
    [won] = [one for one in outcomes if not isinstance(one, Fenced)]
    assert isinstance(won, Progress), won
    return won


async def test_plans_that_meet_at_the_row_do_not_overwrite_each_other(
    catalog: Catalog, postgres_url: str
) -> None:
    ledger = catalog.ledger(LOG, [0])
    claimed = await ledger.claim(0)
    plans = [ledger.plan(claimed, last) for last in (9, 19, 29, 39)]
    won = _winner(await all_held_up(postgres_url, "log_progress", *plans))
    assert await ledger.claim(0) == replace(won, epoch=won.epoch + 1)
    advances = [ledger.advance(replace(won, epoch=won.epoch + 1)) for _ in range(4)]
    _winner(await all_held_up(postgres_url, "log_progress", *advances))


async def test_an_advance_that_meets_a_claim_is_seen_by_it_or_fenced(
    catalog: Catalog, postgres_url: str
) -> None:
    ledger = catalog.ledger(LOG, [0])
    planned = await ledger.plan(await ledger.claim(0), 9)
    claimed, advanced = await all_held_up(
        postgres_url, "log_progress", ledger.claim(0), ledger.advance(planned)
    )
    assert isinstance(claimed, Progress)
    assert claimed.epoch == 2
    if isinstance(advanced, Fenced):
        assert (claimed.next_offset, claimed.pending_last) == (0, 9)
    else:
        assert (claimed.next_offset, claimed.pending_last) == (10, None)


async def test_plans_of_a_backfill_that_meet_at_the_row_do_not_overwrite_each_other(
    catalog: Catalog, postgres_url: str
) -> None:
    ledger = catalog.ledger(LOG, [0])
    live = await ledger.advance(await ledger.plan(await ledger.claim(0), 99))
    await catalog.metrics.create(metric())
    [backfill] = await ledger.backfills(live)
    plans = [ledger.plan(backfill.progress, last) for last in (9, 19, 29, 39)]
    won = _winner(await all_held_up(postgres_url, "backfill_progress", *plans))
    assert [one.progress for one in await ledger.backfills(live)] == [won]
    # A claim waits for the advance that was let in before it, so it cannot fence what is then written.
    advanced, claimed = await all_held_up(
        postgres_url, "backfill_progress", ledger.advance(won), ledger.claim(0)
    )
    assert isinstance(advanced, Progress)
    assert isinstance(claimed, Progress)
    [again] = await ledger.backfills(claimed)
    assert again.progress == replace(advanced, epoch=claimed.epoch)


# Catalog versions


async def test_a_version_waits_for_the_one_before_it(catalog: Catalog, postgres_url: str) -> None:
    """Version 7 is taken and not yet committed: nobody may see 8, and then find 7 changed."""
    before = await catalog.newest()
    with psycopg.connect(postgres_url) as seven:
        seven.execute("UPDATE catalog_state SET catalog_version = catalog_version + 1")
        eight = asyncio.create_task(catalog.metrics.create(metric()))
        await _until_blocked(postgres_url)
        assert await catalog.newest() == before
        seven.commit()
        await eight
    assert await catalog.newest() == before + 2
    assert await catalog.at(before + 1) == []
    assert [one.billable_metric_id for one in await catalog.at(before + 2)] == ["bm_a"]


async def _until_blocked(url: str, sessions: int = 1) -> None:
    """Return once so many sessions of the database wait for a lock."""
    waiting = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    deadline = time.monotonic() + 5
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(waiting).fetchone() != (sessions,):
            assert time.monotonic() < deadline, "nobody waits"
            await asyncio.sleep(0.01)


def _define_often(url: str, number: int) -> dict[int, list[tuple[str, int]]]:
    """Make metrics and change them; meanwhile look at each newest version as soon as it is there."""

    async def define() -> dict[int, list[tuple[str, int]]]:
        seen: dict[int, list[tuple[str, int]]] = {}
        done = False

        async def look() -> None:
            while not done:
                newest = await own.newest()
                seen.setdefault(newest, await _versions(own, newest))
                await asyncio.sleep(0.01)

        async def change() -> None:
            nonlocal done
            for item in range(5):
                id = f"bm_{number}_{item}"
                await own.metrics.create(metric(id))
                await own.metrics.update("org_a", id, {"event_type": "other"})
            done = True

        async with Catalog.connect(url, PATIENT) as own:
            await asyncio.gather(look(), change())
        return seen

    return asyncio.run(define())


async def _versions(catalog: Catalog, catalog_version: int) -> list[tuple[str, int]]:
    return [(one.billable_metric_id, one.version) for one in await catalog.at(catalog_version)]


async def test_a_catalog_version_stays_what_it_was_when_it_was_the_newest(
    processes: ProcessPoolExecutor, catalog: Catalog, postgres_url: str
) -> None:
    seen = await everywhere(processes, _define_often, postgres_url)
    assert await catalog.newest() == PROCESSES * 10
    assert sum(map(len, seen)) > 10
    for one in seen:
        for version, then in one.items():
            assert await _versions(catalog, version) == then
    whole = [await _versions(catalog, version) for version in range(PROCESSES * 10 + 1)]
    assert len(set(map(tuple, whole))) == len(whole)


# Activation


def _finish_backfills(url: str, claims: Sequence[Progress], number: int) -> None:
    """Finish whatever is unfinished on partition `number`."""

    async def finish() -> None:
        async with Catalog.connect(url, PATIENT) as catalog:
            ledger = catalog.ledger(LOG, range(PROCESSES))
            for backfill in await ledger.backfills(claims[number]):
                assert backfill.progress.until is not None
                await ledger.advance(await ledger.plan(backfill.progress, backfill.progress.until - 1))

    asyncio.run(finish())


async def test_partitions_that_finish_at_once_activate_a_version_once(
    processes: ProcessPoolExecutor, catalog: Catalog, postgres_url: str
) -> None:
    ledger = catalog.ledger(LOG, range(PROCESSES))
    ids = [f"bm_{number}" for number in range(12)]
    for id in ids:
        await catalog.metrics.create(metric(id))
    claims = [await ledger.claim(partition) for partition in range(PROCESSES)]
    for partition, claim in enumerate(claims):
        claims[partition] = await ledger.advance(await ledger.plan(claim, 99))
    for id in ids:
        await catalog.metrics.update("org_a", id, {"event_type": "other"})
    before = await catalog.newest()
    await everywhere(processes, _finish_backfills, postgres_url, claims)
    serving = await catalog.metrics.serving("org_a")
    assert {
        one.metric.id: (one.shown.definition.version, one.shown.state) for one in serving
    } == dict.fromkeys(ids, (2, "active"))
    # Each old version was retired once, in a catalog version of its own.
    assert await catalog.newest() == before + len(ids)
    assert [len(await catalog.at(before + number)) for number in range(13)] == list(range(24, 11, -1))


async def test_the_second_of_two_that_finish_at_once_sees_the_first(
    catalog: Catalog, postgres_url: str
) -> None:
    """Both have written that they are done, neither has looked at the other: held there by the lock."""
    ledger = catalog.ledger(LOG, [0, 1])
    lives = [await ledger.advance(await ledger.plan(await ledger.claim(one), 99)) for one in (0, 1)]
    await catalog.metrics.create(metric())
    plans = []
    for live in lives:
        [backfill] = await ledger.backfills(live)
        plans.append(await ledger.plan(backfill.progress, 99))
    with psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        advances = [asyncio.create_task(ledger.advance(planned)) for planned in plans]
        await _until_blocked(postgres_url, 2)
    await asyncio.gather(*advances)
    assert (await catalog.metrics.get("org_a", "bm_a")).shown.state == "active"


# Everything at once


def _ensure_all(url: str, number: int) -> list[str]:
    async def ensure() -> list[str]:
        async with Catalog.connect(url, PATIENT) as catalog:
            for item in range(15):
                await catalog.ensure_merchant(f"org_{item}")
                await catalog.ensure_product(f"org_{item}", f"prod_{item}")
            return [(await catalog.ensure_key("org_0", f"mh_{item}")).id for item in range(15)]

    return asyncio.run(ensure())


async def test_what_processes_ensure_at_once_is_made_once(
    processes: ProcessPoolExecutor, catalog: Catalog, postgres_url: str
) -> None:
    first, *others = await everywhere(processes, _ensure_all, postgres_url)
    assert others == [first] * (PROCESSES - 1)
    assert [key.id for key in await catalog.list_keys()] == sorted(first, key=first.index)


def _take_ids(url: str, number: int) -> list[str]:
    async def take() -> list[str]:
        taken = []
        async with Catalog.connect(url, PATIENT) as catalog:
            for item in range(20):
                try:
                    await catalog.metrics.create(metric(f"bm_{item}"))
                except Conflict:
                    continue
                taken.append(f"bm_{item}")
        return taken

    return asyncio.run(take())


async def test_an_id_that_processes_ask_for_at_once_is_given_once(
    processes: ProcessPoolExecutor, catalog: Catalog, postgres_url: str
) -> None:
    taken = await everywhere(processes, _take_ids, postgres_url)
    assert sorted(chain.from_iterable(taken)) == sorted([f"bm_{item}" for item in range(20)])


async def test_two_who_revoke_a_key_at_once_agree_on_when(catalog: Catalog, postgres_url: str) -> None:
    info, _ = await catalog.create_key("org_a", "")
    with psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        revocations = [asyncio.create_task(catalog.revoke_key(info.id)) for _ in range(2)]
        await _until_blocked(postgres_url, 2)
    first, second = await asyncio.gather(*revocations)
    assert first == second


def _do_everything(url: str, seconds: float, number: int) -> int:
    """Count one's own partition and change definitions and keys, all at once; how many batches it was."""

    async def run() -> int:
        until = time.monotonic() + seconds
        names = count()

        async def work() -> int:
            ledger = own.ledger(LOG, range(PROCESSES))
            live = await ledger.claim(number)
            batches = 0
            while time.monotonic() < until:
                live = await ledger.advance(await ledger.plan(live, live.next_offset + 9))
                for backfill in await ledger.backfills(live):
                    assert backfill.progress.until is not None
                    await ledger.advance(await ledger.plan(backfill.progress, backfill.progress.until - 1))
                batches += 1
            return batches

        async def define() -> None:
            while time.monotonic() < until:
                id = f"bm_{number}_{next(names)}"
                await own.metrics.create(metric(id))
                await own.metrics.update("org_a", id, {"event_type": "other"})
                await own.metrics.update("org_a", "bm_shared", {"event_type": id, "name": id})
                await own.products.update("org_a", "prod_a", {"name": id})

        async def make_keys() -> None:
            while time.monotonic() < until:
                info, secret = await own.create_key(f"org_{next(names)}", "")
                await own.revoke_key(info.id)
                await own.ensure_key(info.merchant_id, secret)

        async with Catalog.connect(url, PATIENT) as own:
            batches, _, _ = await asyncio.gather(work(), define(), make_keys())
        return batches

    return asyncio.run(run())


async def test_nobody_waits_for_somebody_who_waits_for_him(
    processes: ProcessPoolExecutor, catalog: Catalog, postgres_url: str, postgres: PostgresServer
) -> None:
    await catalog.metrics.create(metric("bm_shared"))
    batches = await everywhere(processes, _do_everything, postgres_url, 4.0)
    assert min(batches) > 0
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        deadlocks = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert deadlocks == (0,)
    counted = await catalog.watermark(LOG).counted()
    assert counted == {number: 10 * done for number, done in enumerate(batches)}


def _migrate(url: str, number: int) -> str:
    async def run() -> str:
        revision = await migrate(url)
        async with Catalog.connect(url) as catalog:
            await catalog.ensure_merchant("org_a")
        return revision

    return asyncio.run(run())


async def test_processes_that_migrate_at_once_all_find_it_done(
    processes: ProcessPoolExecutor, postgres: PostgresServer
) -> None:
    url = await asyncio.to_thread(lambda: postgres.new_database(migrated=False))
    assert await everywhere(processes, _migrate, url) == [HEAD] * PROCESSES
    async with Catalog.connect(url) as catalog:
        assert await catalog.newest() == 0
    postgres.drop(url)


async def test_a_connection_that_was_cut_is_replaced_unnoticed(
    catalog: Catalog, postgres: PostgresServer, postgres_url: str
) -> None:
    for _ in range(3):
        await asyncio.gather(*[catalog.newest() for _ in range(4)])
        postgres.cut(postgres_url)
        assert await catalog.newest() == 0
