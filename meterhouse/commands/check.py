"""`meterhouse check`: whether log, events, metered events and rollups say the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from meterhouse.adapters.clickhouse.reconcile import (
    Difference,
    MetricSummary,
    Reconciliation,
    missing_offsets,
    reconcile,
)
from meterhouse.adapters.data_folder import DataFolder
from meterhouse.commands.kafka import needing_kafka
from meterhouse.commands.options import Data, folder_of
from meterhouse.domain.errors import LogBroken
from meterhouse.embedded import catch_up, existing_stores
from meterhouse.ports.counting import Watermark
from meterhouse.recount import recount
from meterhouse.stores import Stores

_PATIENCE: Final = 120.0  # seconds that aggregators get to count what is uncounted

app = typer.Typer(add_completion=False)


@app.command()
def check(
    data: Data = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds that running aggregators get to count what is uncounted.")
    ] = _PATIENCE,
) -> None:
    """Reconcile log, events, metered events and rollups; exit 1 and name the rows where they differ."""
    folder = folder_of(data)
    if folder is None:
        stores = needing_kafka("meterhouse.distributed.stores").open_stores()
        clean = asyncio.run(_check_shared(stores, Console(), wait))
    else:
        clean = asyncio.run(_check(folder, Console()))
    if not clean:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was compared; `others` are log records in no table, and events not counted as they should be."""

    reconciliation: Reconciliation
    others: tuple[Difference, ...]
    broken: str | None

    @property
    def clean(self) -> bool:
        return not (self.reconciliation.total or self.others or self.broken)


async def _check(folder: DataFolder, console: Console) -> bool:
    """Print what was found; True if nothing differs. Raises FolderInUse while a server runs on the folder."""
    async with existing_stores(folder) as stores:
        return _show(await find(stores), console)


async def _check_shared(
    opening: AbstractAsyncContextManager[Stores], console: Console, patience: float
) -> bool:
    """The same over stores that running services share, once these have counted what the log holds now.

    They get `patience` seconds for it: a partition that has stopped is never counted, and what it lacks is
    shown then. Only sure of its answer while no events are accepted and no definition changes.
    """
    async with opening as stores:
        uncounted = await _uncounted(stores, patience)
        return _show(await _compare(stores, uncounted), console)


async def find(stores: Stores) -> Findings:
    """Count what is still uncounted, then compare; nothing else may write meanwhile."""
    broken = None
    try:
        await catch_up(stores)
    except LogBroken as error:
        broken = str(error)
    return await _compare(stores, broken)


async def _uncounted(stores: Stores, patience: float) -> str | None:
    """Return None once all is counted that the log holds now, or in time what is not."""
    partitions = await stores.log.partitions()
    ends = {partition: (await stores.log.bounds(partition)).end for partition in partitions}
    watermark = stores.catalog.watermark(stores.log.log_id)
    deadline = time.monotonic() + patience
    while behind := await _behind(watermark, ends):
        if time.monotonic() > deadline:
            where = ", ".join([f"{lag:,} of partition {partition}" for partition, lag in behind.items()])
            return f"Records are not counted after {patience:g} s: {where}. Are aggregators running?"
        await asyncio.sleep(0.2)
    return None


async def _behind(watermark: Watermark, ends: Mapping[int, int]) -> dict[int, int]:
    counted = await watermark.counted()
    lags = {partition: end - counted.get(partition, 0) for partition, end in ends.items()}
    return {partition: lag for partition, lag in lags.items() if lag > 0}


async def _compare(stores: Stores, broken: str | None) -> Findings:
    definitions = await stores.catalog.at(await stores.catalog.newest())
    reconciliation = await reconcile(stores.clickhouse, definitions)
    miscounted = [one async for one in recount(stores, definitions)]
    return Findings(reconciliation, (*await _missing(stores), *miscounted), broken)


def _show(findings: Findings, console: Console) -> bool:
    console.print(_summary(findings.reconciliation))
    if findings.broken is not None:
        console.print(findings.broken, markup=False, highlight=False)
    differences = findings.reconciliation.differences + findings.others
    for one in differences:
        console.print(
            f"{one.table}: {one.key}: expected {one.expected}, found {one.found}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    total = findings.reconciliation.total + len(findings.others)
    if total > len(differences):
        console.print(f"… and {total - len(differences):,} more")
    console.print("Everything agrees." if findings.clean else f"{total:,} differences.")
    return findings.clean


async def _missing(stores: Stores) -> tuple[Difference, ...]:
    """Accepted records that no table knows."""
    found: list[Difference] = []
    for partition in await stores.log.partitions():
        end = (await stores.log.bounds(partition)).end
        dead = await stores.log.dead_offsets(partition)
        for gap in await missing_offsets(stores.clickhouse, partition, end, dead):
            offsets = f"partition {partition} offsets {gap.start} to {gap.stop - 1}"
            found.append(Difference("events", offsets, "an event, a repeat or a dead letter", "nothing"))
    return tuple(found)


def _summary(reconciliation: Reconciliation) -> Table:
    table = Table(title="Events counted")
    table.add_column("billable metric", no_wrap=True, overflow="fold", min_width=27)  # as long as an id
    for column in ("version", "one by one", "rolled up", "wrong"):
        table.add_column(column, justify="right")
    for metric in reconciliation.metrics:
        table.add_row(
            metric.definition.billable_metric_id,
            str(metric.definition.version),
            f"{metric.metered_events:,}",
            _rolled_up(metric),
            f"{metric.differences:,}",
        )
    return table


def _rolled_up(metric: MetricSummary) -> str:
    """By each size of window, where that is not as many."""
    others = {size: events for size, events in metric.rolled_up.items() if events != metric.metered_events}
    by_size = [f"by {size.lower().replace('_', ' ')}: {events:,}" for size, events in others.items()]
    return "\n".join(by_size) or "as many"
