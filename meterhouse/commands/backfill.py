"""`meterhouse backfill`: definitions that are still being counted over the events from before them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.commands.options import Data, catalog_of
from meterhouse.domain.errors import NotFound
from meterhouse.ports.metrics import VersionCatalog, VersionProgress

_PAUSE: Final = 0.25  # seconds between two looks

app = typer.Typer(
    help="Changed definitions that are being counted over earlier events; also while servers run.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command("list")
def list_backfills(
    watch: Annotated[bool, typer.Option("--watch", help="Show them until all are done.")] = False,
    data: Data = None,
) -> None:
    """Show the definitions that are still being counted over earlier events, and how far they are."""

    async def look() -> None:
        async with catalog_of(data) as catalog:
            await _show(await _versions_of(catalog), Console(), watch=watch)

    asyncio.run(look())


@app.command()
def cancel(
    metric: Annotated[str, typer.Argument(help="The billable metric, bm_…, as `list` shows it.")],
    data: Data = None,
) -> None:
    """Give up a new definition; the billable metric is as the one before says again."""

    async def give_up() -> int:
        async with catalog_of(data) as catalog:
            return await _cancel(await _versions_of(catalog), metric)

    typer.echo(f"version {asyncio.run(give_up())} of {metric} is cancelled")


async def _versions_of(catalog: Catalog) -> VersionCatalog:
    """The versions as they are counted from the catalog's log, or from the one that is counted furthest."""
    known = await catalog.log_ids()
    return catalog.versions(known[-1] if known else "")


async def _show(versions: VersionCatalog, console: Console, *, watch: bool) -> None:
    """Print what is being counted; with `watch` follow it with a bar each until nothing is left."""
    building = await versions.building()
    if not building:
        console.print("Every definition is counted over all events.")
    elif watch:
        await _follow(versions, console, building)
    else:
        console.print(_table(building, console))


async def _cancel(versions: VersionCatalog, metric: str) -> int:
    """Cancel what is being built for the metric; its version. Raises NotFound and Conflict."""
    for one in await versions.building():
        definition = one.version.definition
        if definition.billable_metric_id == metric:
            await versions.cancel(definition.namespace, metric, definition.version)
            return definition.version
    raise NotFound(f"nothing is being built for {metric}")


def _table(building: Sequence[VersionProgress], console: Console) -> Table:
    if not console.is_terminal:
        console.width = 200  # piped, every id is whole and on one line
    table = Table(title="Definitions being counted")
    table.add_column("billable metric", min_width=27, no_wrap=True)
    for column in ("name", "merchant"):
        table.add_column(column)
    for column in ("version", "records", "of"):
        table.add_column(column, justify="right")
    for one in building:
        definition = one.version.definition
        table.add_row(
            definition.billable_metric_id,
            one.name,
            definition.namespace,
            str(definition.version),
            f"{one.counted:,}",
            f"{one.total:,}",
        )
    return table


async def _follow(versions: VersionCatalog, console: Console, building: Sequence[VersionProgress]) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[tuple[str, int], TaskID] = {}
    with Progress(*columns, console=console) as bars:
        while building:
            left = {_key(one) for one in building}
            for one in building:
                key = _key(one)
                if key not in tasks:
                    tasks[key] = bars.add_task(f"{key[0]} version {key[1]}", total=one.total)
                bars.update(tasks[key], completed=one.counted, total=one.total)
            _finish(bars, [task for key, task in tasks.items() if key not in left])
            await asyncio.sleep(_PAUSE)
            building = await versions.building()
        _finish(bars, list(tasks.values()))
    console.print("Every definition is counted over all events.")


def _finish(bars: Progress, tasks: Sequence[TaskID]) -> None:
    for task in tasks:
        bars.update(task, completed=bars.tasks[task].total)


def _key(one: VersionProgress) -> tuple[str, int]:
    return one.version.definition.billable_metric_id, one.version.definition.version
