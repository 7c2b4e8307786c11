"""Where the tables are: in one database on one node, or spread over the shards of a cluster.

On a cluster a server's own tables lie in the database `<database>_local`, each replicated within its shard.
`<database>` holds a Distributed table of the same name over each, for reading: so one SQL text asks one node
or all of them. Nothing is ever inserted through those; they would split a block and send it later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from meterhouse.adapters.clickhouse.rollup_sql import ROLLED_UP, rollups_of
from meterhouse.domain.block import Table

_JOURNAL: Final = "schema_migrations"

# How many INSERTs into one table are remembered: an hour of them at five flushes a second from five streams.
# The log of tokens costs about 100 bytes an entry, on disk and in memory.
TOKEN_WINDOW: Final = 100_000

# What one INSERT writes fits in a compact part: one file to sync, where a wide part has two a column.
_COMPACT: Final = 128 << 20

# No {shard} in the path: all servers are replicas of one table.
_ON_EVERY_SERVER: Final = "('/clickhouse/tables/{database}/{table}', '{shard}-{replica}')"

_QUORUM_TIMEOUT: Final = 10_000  # milliseconds

_ONE_NODE: Final = (
    f"non_replicated_deduplication_window = {TOKEN_WINDOW}, fsync_after_insert = 1, "
    f"fsync_part_directory = 1, min_bytes_for_wide_part = {_COMPACT}"
)
# A replica's disk is not waited for: a quorum of replicas has the rows instead. Tokens are also forgotten
# by age, which is kept well above the hour that the window of entries covers.
_REPLICATED: Final = (
    f"replicated_deduplication_window = {TOKEN_WINDOW}, replicated_deduplication_window_seconds = 7200, "
    f"min_bytes_for_wide_part = {_COMPACT}"
)


@dataclass(frozen=True, slots=True)
class Tables:
    """The database that readers use, and the cluster it spans; an empty name is one node."""

    database: str
    cluster: str = ""

    def __post_init__(self) -> None:
        for name in (self.database, self.cluster):
            if "`" in name or "\\" in name:
                raise ValueError(f"{name!r} is no name for a database or a cluster")

    @property
    def own_database(self) -> str:
        """Where the tables lie that a server has itself."""
        return f"{self.database}_local" if self.cluster else self.database

    def own(self, table: str) -> str:
        """The server's own table, quoted: what is inserted into, and what a mark is looked for in."""
        return f"`{self.own_database}`.`{table}`"

    def everywhere(self, table: str) -> str:
        """The table over all shards, quoted, for reading."""
        return f"`{self.database}`.`{table}`"

    @property
    def look_settings(self) -> Mapping[str, int | str]:
        """Settings of a SELECT that has to see every INSERT of event_ids that was answered."""
        return {"select_sequential_consistency": 1} if self.cluster else {}

    def insert_settings(self, table: Table) -> Mapping[str, int | str]:
        """Settings of every INSERT: on a cluster it is answered when most replicas of the shard have it."""
        if not self.cluster:
            return {}
        quorum: dict[str, int | str] = {"insert_quorum": "auto", "insert_quorum_timeout": _QUORUM_TIMEOUT}
        # Sequential consistency holds only for INSERTs that reach the quorum one after the other.
        return quorum | {"insert_quorum_parallel": 0} if table is Table.EVENT_IDS else quorum

    def before_look(self, table: Table) -> tuple[str, ...]:
        """Statements before a SELECT that has to see every block whose token the shard remembers.

        A token is known to all replicas at once, its rows are not: without this, a look at a replica that
        lags would say absent, and lead to an INSERT under another token.
        """
        return (f"SYSTEM SYNC REPLICA {self.own(table)} LIGHTWEIGHT",) if self.cluster else ()

    @property
    def journal(self) -> str:
        """The table of the migrations that were applied, the same on every server."""
        return self.own(_JOURNAL)

    def preparation(self) -> tuple[str, ...]:
        """The statements before any migration: databases and the journal."""
        databases = dict.fromkeys([self.own_database, self.database])
        engine = f"ReplicatedReplacingMergeTree{_ON_EVERY_SERVER}" if self.cluster else "ReplacingMergeTree"
        return (
            *[f"CREATE DATABASE IF NOT EXISTS `{database}`{self.on_cluster}" for database in databases],
            (
                f"CREATE TABLE IF NOT EXISTS {self.journal}{self.on_cluster}"
                " (number UInt32, name String, applied_at DateTime64(6, 'UTC'))"
                f" ENGINE = {engine} ORDER BY number"
            ),
        )

    def rendered(self, statement: str) -> str:
        """A migration's statement with its places filled in for one node, or for the cluster."""
        replica = "('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"
        places = {
            "{own}": f"`{self.own_database}`",
            "{readers}": f"`{self.database}`",
            "{on_cluster}": self.on_cluster,
            "{replicated}": "Replicated" if self.cluster else "",
            "{at}": replica if self.cluster else "",
            "{on_every_server}": _ON_EVERY_SERVER if self.cluster else "",
            "{table_settings}": _REPLICATED if self.cluster else _ONE_NODE,
        }
        for place, value in places.items():
            statement = statement.replace(place, value)
        return statement

    def conclusion(self, tables: tuple[str, ...]) -> tuple[str, ...]:
        """The statements after the migrations: what readers see of these tables, by their newest columns."""
        distributed = [
            f"CREATE OR REPLACE TABLE {self.everywhere(table)}{self.on_cluster} AS {self.own(table)}"
            f" ENGINE = Distributed(`{self.cluster}`, `{self.own_database}`, `{table}`)"
            for table in tables
        ]
        rollups = self.everywhere(Table.ROLLUPS)
        views = [
            f"CREATE OR REPLACE VIEW {self.everywhere(rollups_of(size))}{self.on_cluster} AS"  # noqa: S608 # our own names
            f" SELECT * EXCEPT window_size FROM {rollups} WHERE window_size = '{size}'"
            for size in ROLLED_UP
        ]
        return (*(distributed if self.cluster else ()), *views)

    @property
    def on_cluster(self) -> str:
        """The clause that makes a statement run on every server, begun with a space; empty on one node."""
        return f" ON CLUSTER `{self.cluster}`" if self.cluster else ""
