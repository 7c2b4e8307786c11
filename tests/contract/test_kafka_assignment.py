"""Aggregators share partitions out through a consumer group, and hear only of those that came or went."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import anyio
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.machine import halt
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka.assignment import GroupAssignment, Membership
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.kafka.topics import TopicPlan, create
from meterhouse.domain.errors import LogUnavailable
from meterhouse.ports.log import Entry
from tests.servers.kafka import PATIENT, TestTopic

pytestmark = pytest.mark.anyio

PATIENCE = 60.0  # seconds; only a failing test waits that long
SESSION = timedelta(seconds=3)
ALL = frozenset(range(6))


@pytest.fixture
def topic(kafka_topic: TestTopic) -> TestTopic:
    """A topic with six partitions."""
    six = TestTopic(kafka_topic.servers, f"{kafka_topic.name}-six")
    asyncio.run(create(six.servers, six.name, TopicPlan(partitions=6, replicas=1, min_insync=1)))
    return six


@dataclass(slots=True)
class Member:
    """What one member was told, in order: +partition for one that came, -partition for one that went."""

    told: list[str] = field(default_factory=list)
    has: set[int] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def gained(self, partitions: frozenset[int]) -> None:
        assert not self.has & partitions
        self.has |= partitions
        self.told += [f"+{partition}" for partition in sorted(partitions)]
        self.changed.set()

    async def lost(self, partitions: frozenset[int]) -> None:
        assert self.has >= partitions
        self.has -= partitions
        self.told += [f"-{partition}" for partition in sorted(partitions)]
        self.changed.set()

    async def until(self, holds: Callable[[set[int]], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not holds(self.has):
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def joined(topic: TestTopic, member: Member) -> AsyncIterator[GroupAssignment]:
    membership = Membership(topic=topic.name, group=topic.name, session_timeout=SESSION)
    async with GroupAssignment.open(
        topic.servers, membership, gained=member.gained, lost=member.lost
    ) as assignment:
        yield assignment


async def test_members_share_and_hear_only_of_what_moves(topic: TestTopic) -> None:
    first, second = Member(), Member()
    async with joined(topic, first) as assignment:
        await first.until(lambda has: has == ALL)
        assert assignment.partitions == ALL
        async with joined(topic, second):
            await second.until(lambda has: len(has) == 3)
            await first.until(lambda has: len(has) == 3)
            assert first.has | second.has == ALL
            moved = sorted(second.has)
            assert first.told == [*(f"+{one}" for one in range(6)), *(f"-{one}" for one in moved)]
            assert second.told == [f"+{one}" for one in moved]
        await first.until(lambda has: has == ALL)
        assert first.told[-3:] == [f"+{one}" for one in moved]


async def test_a_member_that_hangs_loses_its_partitions_within_ten_seconds(topic: TestTopic) -> None:
    script = f"""
import asyncio
from datetime import timedelta
from meterhouse.adapters.kafka.assignment import GroupAssignment, Membership
from meterhouse.adapters.kafka.servers import KafkaServers

async def gained(partitions):
    print("gained", flush=True)

async def lost(partitions):
    print("lost", flush=True)

async def main():
    membership = Membership(topic={topic.name!r}, group={topic.name!r}, session_timeout=timedelta(seconds=3))
    servers = KafkaServers(bootstrap={topic.servers.bootstrap!r})
    async with GroupAssignment.open(servers, membership, gained=gained, lost=lost):
        await asyncio.sleep(3600)

asyncio.run(main())
"""
    async with await anyio.open_process([sys.executable, "-c", script]) as other:
        try:
            assert other.stdout is not None
            assert (await other.stdout.receive()).startswith(b"gained")
            member = Member()
            async with joined(topic, member):
                await member.until(lambda has: len(has) == 3)
                halt(other.pid)
                with anyio.fail_after(10):
                    await member.until(lambda has: has == ALL)
                other.send_signal(signal.SIGCONT)
                await member.until(lambda has: len(has) == 3)
        finally:
            other.kill()


async def test_progress_is_shown_to_lag_monitors_and_read_by_nobody_else(topic: TestTopic) -> None:
    member = Member()
    async with KafkaLog.open(topic.servers, topic.name, SystemClock(), PATIENT) as log:
        (position,) = await log.append([Entry(b"key", str(number).encode(), 0) for number in range(5)])
    async with joined(topic, member) as assignment:
        await member.until(lambda has: has == ALL)
        await assignment.report({position.partition: 4, 99: 1})
    admin = AIOKafkaAdminClient(bootstrap_servers=topic.servers.bootstrap)
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(topic.name)
    finally:
        await admin.close()
    shown = {one.partition: offset.offset for one, offset in committed.items() if offset.offset >= 0}
    assert shown == {position.partition: 4}


async def test_what_a_callback_raises_ends_the_membership(topic: TestTopic) -> None:
    async def refuse(_: frozenset[int]) -> None:
        raise RuntimeError("a bug")

    membership = Membership(topic=topic.name, group=topic.name, session_timeout=SESSION)
    with pytest.raises(RuntimeError, match="a bug"):
        async with GroupAssignment.open(topic.servers, membership, gained=refuse, lost=refuse):
            await asyncio.sleep(PATIENCE)


async def test_no_broker_at_all_is_said_at_once() -> None:
    membership = Membership(topic="any", group="any", session_timeout=SESSION)
    member = Member()
    with pytest.raises(LogUnavailable, match="cannot be joined"):
        async with GroupAssignment.open(
            KafkaServers(bootstrap="127.0.0.1:1"), membership, gained=member.gained, lost=member.lost
        ):
            pytest.fail("it was joined")
