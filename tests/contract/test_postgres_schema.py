"""What migrations make of a database on PostgreSQL, and who may migrate it."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.models import Base
from meterhouse.adapters.catalog.schema import HEAD, migrate
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.errors import NotMigrated

pytestmark = pytest.mark.anyio


async def test_the_migrations_make_the_tables_of_the_models(postgres_url: str) -> None:
    def compare(session: Session) -> Sequence[object]:
        connection: Connection = session.connection()
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with Database.open(postgres_url) as database:
        assert await database.read(compare) == []


async def test_all_text_compares_by_code_point(postgres_url: str) -> None:
    query = """
        SELECT DISTINCT collation_name FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> 'alembic_version' AND data_type = 'character varying'
    """
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(query).fetchall() == [("C",)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DROP TABLE alembic_version", "no tables yet: run `meterhouse migrate`"),
        (
            "UPDATE alembic_version SET version_num = '0000'",
            f"0000, and {HEAD} is needed: run `meterhouse migrate`",
        ),
        ("UPDATE alembic_version SET version_num = '9999'", "9999, and this version of meterhouse knows"),
    ],
)
async def test_a_process_of_many_says_what_to_run_and_migrates_nothing(
    postgres_url: str, change: str, words: str
) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(sql.SQL(change).format())
    with pytest.raises(NotMigrated, match=words):
        async with Catalog.connect(postgres_url):
            pass


async def test_what_a_newer_version_migrated_is_left_alone(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NotMigrated, match="run a newer one"):
        await migrate(postgres_url)
    with pytest.raises(NotMigrated, match="run a newer one"):
        async with Catalog.open(postgres_url):
            pass
