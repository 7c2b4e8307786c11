"""The aggregator alone: a log of 1,000,000 events drained into ClickHouse in the same process.

benchmarks.workload describes the events. The log is written by another process before.
`python -m benchmarks.aggregate [--events N] [--profile FILE.html]`
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry
from pyinstrument import Profiler

from aggregator.protocol import InsertRules
from aggregator.worker import Worker
from benchmarks.processes import cpu_seconds, peak_megabytes
from benchmarks.report import show
from benchmarks.workload import METRICS, counted, define, fill
from meterhouse.adapters.data_folder import DataFolder
from meterhouse.adapters.sqlite_log.log import SqliteLog
from meterhouse.assembly.aggregator import worker_over
from meterhouse.embedded import open_stores
from meterhouse.stores import Stores
from meterhouse.telemetry.instruments import AggregatorInstruments


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
    folder.create()
    async with SqliteLog.open(folder.log) as log:
        await fill(log, events)


async def _drain(folder: DataFolder, events: int, profile: Path | None) -> None:
    with folder.lock():
        async with open_stores(folder) as stores:
            await define(stores.catalog)
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
            found = await counted(stores.catalog, stores.clickhouse)
    if profiler and profile:
        profile.write_text(profiler.output_html())  # noqa: ASYNC240 - nothing else runs any more
    if found != events:
        raise AssertionError(f"{found} of {events} events are counted")
    show(
        f"Draining {events:,} events, {len(METRICS)} metrics each",
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


async def _worker(stores: Stores) -> Worker:
    partitions = await stores.log.partitions()
    instruments = AggregatorInstruments(CollectorRegistry())
    return await worker_over(
        stores, partitions[0], of=partitions, rules=InsertRules(), instruments=instruments
    )


if __name__ == "__main__":
    main()
