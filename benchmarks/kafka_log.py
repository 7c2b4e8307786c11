"""Appending to and reading from the log on Kafka.

    METERHOUSE_KAFKA=host:port uv run python -m benchmarks.kafka_log [--events 400000] [--compression none]

Makes a topic of its own with one replica and leaves it there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from uuid import uuid4

from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.cloudevents_json import encode
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.topics import TopicPlan, create
from meterhouse.domain.event import Event
from meterhouse.ports.log import Entry
from meterhouse.settings import KafkaSettings

_BATCH = 100
_BATCHES_AT_ONCE = 16
_SINGLES_AT_ONCE = 64
_READ = 50_000


def entries(count: int) -> list[Entry]:
    """Different events of about 400 bytes."""
    random = Random(1)
    now = SystemClock().now()
    return [
        encode(
            Event(
                namespace="org_dev",
                source="https://api.example.com/v1",
                id=str(uuid4()),
                type="api.request",
                subject=f"cus_{random.randrange(1000)}",
                external_subject="",
                external_id="",
                time=now + number,
                received_at=now + number,
                data=json.dumps(
                    {
                        "tokens": random.randrange(4096),
                        "model": f"swift-{random.randrange(5)}",
                        "region": "eu-west-1",
                        "latency_ms": random.randrange(2000),
                    }
                ).encode(),
                attributes={},
            )
        )
        for number in range(count)
    ]


@contextmanager
def measured(what: str, events: int) -> Iterator[None]:
    """Print what the block achieved, by the clock and by this process's CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{what}: {events / wall:,.0f} events/s, {events / cpu:,.0f} per CPU-second")


async def main(events: int, compression: str) -> None:
    settings = KafkaSettings.model_validate({"compression": compression})
    topic = f"benchmark-{uuid4().hex[:8]}"
    await create(settings.servers(), topic, TopicPlan(partitions=12, replicas=1, min_insync=1))
    some = entries(20_000)
    async with KafkaLog.open(settings.servers(), topic, SystemClock(), settings.limits()) as log:
        await log.append(some[:1000])

        async def append(size: int, count: int, offset: int) -> None:
            for number in range(count):
                start = (offset + number * size * 17) % (len(some) - size)
                await log.append(some[start : start + size])

        with measured(f"batches of {_BATCH}, {_BATCHES_AT_ONCE} at once", events):
            count = events // _BATCH // _BATCHES_AT_ONCE
            await asyncio.gather(*[append(_BATCH, count, n * 1000) for n in range(_BATCHES_AT_ONCE)])
        with measured(f"single events, {_SINGLES_AT_ONCE} at once", events // 10):
            count = events // 10 // _SINGLES_AT_ONCE
            await asyncio.gather(*[append(1, count, n * 100) for n in range(_SINGLES_AT_ONCE)])
        all_bounds = {partition: await log.bounds(partition) for partition in await log.partitions()}
        with measured(f"reads of {_READ}", sum(one.end - one.first for one in all_bounds.values())):
            for partition, bounds in all_bounds.items():
                offset = bounds.first
                while offset < bounds.end:
                    offset += len(await log.read(partition, offset, _READ))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--compression", default="none")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, compression {arguments.compression}")
    asyncio.run(main(arguments.events, arguments.compression))
