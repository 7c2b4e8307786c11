"""Which partitions an aggregator shall work on, agreed among all of them through a consumer group.

The group only shares the work out. Where to go on from and who may write is the catalog's, by claims and
epochs; so two aggregators that both believe a partition is theirs cannot count it twice, and a rebalance
need not stop anybody.

aiokafka has no cooperative rebalancing: it speaks the classic group protocol, eagerly, where at every change
all members give back all partitions before they hear which are theirs again. Its sticky assignor at least
sees to it that they are mostly the same ones. So this does on its own side what cooperative rebalancing is
for: it takes the giving back for the formality it is, and tells of a partition only when it really came or
went.

Offsets committed to the group show lag monitors how far we are. Nothing here reads them.
"""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import IllegalOperation
from aiokafka.structs import TopicPartition

from meterhouse.adapters.kafka.failures import KAFKA_ERRORS
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.kafka.topics import administering
from meterhouse.domain.errors import LogUnavailable

_NEVER_MS: Final = 2**31 - 1
_REBALANCE_MS: Final = 5_000  # how much longer than a session the answer to joining may take
_LOOK_SECONDS: Final = 0.5
_HEARTBEATS_A_SESSION: Final = 4

_log = structlog.get_logger("kafka")

Callback = Callable[[frozenset[int]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Of which group, for which topic; others get a member's partitions once it is silent for that long."""

    topic: str
    group: str
    session_timeout: timedelta


class GroupAssignment:
    """This process as a member of the group. Open it with `open`."""

    def __init__(self, consumer: AIOKafkaConsumer, membership: Membership) -> None:
        self._consumer = consumer
        self._topic = membership.topic
        self._assigned: frozenset[int] = frozenset()
        self._changed = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, servers: KafkaServers, membership: Membership, *, gained: Callback, lost: Callback
    ) -> AsyncIterator[GroupAssignment]:
        """Join the group, and leave it on leaving, so that others need not wait for the session to time out.

        `lost` and `gained` are awaited in this order, one at a time, with the partitions that went and came;
        the group does not wait for them. What they raise ends the membership. Raises LogUnavailable.
        """
        consumer = _consumer(servers, membership)
        assignment = cls(consumer, membership)
        consumer.subscribe([membership.topic], listener=_Listener(consumer, assignment))
        try:
            try:
                await consumer.start()
            except KAFKA_ERRORS as error:
                raise LogUnavailable(f"the group {membership.group} cannot be joined: {error!r}") from error
            async with TaskGroup() as tasks:
                background = (assignment._tell(gained, lost), assignment._look_after())
                running = [tasks.create_task(one) for one in background]
                try:
                    yield assignment
                finally:
                    for task in running:
                        task.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            await consumer.stop()

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are ours as far as the group told us."""
        return self._assigned

    async def report(self, counted: Mapping[int, int]) -> None:
        """Show lag monitors how far our partitions are counted: partition → next offset.

        Of no consequence for counting, so a failure is logged and no more.
        """
        offsets = {
            TopicPartition(self._topic, partition): offset
            for partition, offset in counted.items()
            if partition in self._assigned
        }
        try:
            if offsets:
                await self._consumer.commit(offsets)
        except (*KAFKA_ERRORS, IllegalOperation) as error:
            _log.info("progress not shown to lag monitors", error=repr(error))

    def set(self, partitions: frozenset[int]) -> None:
        """Take note of what the group assigned."""
        self._assigned = partitions
        self._changed.set()

    async def _tell(self, gained: Callback, lost: Callback) -> None:
        told: frozenset[int] = frozenset()
        while True:
            await self._changed.wait()
            self._changed.clear()
            now = self._assigned
            if went := told - now:
                await lost(went)
            if came := now - told:
                await gained(came)
            told = now

    async def _look_after(self) -> None:
        """aiokafka stops taking part after an error until somebody asks for records, and so hears of it."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self._consumer.getmany(timeout_ms=0)
            except KAFKA_ERRORS as error:
                _log.warning("group membership", error=repr(error))


async def members(servers: KafkaServers, group: str) -> int:
    """How many belong to the group; a dead one does until its session times out. Raises LogUnavailable."""
    async with administering(servers) as admin:
        [response] = await admin.describe_consumer_groups([group])
        [(_, _, _, _, _, found, *_)] = response.groups
        return len(found)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """What aiokafka calls in the middle of a rebalance, which must not be held up."""

    def __init__(self, consumer: AIOKafkaConsumer, assignment: GroupAssignment) -> None:
        self._consumer = consumer
        self._assignment = assignment

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """A formality of eager rebalancing: which of them are really lost, the next assignment shows."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.pause(*assigned)  # records are read elsewhere
        self._assignment.set(frozenset(one.partition for one in assigned))


def _consumer(servers: KafkaServers, membership: Membership) -> AIOKafkaConsumer:
    session = membership.session_timeout // timedelta(milliseconds=1)
    return AIOKafkaConsumer(
        **servers.client_arguments(),
        group_id=membership.group,
        # A class of one's own, since aiokafka's assignor keeps what a member had on the class.
        partition_assignment_strategy=[type("Sticky", (StickyPartitionAssignor,), {})],
        session_timeout_ms=session,
        heartbeat_interval_ms=session // _HEARTBEATS_A_SESSION,
        max_poll_interval_ms=_NEVER_MS,  # being alive is the heartbeat's business
        enable_auto_commit=False,
        request_timeout_ms=session + _REBALANCE_MS,
    )
