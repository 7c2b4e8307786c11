"""`meterhouse provision`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from meterhouse.commands.options import Data, catalog_of

app = typer.Typer(add_completion=False)


@app.command()
def provision(
    merchant: Annotated[str, typer.Option(help="The merchant, org_….")],
    product: Annotated[str | None, typer.Option(help="A product of the merchant, prod_….")] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="METERHOUSE_PROVISION_KEY", help="An API key of the merchant, of your choosing."),
    ] = None,
    sandbox: Annotated[
        bool | None,
        typer.Option(
            "--sandbox/--no-sandbox",
            help="Whether the merchant may be reset, which deletes what it has; stays as it is unless given.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Make a merchant, a product and a key unless they are there: for scripts that know them beforehand."""

    async def make() -> None:
        async with catalog_of(data) as catalog:
            await catalog.ensure_merchant(merchant)
            if sandbox is not None:
                await catalog.mark_merchant(merchant, sandbox=sandbox)
            if product is not None:
                await catalog.ensure_product(merchant, product)
            if key is not None:
                await catalog.ensure_key(merchant, key)

    asyncio.run(make())
    typer.echo(f"{merchant} is there" + (f", with product {product}" if product else ""))
