"""The cluster form of every statement: parsed by the engine, since no cluster runs here."""

from __future__ import annotations

import re
from collections.abc import Iterator

import anyio
import pytest
from clickhouse_connect.driver.binding import format_str
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse import blocks
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.migrate import migrate, migrations
from meterhouse.adapters.clickhouse.rollup_sql import METERED_STRUCTURE, ROLLED_UP, insert_rollups, rollups_of
from meterhouse.adapters.clickhouse.shards import shards
from meterhouse.adapters.clickhouse.tables import Tables
from meterhouse.domain.block import Table
from meterhouse.domain.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

ONE, SPREAD = Tables("usage"), Tables("usage", "house-1")
TABLES = tuple(Table)


def statements(tables: Tables) -> Iterator[str]:
    """Everything that `migrate` runs, in its order."""
    yield from tables.preparation()
    for migration in migrations():
        yield from map(tables.rendered, migration.statements)
    yield from tables.conclusion(TABLES)


def run_on_a_cluster(tables: Tables) -> Iterator[str]:
    """What a BlockStore asks and does there, but for the INSERTs of plain rows."""
    for table in TABLES:
        yield from tables.before_look(table)
        own = tables.own(table)
        yield insert_rollups(
            own, f"input({format_str(METERED_STRUCTURE)})", tables.insert_settings(table), [("bm_1", 1)]
        )
        yield blocks._DROP.format(table=own, on_cluster=tables.on_cluster)
    for question in (blocks._PLACED, blocks._IDENTIFIED, blocks._MARKED.replace("{time}", "time")):
        yield question.format(table=tables.own(Table.EVENTS))
    found = blocks._FIND.format(event_ids=tables.everywhere(Table.EVENT_IDS)).format(staged="staged")
    yield f"{found} SETTINGS select_sequential_consistency = 1"


async def explained(clickhouse: ClickHousePool, statement: str, **parameters: object) -> str:
    """The syntax tree; an error of the engine where it cannot parse the statement."""
    return str(await clickhouse.run(lambda client: client.command(f"EXPLAIN AST {statement}", parameters)))


@pytest.mark.parametrize("tables", [ONE, SPREAD], ids=["one node", "cluster"])
async def test_the_engine_parses_every_migration(clickhouse: ClickHousePool, tables: Tables) -> None:
    for statement in statements(tables):
        assert "{" not in re.sub(r"\{(shard|replica|database|table)\}", "", statement)
        assert await explained(clickhouse, statement)


async def test_every_table_of_a_cluster_is_replicated_and_readable_as_a_whole(
    clickhouse: ClickHousePool,
) -> None:
    trees = [await explained(clickhouse, statement) for statement in statements(SPREAD)]
    for table in TABLES:
        own = [tree for tree in trees if re.match(rf"CreateQuery usage_local {table}\b", tree)]
        assert [len(re.findall(r"Function Replicated\w*MergeTree", tree)) for tree in own] == [1]
        assert "Literal \\'/clickhouse/tables/{shard}/{database}/{table}\\'" in own[0]
        read = [tree for tree in trees if re.match(rf"CreateQuery usage {table}\b", tree)]
        assert ["Function Distributed" in tree for tree in read] == [True]
    for statement in statements(SPREAD):
        assert "ON CLUSTER `house-1`" in statement


async def test_every_server_of_a_cluster_has_all_billable_metrics_itself(clickhouse: ClickHousePool) -> None:
    trees = [await explained(clickhouse, statement) for statement in statements(SPREAD)]
    [own] = [tree for tree in trees if tree.startswith("CreateQuery usage_local metric_publications")]
    assert "Literal \\'/clickhouse/tables/{database}/{table}\\'" in own
    assert "Literal \\'{shard}-{replica}\\'" in own
    views = [tree for tree in trees if tree.startswith("CreateQuery usage billable_metrics")]
    assert views
    assert all("TableIdentifier usage_local.metric_publications" in view for view in views)


