"""`meterhouse webhooks`: deliveries that were given up, of every merchant or of one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clock import SystemClock
from meterhouse.commands.options import Data, catalog_of
from meterhouse.domain.errors import NotFound
from meterhouse.domain.instant import render

app = typer.Typer(
    help="Deliveries to merchants that were given up; also while servers run.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def dead(
    merchant: Annotated[str | None, typer.Option(help="Of this merchant alone, org_….")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show that many at most, the newest.")] = 100,
    data: Data = None,
) -> None:
    """Show deliveries that were given up: whose, where to, of what, and why."""

    async def show() -> None:
        async with catalog_of(data) as catalog:
            await _show_dead(catalog, Console(), merchant, limit)

    asyncio.run(show())


@app.command()
def replay(
    deliveries: Annotated[
        list[str] | None, typer.Argument(help="Dead deliveries, dlv_…, as `dead` shows them.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every one that was given up.")] = False,
    merchant: Annotated[str | None, typer.Option(help="Of this merchant alone, org_….")] = None,
    data: Data = None,
) -> None:
    """Deliver again what was given up, under the same webhook ids and with all attempts."""
    if bool(deliveries) == all:
        raise typer.BadParameter("name deliveries as dlv_…, or give --all")

    async def send() -> int:
        async with catalog_of(data) as catalog:
            return await _revive(catalog, None if all else set(deliveries or ()), merchant)

    typer.echo(f"{asyncio.run(send())} will be delivered again")


async def _show_dead(catalog: Catalog, console: Console, merchant: str | None, limit: int) -> None:
    """Print the newest of them, newest first."""
    found = await catalog.deliveries.dead(merchant, limit)
    if not found:
        console.print("No delivery is given up.")
        return
    if not console.is_terminal:
        console.width = 240  # piped, every id is whole and on one line
    table = Table(title="Deliveries that were given up")
    table.add_column("delivery", min_width=28, no_wrap=True)  # it is what `replay` wants, so never cut it
    for column in ("merchant", "endpoint", "type", "attempts", "last attempt", "why"):
        table.add_column(column)
    for one in found:
        why = one.last_error or f"answered {one.last_status}"
        last = "" if one.last_attempt_at is None else render(one.last_attempt_at)
        row = (one.id, one.notice.merchant_id, one.endpoint_id, one.notice.type, str(one.attempts), last, why)
        table.add_row(*row)
    console.print(table)


async def _revive(catalog: Catalog, ids: Collection[str] | None, merchant: str | None) -> int:
    """Let them be delivered again, all of them where no ids are named; how many.

    Raises NotFound where one of those named is not dead; the others are replayed.
    """
    revived = await catalog.deliveries.revive(ids, merchant, SystemClock().now())
    if ids is not None and revived < len(ids):
        raise NotFound(
            f"{len(ids) - revived} of those {len(ids)} are no dead deliveries; see `webhooks dead`"
        )
    return revived
