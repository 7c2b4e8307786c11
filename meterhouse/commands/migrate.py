"""`meterhouse migrate`."""

from __future__ import annotations

import asyncio

import typer

from meterhouse.adapters.catalog.schema import migrate as migrate_catalog
from meterhouse.adapters.clickhouse.migrate import migrate as migrate_tables
from meterhouse.domain.errors import Invalid
from meterhouse.settings import CatalogSettings, ClickHouseSettings
from meterhouse.stores import shared_clickhouse

app = typer.Typer(add_completion=False)


@app.command()
def migrate() -> None:
    """Bring the catalog (METERHOUSE_CATALOG_URL) and, where METERHOUSE_CLICKHOUSE_URL names it, ClickHouse up
    to date; harmless when they are, or while others do it.
    """
    url = CatalogSettings().url.get_secret_value()
    if not url:
        raise Invalid("METERHOUSE_CATALOG_URL names no catalog to migrate")
    typer.echo(f"The catalog is at revision {asyncio.run(migrate_catalog(url))}.")
    if "url" in ClickHouseSettings().model_fields_set:
        asyncio.run(_migrate_clickhouse())
        typer.echo("ClickHouse has every table.")


async def _migrate_clickhouse() -> None:
    async with shared_clickhouse() as pool:
        await migrate_tables(pool)
