"""`meterhouse keys`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from meterhouse.commands.options import Data, catalog_of
from meterhouse.domain.instant import render

app = typer.Typer(
    help="API keys, of a data folder or of the catalog at METERHOUSE_CATALOG_URL; also while servers run.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def create(
    merchant: Annotated[str, typer.Option(help="The merchant the key belongs to, org_…; made if new.")],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    data: Data = None,
) -> None:
    """Make a key; the last line printed is the key, and it is never shown again."""

    async def make() -> str:
        async with catalog_of(data) as catalog:
            _, secret = await catalog.create_key(merchant, name)
            return secret

    typer.echo(asyncio.run(make()))


@app.command("list")
def list_keys(data: Data = None) -> None:
    """Show every key's id, merchant, name and state."""

    async def read() -> Table:
        table = Table(title="API keys")
        table.add_column("id", min_width=28, no_wrap=True)  # it is what `revoke` wants, so never cut it
        for column in ("merchant", "name", "key", "created", "revoked"):
            table.add_column(column)
        async with catalog_of(data) as catalog:
            for key in await catalog.list_keys():
                revoked = "" if key.revoked_at is None else render(key.revoked_at)
                table.add_row(
                    key.id, key.merchant_id, key.name, f"{key.prefix}…", render(key.created_at), revoked
                )
        return table

    console = Console()
    if not console.is_terminal:
        console.width = 200  # piped, every key is whole and on one line
    console.print(asyncio.run(read()))


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, key_…, as `keys list` shows it.")],
    data: Data = None,
) -> None:
    """Stop a key from working, within a second."""

    async def forget() -> None:
        async with catalog_of(data) as catalog:
            await catalog.revoke_key(id)

    asyncio.run(forget())
    typer.echo(f"{id} is revoked")