async def test_a_cluster_differs_from_one_node_only_in_where_rows_lie() -> None:
    def plain(statement: str, tables: Tables) -> str:
        text = statement.replace(tables.on_cluster, "").replace(tables.own_database, "usage")
        text = re.sub(r"Replicated(\w+)\('[^']*', '[^']*'\)", r"\1", text)
        return re.sub(r"(?<=SETTINGS )[^;]*?min_bytes_for_wide_part", "min_bytes_for_wide_part", text)

    for migration in migrations():
        for statement in migration.statements:
            assert plain(SPREAD.rendered(statement), SPREAD) == plain(ONE.rendered(statement), ONE)


@pytest.mark.parametrize("tables", [ONE, SPREAD], ids=["one node", "cluster"])
def test_every_statement_of_a_migration_may_be_run_again(tables: Tables) -> None:
    for statement in statements(tables):
        assert re.search(r"\b(IF NOT EXISTS|IF EXISTS|OR REPLACE)\b", statement), statement


async def test_the_engine_parses_what_is_run_on_a_cluster(clickhouse: ClickHousePool) -> None:
    bound = {
        "stream": "0", "start": 0, "mark": 0, "partition": 0, "offset": 0, "id_hash": 0,
        "namespace": "", "billable_metric_id": "", "version": 0,
    }  # fmt: skip
    for statement in run_on_a_cluster(SPREAD):
        assert await explained(clickhouse, statement, **bound)


async def test_the_engine_knows_every_setting_of_a_cluster(clickhouse: ClickHousePool) -> None:
    named = {"distributed_product_mode", *SPREAD.look_settings}
    for table in TABLES:
        named |= SPREAD.insert_settings(table).keys()
    of_tables = {
        name
        for statement in statements(SPREAD)
        for name in re.findall(r"(\w+) = \d", statement.rpartition("SETTINGS")[2])
    }

    def known(client: Client) -> tuple[set[str], set[str]]:
        settings = client.query("SELECT name FROM system.settings").result_columns[0]
        merge_tree = client.query("SELECT name FROM system.merge_tree_settings").result_columns[0]
        return named - set(settings), of_tables - set(merge_tree)

    assert await clickhouse.run(known) == (set(), set())
    assert {"replicated_deduplication_window", "index_granularity"} <= of_tables


async def test_several_processes_may_migrate_at_once(clickhouse: ClickHousePool, clickhouse_dsn: str) -> None:
    database = f"{clickhouse.tables.database}_many"

    async def start() -> None:
        async with ClickHousePool(clickhouse_dsn, size=1, database=database) as pool:
            await migrate(pool)

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(start)

    def look(client: Client) -> tuple[set[str], set[int]]:
        tables = client.query("SELECT name FROM system.tables WHERE database = {d:String}", {"d": database})
        journal = client.query(f"SELECT number FROM {database}.schema_migrations")
        client.command(f"DROP DATABASE {database} SYNC")
        return {row[0] for row in tables.result_rows}, {row[0] for row in journal.result_rows}

    found = await clickhouse.run(look)
    made = {
        *TABLES,
        *map(rollups_of, ROLLED_UP),
        "schema_migrations",
        "metric_publications",
        "billable_metrics",
    }
    assert found == (made, {migration.number for migration in migrations()})


def test_names_that_would_end_their_quotes_are_refused() -> None:
    for name in ("a`b", "a\\b"):
        with pytest.raises(ValueError, match="is no name"):
            Tables(name)
        with pytest.raises(ValueError, match="is no name"):
            Tables("usage", name)


async def test_one_node_is_one_shard(clickhouse: ClickHousePool) -> None:
    found = await shards(clickhouse)
    assert list(found) == [1]
    async with clickhouse.at(found[1]) as again:
        assert again.tables == clickhouse.tables
        assert await again.run(lambda client: client.command("SELECT count() FROM events")) == 0


async def test_a_cluster_that_the_server_does_not_know_is_named(clickhouse_dsn: str) -> None:
    async with ClickHousePool(clickhouse_dsn, size=1, cluster="nowhere") as pool:
        with pytest.raises(StoreUnavailable, match="'nowhere'"):
            await shards(pool)


def test_another_server_is_reached_the_same_way() -> None:
    pool = ClickHousePool("https://u:hidden@one:9440/db", cluster="main", size=3).at(("two",))
    assert (pool.hosts, pool.tables) == (("two",), Tables("db", "main"))
    assert (pool._address.user, pool._address.password, pool._address.port) == ("u", "hidden", 9440)
