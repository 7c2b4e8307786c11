"""A log that is not the one that was counted stops the aggregator, with the right words and for good.

Nothing of it is counted, nothing is skipped or counted again, and a restart changes nothing about that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

import anyio
import pytest

from deploy.local.control import MERCHANT
from deploy.local.kafka import Cluster
from deploy.local.units import Unit
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.cloudevents_json import encode
from meterhouse.adapters.kafka.partitioning import partitions_of
from meterhouse.domain.event import Event
from tests.faults.own_services import OwnServices, eventually, not_ready, own_services
from tests.running import run_cli
from tests.servers.distributed import Distributed
from tests.servers.kafka import PLAN, delete_and_make_anew, delete_before, running_cluster

pytestmark = [pytest.mark.anyio, pytest.mark.faults]


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Cluster]:
    """A broker for a test that damages what it keeps."""
    with running_cluster(tmp_path / "kafka") as cluster:
        yield cluster


async def append(services: OwnServices, prefix: str, count: int = 30) -> Mapping[str, int]:
    """Write events to every partition of the topic that has the name now: id → partition."""
    ids = [f"{prefix}-{number}" for number in range(count)]
    now = SystemClock().now()
    entries = [encode(Event(MERCHANT, "/test", id, "broken", now, now, "cus_a")) for id in ids]
    async with services.log() as log:
        positions = await log.append(entries)
    assert len(positions) == PLAN.partitions
    return dict(zip(ids, partitions_of([entry.key for entry in entries], PLAN.partitions), strict=True))


async def wait_until_stored(services: OwnServices, ids: Collection[str]) -> None:
    async def are_stored() -> bool:
        return set((await services.stored()).values()) == set(ids)

    await eventually(are_stored, f"ClickHouse holds {sorted(ids)}")


async def words_of(aggregator: Unit, partitions: int) -> str:
    """What /readyz says once that many partitions have stopped."""

    async def look() -> str:
        said = "".join([words for words in await not_ready(aggregator) if words.startswith("partitions: ")])
        return said if said.count("Nothing ") == partitions else ""

    return await eventually(look, f"{partitions} partitions have stopped")


async def test_a_topic_that_was_made_anew_is_never_counted(services: OwnServices) -> None:
    aggregator = await services.start("aggregator")
    await append(services, "old")
    await eventually(services.is_counted, "all is counted")
    stored = await services.stored()

    await delete_and_make_anew(services.topic)
    assert "was deleted" in await words_of(aggregator, PLAN.partitions)

    await services.kill(aggregator)
    await services.launch(aggregator)  # nothing is in the new topic yet
    words = await words_of(aggregator, PLAN.partitions)
    assert words.count("the topic was made anew") == PLAN.partitions
    assert "`meterhouse check` shows what is missing" in words
    await append(services, "new")
    await services.kill(aggregator)
    await services.launch(aggregator)
    await words_of(aggregator, PLAN.partitions)
    assert await services.stored() == stored


async def test_records_that_retention_deleted_stop_their_partition_alone(services: OwnServices) -> None:
    aggregator = await services.start("aggregator")
    old = await append(services, "old")
    await eventually(services.is_counted, "all is counted")
    await services.kill(aggregator)
    new = await append(services, "new")
    async with services.log() as log:
        end = (await log.bounds(0)).end
    await delete_before(services.topic, 0, end - 1)

    await services.launch(aggregator)
    words = await words_of(aggregator, 1)
    assert f"begins at {end - 1}: records were deleted before they were counted" in words
    assert "`meterhouse check` shows what is missing" in words
    others = {id for id, partition in new.items() if partition != 0}
    await wait_until_stored(services, old.keys() | others)
    check = partial(run_cli, "check", "--wait", "1", seconds=120, env=services.environment)
    checked = await anyio.to_thread.run_sync(check)
    assert checked.returncode == 1
    lost = end - sum(partition == 0 for partition in old.values())
    assert f"{lost} of partition 0. Are aggregators running?" in checked.stdout
    assert f"partition 0 offsets {end - lost} to {end - 1}: expected an event" in checked.stdout


async def test_a_log_that_lost_its_end_stops_its_partition_alone(
    tmp_path: Path, distributed: Distributed, own_kafka: Cluster
) -> None:
    servers = {**distributed.environment, "METERHOUSE_KAFKA": own_kafka.bootstrap}
    async with own_services(tmp_path, servers) as services:
        aggregator = await services.start("aggregator")
        old = await append(services, "old", 60)
        await eventually(services.is_counted, "all is counted")
        await services.kill(aggregator)

        await anyio.to_thread.run_sync(lose_partition, own_kafka, f"{services.topic.name}-0")
        await eventually(services.log_answers, "Kafka is back")
        new = await append(services, "new", 30)
        await services.launch(aggregator)
        words = await words_of(aggregator, 1)
        assert "it was truncated or made anew" in words
        assert "`meterhouse check` shows what is missing" in words
        others = {id for id, partition in new.items() if partition != 0}
        await wait_until_stored(services, old.keys() | others)


def lose_partition(cluster: Cluster, directory: str) -> None:
    """Let the broker come back without the partition's records, as from a disk that was half restored."""
    [broker] = cluster.brokers
    broker.kill()
    for file in (broker.data / directory).glob("0*"):
        file.unlink()
    broker.launch()
    cluster.wait_until_ready()
