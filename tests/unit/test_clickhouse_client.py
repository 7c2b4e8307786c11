"""The pool and the migrations, on real ClickHouse."""

from __future__ import annotations

import threading

import anyio
import pytest
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool, EngineError
from meterhouse.adapters.clickhouse.migrate import migrate, migrations
from meterhouse.domain.errors import NotMigrated, Overloaded, StoreUnavailable

pytestmark = pytest.mark.anyio


async def test_an_engine_error_carries_its_message_and_code(clickhouse: ClickHousePool) -> None:
    with pytest.raises(EngineError, match="UNKNOWN_IDENTIFIER") as caught:
        await clickhouse.run(lambda client: client.query("SELECT nope"))
    assert caught.value.code == 47
    assert isinstance(caught.value, StoreUnavailable)


async def test_a_client_is_only_touched_by_its_own_thread(clickhouse_dsn: str) -> None:
    seen: set[tuple[int, int]] = set()

    def touch(client: Client) -> None:
        client.command("SELECT 1")
        seen.add((id(client), threading.get_ident()))

    async with ClickHousePool(clickhouse_dsn, size=3) as pool, anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(pool.run, touch)
    assert len(seen) == len({client for client, _ in seen}) == len({thread for _, thread in seen}) <= 3


async def test_too_many_waiting_calls_are_refused(clickhouse_dsn: str) -> None:
    started, release = threading.Event(), threading.Event()

    def hold(_: Client) -> None:
        started.set()
        assert release.wait(10)

    async with ClickHousePool(clickhouse_dsn, size=1, waiting=0) as pool, anyio.create_task_group() as group:
        group.start_soon(pool.run, hold)
        await anyio.to_thread.run_sync(started.wait)
        with pytest.raises(Overloaded):
            await pool.run(lambda client: client.command("SELECT 1"))
        release.set()


async def test_each_wait_for_a_client_is_told_also_one_in_vain(clickhouse_dsn: str) -> None:
    started, release = threading.Event(), threading.Event()
    waits: list[float] = []

    def hold(_: Client) -> None:
        started.set()
        assert release.wait(60)

    async with (
        ClickHousePool(clickhouse_dsn, size=1, waited=waits.append) as pool,
        anyio.create_task_group() as group,
    ):
        group.start_soon(pool.run, hold)
        await anyio.to_thread.run_sync(started.wait)
        assert len(waits) == 1
        with anyio.move_on_after(0.05):
            await pool.run(lambda client: client.command("SELECT 1"))
        assert len(waits) == 2
        release.set()
    assert waits[1] > waits[0]


async def test_bound_parameters_of_clients_do_not_mix(clickhouse: ClickHousePool) -> None:
    answers: dict[int, object] = {}

    async def ask(number: int) -> None:
        answers[number] = await clickhouse.run(
            lambda client: client.command("SELECT {n:UInt32}", parameters={"n": number})
        )

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(ask, number)
    assert answers == {number: number for number in range(50)}


async def test_a_cancelled_call_gives_its_client_back(clickhouse_dsn: str) -> None:
    started, release = threading.Event(), threading.Event()

    def hold(_: Client) -> None:
        started.set()
        assert release.wait(10)

    async with ClickHousePool(clickhouse_dsn, size=1) as pool:
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run, hold)
            await anyio.to_thread.run_sync(started.wait)
            group.cancel_scope.cancel()
        release.set()
        assert await pool.run(lambda client: client.command("SELECT 1")) == 1


async def test_migrating_again_changes_nothing(clickhouse: ClickHousePool) -> None:
    def tables(client: Client) -> object:
        return client.query(
            "SELECT name, uuid, metadata_modification_time FROM system.tables"
            " WHERE database = currentDatabase() ORDER BY name"
        ).result_rows

    before = await clickhouse.run(tables)
    await migrate(clickhouse)
    assert await clickhouse.run(tables) == before
    applied = await clickhouse.run(
        lambda client: client.query("SELECT number FROM schema_migrations ORDER BY number").result_rows
    )
    assert [row[0] for row in applied] == [migration.number for migration in migrations()]


async def test_a_migration_cut_short_is_completed(clickhouse: ClickHousePool) -> None:
    await clickhouse.run(lambda client: client.command("TRUNCATE TABLE schema_migrations"))
    await clickhouse.run(lambda client: client.command("DROP TABLE rollups SYNC"))
    await migrate(clickhouse)
    assert await clickhouse.run(lambda client: client.command("SELECT count() FROM rollups_hour")) == 0


async def test_tables_of_another_version_are_refused_by_name(clickhouse: ClickHousePool) -> None:
    foreign = "INSERT INTO schema_migrations SELECT 9999, '9999_from_elsewhere.sql', now64(6)"
    await clickhouse.run(lambda client: client.command(foreign))
    with pytest.raises(NotMigrated, match=r"9999_from_elsewhere\.sql"):
        await migrate(clickhouse)
