"""`meterhouse rebuild`: every table emptied, and the log counted anew from its beginning.

The way on where catalog and ClickHouse contradict each other, after a restored backup for one: what either
says of the past is forgotten, and the log, which has all of it, is believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Annotated

import typer

from meterhouse.adapters.clickhouse.blocks import empty_tables
from meterhouse.adapters.data_folder import DataFolder
from meterhouse.commands.kafka import needing_kafka
from meterhouse.commands.options import Data, folder_of
from meterhouse.domain.errors import LogBroken
from meterhouse.embedded import catch_up, existing_stores
from meterhouse.settings import AggregatorSettings
from meterhouse.stores import Stores

Say = Callable[[str], None]

app = typer.Typer(add_completion=False)


@app.command()
def rebuild(
    data: Data = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget everything that is counted, and count the whole log anew; until then usage is too low.

    For when catalog and ClickHouse contradict each other. In a distributed installation stop the aggregators
    before, and start them after it.
    """
    if not yes:
        typer.confirm("Everything that is counted will be deleted, and counted anew. Go on?", abort=True)
    folder = folder_of(data)
    if folder is None:
        shared = needing_kafka("meterhouse.distributed.stores")
        settle = AggregatorSettings().settle
        asyncio.run(_rebuild_shared(shared.open_stores(), shared.require_idle, settle, typer.echo))
    else:
        asyncio.run(_rebuild(folder, typer.echo))


async def _rebuild(folder: DataFolder, say: Say) -> None:
    """Empty the folder's tables and count its log. Raises FolderInUse while a server runs on it."""
    async with existing_stores(folder) as stores:
        await _forget(stores)
        say("Counting the log from its beginning.")
        await catch_up(stores)


async def _rebuild_shared(
    opening: AbstractAsyncContextManager[Stores],
    require_idle: Callable[[], Awaitable[None]],
    settle: timedelta,
    say: Say,
) -> None:
    """Empty the tables that stopped aggregators share; they count the log once they are started again.

    `require_idle` raises while any of them runs. A killed one may have left an INSERT on its way, which is
    over after `settle`: one that landed later would count twice. Cut short, do it again.
    """
    async with opening as stores:
        await require_idle()
        say(f"Waiting {settle.total_seconds():.0f} s for INSERTs that may be on their way.")
        await asyncio.sleep(settle.total_seconds())
        await require_idle()
        await _forget(stores)
        say("Start the aggregators: they count the log from its beginning.")


async def _forget(stores: Stores) -> None:
    for partition in await stores.log.partitions():
        first = (await stores.log.bounds(partition)).first
        if first > 0:
            raise LogBroken(
                f"partition {partition} of the log begins at offset {first}: what was before is in "
                "ClickHouse alone, and would be lost. Nothing was changed."
            )
    # Whoever begins between the two finds ClickHouse ahead of the catalog, and stops.
    await stores.catalog.ledger(stores.log.log_id, ()).forget()
    await empty_tables(stores.clickhouse)
