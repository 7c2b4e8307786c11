"""Brings a ClickHouse database to the newest tables: numbered migrations, each applied once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.tables import Tables
from meterhouse.domain.block import Table
from meterhouse.domain.errors import NotMigrated

_NAME: Final = re.compile(r"(\d{4})_\w+\.sql")
_FOREIGN: Final = (
    "the tables of {database} were made by another version of meterhouse ({names}): run that one, or count"
    " the log anew into a database of another name (docs/operations.md, Upgrades)"
)
_COMMENT: Final = re.compile(r"^--.*$", re.MULTILINE)


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
    """Make the pool's database if need be, and apply what it lacks; a current one costs a few small queries.

    Several processes may do so at once, and one may be cut short: every statement leaves what is there
    alone, and a migration is journaled when all of it stands. On a cluster each waits for all servers, and
    raises EngineError where one is away; what that one missed it does when it is back. Raises NotMigrated
    where the tables are of migrations that this version does not know.
    """
    await pool.run(lambda client: _migrate(client, pool.tables))


def _migrate(client: Client, tables: Tables) -> None:
    def run(statement: str, parameters: dict[str, object] | None = None) -> None:
        client.command(statement, parameters, use_database=False)

    for statement in tables.preparation():
        run(statement)
    journal = client.query(f"SELECT DISTINCT name FROM {tables.journal}").result_rows  # noqa: S608 # our own names
    applied = {name for (name,) in journal}
    foreign = sorted(applied - {migration.name for migration in migrations()})
    if foreign:
        raise NotMigrated(_FOREIGN.format(database=tables.database, names=", ".join(foreign)))
    missing = [migration for migration in migrations() if migration.name not in applied]
    for migration in missing:
        for statement in migration.statements:
            run(tables.rendered(statement))
    if missing:
        for statement in tables.conclusion(tuple(Table)):
            run(statement)
    for migration in missing:
        run(
            f"INSERT INTO {tables.journal} SELECT {{number:UInt32}}, {{name:String}}, now64(6)",
            {"number": migration.number, "name": migration.name},
        )


def _statements(text: str) -> tuple[str, ...]:
    """Split at the semicolons that end a line; comments are whole lines."""
    parts = re.split(r";\s*(?:\n|\Z)", _COMMENT.sub("", text))
    return tuple(part.strip() for part in parts if part.strip())
