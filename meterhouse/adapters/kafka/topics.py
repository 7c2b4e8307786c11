"""The topics of the log: making them as the guarantees need them, and saying where existing ones differ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from meterhouse.adapters.kafka.dead_letters import SUFFIX
from meterhouse.adapters.kafka.failures import KAFKA_ERRORS
from meterhouse.adapters.kafka.limits import DeliveryLimits
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.domain.errors import LogUnavailable

_SHORTEST_RETENTION: Final = timedelta(days=7)
# A record batch has a header; and a key and headers come with each event.
_MESSAGE_BYTES: Final = DeliveryLimits().batch_bytes + 4096
_TIMEOUT_MS: Final = 10_000
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPlan:
    """How new topics shall be. `retention` None keeps records for ever.

    An acknowledged event is on `min_insync` of `replicas` brokers: 2 of 3 survives the loss of one broker,
    and goes on accepting events meanwhile.
    """

    partitions: int = 12
    replicas: int = 3
    min_insync: int = 2
    retention: timedelta | None = None

    def settings(self) -> dict[str, str]:
        """The topic's configuration as Kafka names it."""
        kept = self.retention
        return {
            "min.insync.replicas": str(self.min_insync),
            "unclean.leader.election.enable": "false",
            "cleanup.policy": "delete",
            "retention.ms": "-1" if kept is None else str(kept // timedelta(milliseconds=1)),
            "retention.bytes": "-1",
            "message.timestamp.type": "CreateTime",
            "max.message.bytes": str(2 * _MESSAGE_BYTES),
            "compression.type": "producer",
        }


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """A topic as it is, with those of its settings that matter; without partitions it does not exist."""

    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]
    problems: Sequence[str]


async def create(servers: KafkaServers, topic: str, plan: TopicPlan) -> Sequence[str]:
    """Make the log's topic and that of its dead letters; the names of those that were not there already.

    Returns when the brokers serve them. Existing ones stay as they are: `describe` says whether that is well.
    Raises LogUnavailable.
    """
    new = [
        NewTopic(name, plan.partitions, plan.replicas, topic_configs=plan.settings())
        for name in (topic, topic + SUFFIX)
    ]
    async with administering(servers) as admin:
        response = await admin.create_topics(new)
        made: list[str] = []
        for name, code, message, *_ in response.topic_errors:
            if code == 0:
                made.append(name)
            elif code != TopicAlreadyExistsError.errno:
                reason = message or for_code(code).__name__
                raise LogUnavailable(f"Kafka did not make the topic {name}: {reason}")
        async with asyncio.timeout(_TIMEOUT_MS / 1000):
            # Kafka tells nobody when a topic is ready; one has to ask.
            while not all(map(_is_served, await admin.describe_topics(made) if made else ())):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
    return made


async def describe(servers: KafkaServers, topic: str) -> Sequence[TopicDescription]:
    """The log's topic and that of its dead letters, each with what is wrong and what to do about it.

    Raises LogUnavailable.
    """
    names = [topic, topic + SUFFIX]
    async with administering(servers) as admin:
        found = {one["topic"]: one for one in await admin.describe_topics(names)}
        there = [name for name in names if found[name]["error_code"] == 0]
        for name in names:
            if found[name]["error_code"] not in (0, UnknownTopicOrPartitionError.errno):
                raise LogUnavailable(
                    f"Kafka does not describe {name}: {for_code(found[name]['error_code']).__name__}"
                )
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
        settings = _settings(await admin.describe_configs(resources)) if there else {}
    return [
        _description(name, found[name]["partitions"], settings[name]) if name in there else _absent(name)
        for name in names
    ]


def _is_served(topic: Mapping[str, Any]) -> bool:
    leaders = [partition["leader"] for partition in topic["partitions"]]
    return topic["error_code"] == 0 and bool(leaders) and min(leaders) >= 0


def _absent(name: str) -> TopicDescription:
    return TopicDescription(name, 0, 0, {}, ["does not exist. Make it with `meterhouse topics create`."])


def _description(
    name: str, partitions: Sequence[Mapping[str, Any]], settings: Mapping[str, str]
) -> TopicDescription:
    replicas = min(len(partition["replicas"]) for partition in partitions)
    problems = [
        f"{setting} is {settings[setting]}: {why}. Set it with `kafka-configs.sh --alter --entity-type "
        f"topics --entity-name {name} --add-config {setting}={remedy}`."
        for setting, (is_well, why, remedy) in _rules(replicas).items()
        if not is_well(settings[setting])
    ]
    if replicas < 2:
        problems.insert(
            0,
            "has one replica: losing one broker loses acknowledged events. Raise it to 3 with "
            "`kafka-reassign-partitions.sh`.",
        )
    offline = [partition["partition"] for partition in partitions if partition["leader"] < 0]
    if offline:
        problems.insert(0, f"has no leader for its partitions {offline}: start the brokers that hold them.")
    shown = {setting: settings[setting] for setting in _rules(replicas)}
    return TopicDescription(name, len(partitions), replicas, shown, problems)


_Rule = tuple[Callable[[str], bool], str, str]


def _rules(replicas: int) -> Mapping[str, _Rule]:
    """For each setting: whether a value is well, what is wrong otherwise, and a value that is well."""
    enough = max(1, replicas - 1)
    shortest = str(_SHORTEST_RETENTION // timedelta(milliseconds=1))
    return {
        "min.insync.replicas": (
            lambda value: int(value) >= min(2, replicas) and int(value) <= enough,
            "an acknowledged event shall be on two brokers, and losing one shall not stop ingest",
            str(enough),
        ),
        "unclean.leader.election.enable": (
            lambda value: value == "false",
            "a broker that lacks acknowledged events could become the leader, and they would be lost",
            "false",
        ),
        "cleanup.policy": (
            lambda value: value == "delete",
            "compaction deletes records from the middle, and offsets without records stop the aggregator",
            "delete",
        ),
        "retention.ms": (
            lambda value: int(value) == -1 or int(value) >= int(shortest),
            "an aggregator that was down for longer finds its records deleted",
            "-1",
        ),
        "retention.bytes": (
            lambda value: int(value) == -1,
            "a burst could delete records before they are counted",
            "-1",
        ),
        "message.timestamp.type": (
            lambda value: value == "CreateTime",
            "the time an event was received would be replaced by the broker's",
            "CreateTime",
        ),
        "max.message.bytes": (
            lambda value: int(value) >= _MESSAGE_BYTES,
            "record batches of ingest would be refused",
            str(2 * _MESSAGE_BYTES),
        ),
        "compression.type": (
            lambda value: value == "producer",
            "brokers would pack every record batch anew",
            "producer",
        ),
    }


def _settings(responses: Sequence[Any]) -> dict[str, dict[str, str]]:
    """Topic → setting → value."""
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for response in responses
        for _, _, _, name, entries in response.resources
    }


@asynccontextmanager
async def administering(servers: KafkaServers) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that asks about topics and groups. Raises LogUnavailable, also for what fails within."""
    admin = AIOKafkaAdminClient(**servers.client_arguments(), request_timeout_ms=_TIMEOUT_MS)
    try:
        await admin.start()
        yield admin
    except KAFKA_ERRORS as error:
        raise LogUnavailable(f"Kafka at {servers.bootstrap} does not answer: {error!r}") from error
    finally:
        await admin.close()
