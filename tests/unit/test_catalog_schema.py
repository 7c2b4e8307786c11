"""The migrations make what the models say."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from meterhouse.adapters.catalog import entitlement_models, sales_models, subscription_models
from meterhouse.adapters.catalog.migrate import configuration, upgrade
from meterhouse.adapters.catalog.schema import HEAD

_MODELS: Final = (entitlement_models, sales_models, subscription_models)  # which build on models.py
_TABLES: Final = _MODELS[0].Base.metadata


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [HEAD]


def test_the_migrations_make_the_tables_of_the_models(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/catalog.sqlite3")
    with engine.begin() as connection:
        upgrade(connection)
        differences = compare_metadata(MigrationContext.configure(connection), _TABLES)
    engine.dispose()
    assert differences == []


def test_what_metrics_are_already_there_add_up_as_before(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/catalog.sqlite3")
    merchant = "INSERT INTO merchants VALUES ('org_a', 1)"
    product = "INSERT INTO products VALUES ('prod_a', 'org_a', '', '', '{}', 1, 1)"
    metric = (
        "INSERT INTO billable_metrics (id, merchant_id, product_id, name, description, unit, aggregation,"
        " version, created_at, updated_at) VALUES ('bm_a', 'org_a', 'prod_a', '', '', '', 'MAX', 2, 1, 1)"
    )
    versions = (
        "INSERT INTO billable_metric_versions (billable_metric_id, version, state, appeared_in)"
        " VALUES ('bm_a', 1, 'retired', 1), ('bm_a', 2, 'active', 2)"
    )
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0007")
        for statement in (merchant, product, metric, versions):
            connection.execute(text(statement))
        upgrade(connection)
        found = connection.execute(
            text("SELECT version, aggregation FROM billable_metric_versions ORDER BY version")
        )
        assert [tuple(row) for row in found] == [(1, "MAX"), (2, "MAX")]
    engine.dispose()


def test_subscriptions_that_are_already_there_are_charged_by_the_version_they_began_with(
    tmp_path: Path,
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/catalog.sqlite3")
    subscription = {
        "id": "sub_a", "merchant_id": "org_a", "customer_id": "cus_a", "name": "", "plan_id": "plan_a",
        "plan_version_id": "pver_a", "version_number": 3, "started_at": 7, "elapsed_billing": "none",
        "billing_starts_at": 7, "billing_anchor": 7, "billing_cadence": "P1M", "auto_charge": 0,
        "tax_exempt": 0, "payment_term_days": 0, "details": "{}", "asked": "{}", "created_at": 9,
        "updated_at": 9,
    }  # fmt: skip
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0011")
        names = ", ".join(subscription)
        values = ", ".join(f":{name}" for name in subscription)
        connection.execute(text(f"INSERT INTO subscriptions ({names}) VALUES ({values})"), subscription)
        upgrade(connection)
        found = connection.execute(text("SELECT * FROM subscription_versions"))
        assert [tuple(row) for row in found] == [("sub_a", 7, 3, None)]
    engine.dispose()


def test_every_table_can_be_made_in_postgres() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    for table in _TABLES.sorted_tables:
        assert "BIGSERIAL" not in str(CreateTable(table).compile(dialect=dialect))
