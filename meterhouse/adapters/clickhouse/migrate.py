"""Brings a ClickHouse database to the newest tables: numbered migrations, each applied once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool

_NAME: Final = re.compile(r"(\d{4})_\w+\.sql")
_COMMENT: Final = re.compile(r"^--.*$", re.MULTILINE)

# An hour of INSERTs into one table at five flushes a second from five streams. The log of tokens costs
# about 100 bytes an entry, on disk and in memory.
_TOKEN_WINDOW: Final = 100_000

# What one INSERT writes fits in a compact part: one file to sync, where a wide part has two a column.
_COMPACT: Final = 128 << 20

_SINGLE_NODE: Final = (
    f"non_replicated_deduplication_window = {_TOKEN_WINDOW}, fsync_after_insert = 1, "
    f"fsync_part_directory = 1, min_bytes_for_wide_part = {_COMPACT}"
)

_MIGRATIONS_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (number UInt32, name String, applied_at DateTime64(6, 'UTC'))
ENGINE = MergeTree ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file NNNN_name.sql of this package, as the statements it holds."""

    number: int
    name: str
    statements: tuple[str, ...]


def migrations() -> tuple[Migration, ...]:
    """Every migration, in the order in which they are applied."""
    found = []
    for file in files("meterhouse.adapters.clickhouse").joinpath("migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match is not None:
            found.append(Migration(int(match.group(1)), file.name, _statements(file.read_text("utf-8"))))
    return tuple(sorted(found, key=lambda migration: migration.number))


async def migrate(pool: ClickHousePool) -> None:
    """Apply what the pool's database lacks; on a current database this is one small query.

    A migration that was cut short is applied again from its start, so its statements say IF NOT EXISTS.
    """
    await pool.run(_migrate)


def _migrate(client: Client) -> None:
    client.command(_MIGRATIONS_TABLE)
    applied = {row[0] for row in client.query("SELECT number FROM schema_migrations").result_rows}
    for migration in migrations():
        if migration.number in applied:
            continue
        for statement in migration.statements:
            client.command(statement.replace("{table_settings}", _SINGLE_NODE))
        client.command(
            "INSERT INTO schema_migrations SELECT {number:UInt32}, {name:String}, now64(6)",
            parameters={"number": migration.number, "name": migration.name},
        )


def _statements(text: str) -> tuple[str, ...]:
    """Split at the semicolons that end a line; comments are whole lines."""
    parts = re.split(r";\s*(?:\n|\Z)", _COMMENT.sub("", text))
    return tuple(part.strip() for part in parts if part.strip())
