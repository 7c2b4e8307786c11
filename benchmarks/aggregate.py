"""The aggregator alone: a log of 1,000,000 events drained into ClickHouse in the same process.

Times span an hour, 1,000 subjects, three metrics match each event, two of them with dimensions. The log
is written by another process before. `python -m benchmarks.aggregate [--events N] [--profile FILE.html]`
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import uvloop
from prometheus_client import CollectorRegistry
from pyinstrument import Profiler

from aggregator.protocol import InsertRules
from aggregator.worker import Worker
from benchmarks.processes import cpu_seconds, peak_megabytes
from benchmarks.report import show
from meterhouse.adapters.clickhouse.usage import ClickHouseUsage
from meterhouse.adapters.cloudevents_json import encode
from meterhouse.adapters.data_folder import DataFolder
from meterhouse.adapters.sqlite_log.log import SqliteLog
from meterhouse.assembly import worker_over
from meterhouse.domain.billable_metric import Aggregation, BillableMetric
from meterhouse.domain.event import Event
from meterhouse.domain.instant import HOUR, parse
from meterhouse.domain.usage import UsageQuestion
from meterhouse.domain.window import Window
from meterhouse.embedded import open_stores
from meterhouse.stores import Stores
from meterhouse.telemetry.instruments import AggregatorInstruments

_FIRST: Final = parse("2026-05-01T12:00:00Z")
_CHUNK: Final = 10_000
_MERCHANT: Final = "org_dev"
_METRICS: Final = (
    ("bm_tokens", Aggregation.SUM, "$.tokens", {"model": "$.model", "region": "$.region"}),
    ("bm_latency", Aggregation.MAX, "$.latency", {"model": "$.model"}),
    ("bm_requests", Aggregation.COUNT, None, None),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--profile", type=Path, help="write a pyinstrument profile there")
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        asyncio.run(_fill(DataFolder(options.fill), options.events))
        return
    with tempfile.TemporaryDirectory() as folder:
        again = [sys.executable, "-m", "benchmarks.aggregate", "--events", str(options.events)]
        subprocess.run([*again, "--fill", folder], check=True)
        uvloop.run(_drain(DataFolder(Path(folder)), options.events, options.profile))


async def _fill(folder: DataFolder, events: int) -> None:
    choice = random.Random(5)
    folder.create()
    async with SqliteLog.open(folder.log) as log:
        for first in range(0, events, _CHUNK):
            chunk = range(first, min(events, first + _CHUNK))
            await log.append([encode(event) for event in _events(choice, chunk)])


def _events(choice: random.Random, numbers: range) -> Iterator[Event]:
    for number in numbers:
        model, region = f"model-{choice.randrange(5)}", choice.choice(("eu", "us", "ap"))
        tokens, latency = choice.randrange(8000), Decimal(choice.randrange(10**6)) / 1000
        yield Event(
            namespace=_MERCHANT,
            source="/benchmark",
            id=f"0197c5a0-{number:012x}",
            type="ai.completion",
            time=_FIRST + choice.randrange(HOUR),
            received_at=_FIRST + HOUR + number,
            subject=f"cus_{choice.randrange(1000)}",
            data=f'{{"model":"{model}","region":"{region}","tokens":{tokens},"latency":{latency}}}'.encode(),
        )


async def _drain(folder: DataFolder, events: int, profile: Path | None) -> None:
    with folder.lock():
        async with open_stores(folder) as stores:
            await _define(stores)
            stop = asyncio.Event()
            profiler = Profiler(async_mode="disabled") if profile else None
            began, cpu = time.perf_counter(), cpu_seconds(os.getpid())
            if profiler:
                profiler.start()
            working = asyncio.create_task((await _worker(stores)).run(stop))
            watermark = stores.catalog.watermark(stores.log.log_id)
            while (await watermark.counted()).get(0, 0) < events:
                if working.done():
                    working.result()
                await asyncio.sleep(0.05)
            seconds, used = time.perf_counter() - began, cpu_seconds(os.getpid()) - cpu
            if profiler:
                profiler.stop()
            stop.set()
            await working
            counted = await _counted(stores)
    if profiler and profile:
        profile.write_text(profiler.output_html())  # noqa: ASYNC240 - nothing else runs any more
    if counted != events:
        raise AssertionError(f"{counted} of {events} events are counted")
    show(
        f"Draining {events:,} events, {len(_METRICS)} metrics each",
        [
            {
                "events/s": f"{events / seconds:,.0f}",
                "seconds": f"{seconds:.1f}",
                "CPU s": f"{used:.1f}",
                "events per CPU s": f"{events / used:,.0f}",
                "peak MB": f"{peak_megabytes(os.getpid()):.0f}",
            }
        ],
    )


async def _define(stores: Stores) -> None:
    await stores.catalog.ensure_merchant(_MERCHANT)
    await stores.catalog.ensure_product(_MERCHANT, "prod_dev")
    for id, aggregation, value_property, group_by in _METRICS:
        metric = BillableMetric(
            id=id,
            merchant_id=_MERCHANT,
            product_id="prod_dev",
            item_id=None,
            name=id,
            description="",
            unit="",
            aggregation=aggregation,
            event_type="ai.completion",
            value_property=value_property,
            group_by=group_by,
            event_from=None,
            version=1,
            created_at=_FIRST,
            updated_at=_FIRST,
        )
        await stores.catalog.metrics.create(metric)


async def _worker(stores: Stores) -> Worker:
    partitions = await stores.log.partitions()
    instruments = AggregatorInstruments(CollectorRegistry())
    return worker_over(stores, partitions[0], of=partitions, rules=InsertRules(), instruments=instruments)


async def _counted(stores: Stores) -> int:
    """What usage says of the metric that counts events."""
    serving = await stores.catalog.metrics.get(_MERCHANT, "bm_requests")
    question = UsageQuestion(definition=serving.shown.definition, period=Window(_FIRST, _FIRST + HOUR))
    return (await ClickHouseUsage(stores.clickhouse).usage(question)).total.count


if __name__ == "__main__":
    main()
