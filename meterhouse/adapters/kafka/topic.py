"""One topic, bound to its id: a topic of the same name that was made anew is noticed, never read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Protocol, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    LeaderNotAvailableError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Request, Response

from meterhouse.adapters.kafka.failures import KAFKA_ERRORS
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.kafka.wire import TopicMetadata, TopicMetadataRequest, render_id
from meterhouse.domain.errors import LogBroken, LogUnavailable

A = TypeVar("A", bound="Answer")

_RETRY_SECONDS: Final = 0.05
_ANSWERS: Final = (0, OffsetOutOfRangeError.errno)

# Kafka answers the requests of one connection one after the other. Those that wait have lines of their own.
MAIN_LINE: Final = "main"


class Answer(Protocol):
    """What an answer is made of, beside the rest: Kafka's error code, 0 for none."""

    @property
    def error_code(self) -> int: ...


class Topic:
    """A topic that exists, and who leads its partitions. Open it with `open`."""

    def __init__(self, client: AIOKafkaClient, name: str, found: TopicMetadata, timeout: timedelta) -> None:
        self.name = name
        self.id = found.topic_id
        self._client = client
        self._timeout = timeout
        self._leaders = found.leaders

    @classmethod
    @asynccontextmanager
    async def open(cls, servers: KafkaServers, name: str, *, timeout: timedelta) -> AsyncIterator[Topic]:
        """The topic of that name; `timeout` bounds every request. Raises LogUnavailable."""
        client = AIOKafkaClient(
            **servers.client_arguments(), request_timeout_ms=round(timeout.total_seconds() * 1000)
        )
        try:
            try:
                await client.bootstrap()
            except KAFKA_ERRORS as error:
                raise LogUnavailable(f"Kafka at {servers.bootstrap} does not answer: {error}") from error
            found = await _metadata(client, name)
            if found.error_code:
                raise LogUnavailable(_missing(name, found.error_code))
            yield cls(client, name, found, timeout)
        finally:
            await client.close()

    @property
    def rendered_id(self) -> str:
        """The topic's UUID as Kafka's own tools print it: 22 characters."""
        return render_id(self.id)

    async def partitions(self) -> Sequence[int]:
        """The partitions that the topic has by now, ascending. Raises LogUnavailable or LogBroken."""
        await self.refresh()
        return sorted(self._leaders)

    async def ask(
        self, partition: int, request: Request, answer: Callable[[Response], A], line: Hashable = MAIN_LINE
    ) -> A:
        """What the partition's leader answers over the connection `line`, success or OFFSET_OUT_OF_RANGE.

        Anything else may be a leader that has just changed, so it asks again until the topic's timeout has
        passed, looking each time who leads by now. Raises LogUnavailable, or LogBroken as `refresh` does.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout.total_seconds()
        while True:
            try:
                found = answer(await self._client.send(self._leader(partition), request, group=line))
                if found.error_code in _ANSWERS:
                    return found
                failure: Exception = for_code(found.error_code)()
            except KAFKA_ERRORS as error:
                failure = error
            if loop.time() >= deadline:
                message = f"Kafka did not answer for partition {partition} of {self.name}: {failure!r}"
                raise LogUnavailable(message) from failure
            await asyncio.sleep(_RETRY_SECONDS)
            await self.refresh()

    def _leader(self, partition: int) -> int:
        leader = self._leaders.get(partition, -1)
        if leader < 0:
            raise LeaderNotAvailableError
        return leader

    async def refresh(self) -> None:
        """Learn the leaders anew. Raises LogUnavailable, or LogBroken where the topic is another one now."""
        found = await _metadata(self._client, self.name)
        if found.error_code == UnknownTopicOrPartitionError.errno:
            raise LogBroken(
                f"the topic {self.name} (id {self.rendered_id}) was deleted. Nothing was skipped. "
                "`meterhouse check` shows what was counted of it."
            )
        if found.error_code:
            raise LogUnavailable(_missing(self.name, found.error_code))
        if found.topic_id != self.id:
            raise LogBroken(
                f"the topic {self.name} was deleted and made anew: its id was {self.rendered_id} and is "
                f"{render_id(found.topic_id)}. Nothing of the new topic was read. "
                "`meterhouse check` shows what was counted of the old one."
            )
        self._leaders = found.leaders


async def _metadata(client: AIOKafkaClient, name: str) -> TopicMetadata:
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    random.shuffle(nodes)
    failure: Exception | None = None
    for node in nodes:
        try:
            response = await client.send(node, TopicMetadataRequest(name), group=MAIN_LINE)
        except KAFKA_ERRORS as error:
            failure = error
        except NotImplementedError as error:
            raise LogUnavailable("this Kafka is older than 3.1, which meterhouse needs") from error
        else:
            return TopicMetadataRequest.answer(response)
    raise LogUnavailable(f"no Kafka broker said who leads {name}: {failure!r}") from failure


def _missing(name: str, error_code: int) -> str:
    if error_code == UnknownTopicOrPartitionError.errno:
        return f"the topic {name} does not exist: make it with `meterhouse topics create`"
    return f"Kafka does not give access to the topic {name}: {for_code(error_code).__name__}"
