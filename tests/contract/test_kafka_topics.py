"""`topics create` makes what the guarantees need; `topics describe` finds each setting that breaks one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner, Result

from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka.dead_letters import SUFFIX
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.topics import TopicPlan, create, describe
from meterhouse.cli import app
from meterhouse.domain.errors import LogUnavailable, NotFound
from meterhouse.ports.log import LogRecord
from tests.servers.kafka import PATIENT, TestTopic

ALONE = TopicPlan(partitions=3, replicas=1, min_insync=1)
PATIENCE = 60.0  # seconds; only a failing test waits that long


async def set_wrong(topic: TestTopic, setting: str, value: str) -> None:
    """Change one setting of an existing topic; the others go back to what brokers have."""
    client = AIOKafkaAdminClient(bootstrap_servers=topic.servers.bootstrap)
    await client.start()
    try:
        settings = {**ALONE.settings(), setting: value}
        (response,) = await client.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic.name, settings)]
        )
        assert [code for code, *_ in response.resources] == [0]
    finally:
        await client.close()


def problems(topic: TestTopic) -> list[str]:
    """What is wrong with the main topic, but for the one thing that a single broker cannot do better."""
    (main, _) = asyncio.run(describe(topic.servers, topic.name))
    assert "has one replica" in main.problems[0]
    return list(main.problems[1:])


def test_new_topics_have_nothing_wrong(kafka_topic: TestTopic) -> None:
    main, dead = asyncio.run(describe(kafka_topic.servers, kafka_topic.name))
    assert (main.name, dead.name) == (kafka_topic.name, kafka_topic.name + SUFFIX)
    assert (main.partitions, main.replicas, dead.partitions) == (3, 1, 3)
    assert main.settings == ALONE.settings() == dead.settings
    assert problems(kafka_topic) == []


def test_topics_that_are_there_stay_as_they_are(kafka_topic: TestTopic) -> None:
    again = TopicPlan(partitions=7, replicas=1, min_insync=1)
    assert asyncio.run(create(kafka_topic.servers, kafka_topic.name, again)) == []
    assert asyncio.run(describe(kafka_topic.servers, kafka_topic.name))[0].partitions == 3


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("min.insync.replicas", "2", "losing one shall not stop ingest"),
        ("unclean.leader.election.enable", "true", "lacks acknowledged events"),
        ("cleanup.policy", "compact", "compaction deletes records from the middle"),
        ("cleanup.policy", "compact,delete", "compaction deletes records from the middle"),
        ("retention.ms", "86400000", "finds its records deleted"),
        ("retention.bytes", "1000000000", "before they are counted"),
        ("message.timestamp.type", "LogAppendTime", "replaced by the broker's"),
        ("max.message.bytes", "100000", "would be refused"),
        ("compression.type", "gzip", "anew"),
    ],
)
def test_each_wrong_setting_is_found_and_says_what_to_do(
    kafka_topic: TestTopic, setting: str, value: str, words: str
) -> None:
    asyncio.run(set_wrong(kafka_topic, setting, value))
    (problem,) = eventually_some_problems(kafka_topic)
    assert problem.startswith(f"{setting} is {value}: ")
    assert words in problem
    assert f"--entity-name {kafka_topic.name} --add-config {setting}=" in problem


def eventually_some_problems(topic: TestTopic) -> list[str]:
    """Brokers learn of a change a moment after it was accepted."""

    async def found() -> list[str]:
        async with asyncio.timeout(PATIENCE):
            while True:
                (main, _) = await describe(topic.servers, topic.name)
                if len(main.problems) > 1:
                    return list(main.problems[1:])
                await asyncio.sleep(0.05)

    return asyncio.run(found())


def test_a_long_retention_is_well(kafka_topic: TestTopic) -> None:
    asyncio.run(set_wrong(kafka_topic, "retention.ms", str(30 * 86_400_000)))
    assert problems(kafka_topic) == []


def test_missing_topics_are_described_as_missing(kafka: str, kafka_topic: TestTopic) -> None:
    main, dead = asyncio.run(describe(kafka_topic.servers, "nowhere"))
    assert (main.name, main.partitions) == ("nowhere", 0)
    assert main.problems == dead.problems == ["does not exist. Make it with `meterhouse topics create`."]


def test_what_kafka_refuses_is_said_in_its_words(kafka_topic: TestTopic) -> None:
    plan = TopicPlan(partitions=1, replicas=50, min_insync=1)
    with pytest.raises(LogUnavailable, match="replication factor"):
        asyncio.run(create(kafka_topic.servers, "too-many-replicas", plan))


# --- the commands ---


def environment(topic: TestTopic) -> dict[str, str | None]:
    return {
        "METERHOUSE_KAFKA": topic.servers.bootstrap,
        "METERHOUSE_KAFKA_TOPIC": topic.name,
        "METERHOUSE_KAFKA_DELIVERY_TIMEOUT": "PT30S",
    }


def run(topic: TestTopic, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environment(topic))


def test_the_commands_make_and_describe_topics(kafka_topic: TestTopic) -> None:
    topic = TestTopic(kafka_topic.servers, kafka_topic.name + "-by-command")
    missing = run(topic, "topics", "describe")
    assert missing.exit_code == 1
    assert "does not exist. Make it with `meterhouse topics create`" in missing.stdout
    made = run(topic, "topics", "create", "--partitions", "2", "--replicas", "1", "--min-insync", "1")
    assert made.stdout.splitlines() == [f"{topic.name}: made", f"{topic.name}{SUFFIX}: made"]
    described = run(topic, "topics", "describe")
    assert described.exit_code == 1  # one replica is a problem
    assert f"{topic.name}: 2 partitions, 1 replicas" in described.stdout
    assert "cleanup.policy = delete" in described.stdout


def test_the_commands_list_and_requeue_dead_letters(kafka_topic: TestTopic) -> None:
    async def put() -> None:
        async with KafkaLog.open(kafka_topic.servers, kafka_topic.name, SystemClock(), PATIENT) as log:
            await log.put(1, LogRecord(4, 5_000, b"[bold]not JSON"), "is not JSON")
            await log.put(2, LogRecord(8, 5_000, b"nor this"), "nor this")

    asyncio.run(put())
    listed = run(kafka_topic, "deadletter", "list")
    assert "1:4" in listed.stdout
    assert "is not JSON" in listed.stdout
    assert "b'[bold]not JSON', 14 bytes" in listed.stdout
    requeued = run(kafka_topic, "deadletter", "requeue", "1:4")
    assert requeued.stdout.startswith("1:4 is requeued as ")
    assert "requeued as" in run(kafka_topic, "deadletter", "list").stdout
    assert run(kafka_topic, "deadletter", "requeue", "--all").stdout.startswith("2:8 is requeued as ")
    unknown = run(kafka_topic, "deadletter", "requeue", "0:0")
    assert isinstance(unknown.exception, NotFound)
    assert str(unknown.exception) == "no such dead letter: 0:0"
    assert "name dead letters as partition:offset, or give --all" in run(
        kafka_topic, "deadletter", "requeue"
    ).output.replace("\n", " ")


def test_a_missing_broker_is_one_sentence(kafka_topic: TestTopic) -> None:
    described = subprocess.run(
        [sys.executable, "-m", "meterhouse", "topics", "describe"],
        env={**os.environ, "METERHOUSE_KAFKA": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert described.returncode == 1
    assert "meterhouse: Kafka at 127.0.0.1:1 does not answer" in described.stderr
    assert "Traceback" not in described.stderr
