"""An aggregator of its own: 1,000,000 events counted from Kafka into ClickHouse, all on one machine.

benchmarks.workload describes the events; they are on the topic before the aggregator starts.
`python -m benchmarks.aggregate_kafka [--events N] [--profile FILE]`; a profile needs py-spy.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import time
from pathlib import Path

import httpx

from benchmarks.installation import Installed, installed
from benchmarks.processes import peak_megabytes
from benchmarks.report import show
from benchmarks.workload import METRICS, counted, define, fill
from meterhouse.stores import Stores

_NAME = "aggregator-1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--profile", type=Path, help="write the stacks that py-spy saw there")
    options = parser.parse_args()
    with installed(ingest=1, aggregator=1, query=1) as running:
        running.installation.unit(_NAME).end(signal.SIGTERM)
        asyncio.run(_measure(running, options.events, options.profile))


async def _measure(running: Installed, events: int, profile: Path | None) -> None:
    async with running.stores() as stores:
        await define(stores.catalog)
        await fill(stores.log, events)
        running.installation.unit(_NAME).launch()
        await _until_it_listens(running)
        before, began = running.cpu_seconds(), time.perf_counter()
        profiler = _profiler(running.pid(_NAME), profile) if profile else None
        await _until_counted(stores, events)
        seconds, after = time.perf_counter() - began, running.cpu_seconds()
        if profiler:
            profiler.send_signal(signal.SIGINT)
            profiler.wait()
        found = await counted(stores.catalog, stores.clickhouse)
    if found != events:
        raise AssertionError(f"{found} of {events} events are counted")
    used = {name: after[name] - before[name] for name in after}
    show(
        f"Counting {events:,} events from Kafka, {len(METRICS)} metrics each",
        [
            {
                "events/s": f"{events / seconds:,.0f}",
                "seconds": f"{seconds:.1f}",
                "events per CPU s of the aggregator": f"{events / used[_NAME]:,.0f}",
                "its CPU s": f"{used[_NAME]:.1f}",
                "ClickHouse's": f"{used['clickhouse']:.1f}",
                "Kafka's": f"{used['kafka-1']:.1f}",
                "its peak MB": f"{peak_megabytes(running.pid(_NAME)):.0f}",
            }
        ],
    )


async def _until_it_listens(running: Installed) -> None:
    """Until it has imported everything and begun, so that only counting is measured."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port(_NAME)}") as client:
        while True:
            try:
                await client.get("/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.01)
            else:
                return


async def _until_counted(stores: Stores, events: int) -> None:
    watermark = stores.catalog.watermark(stores.log.log_id)
    while sum((await watermark.counted()).values()) < events:  # noqa: ASYNC110 - another process counts
        await asyncio.sleep(0.05)


def _profiler(pid: int, into: Path) -> subprocess.Popen[bytes]:
    options = ["--rate", "250", "--native", "--format", "raw", "--output", str(into)]
    return subprocess.Popen(["py-spy", "record", "--pid", str(pid), *options], stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
