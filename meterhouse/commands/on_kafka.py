"""What `topics` and `deadletter` do. Loaded only by them, since Kafka's driver is an extra."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from heapq import nlargest
from typing import Final

import typer
from rich.console import Console

from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka import topics
from meterhouse.adapters.kafka.dead_letters import SUFFIX, DeadLetter
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.topics import TopicPlan
from meterhouse.domain.errors import NotFound, TooLarge
from meterhouse.domain.instant import render
from meterhouse.settings import KafkaSettings

_PREVIEW: Final = 80  # bytes of a dead letter


def create_topics(
    settings: KafkaSettings, *, partitions: int, replicas: int, min_insync: int, retention_days: int | None
) -> None:
    """Make what is missing. Raises LogUnavailable."""
    plan = TopicPlan(
        partitions=partitions,
        replicas=replicas,
        min_insync=min_insync,
        retention=None if retention_days is None else timedelta(days=retention_days),
    )
    made = asyncio.run(topics.create(settings.servers(), settings.topic, plan))
    for name in (settings.topic, settings.topic + SUFFIX):
        typer.echo(f"{name}: {'made' if name in made else 'was there already; see `topics describe`'}")


def describe_topics(settings: KafkaSettings, console: Console) -> bool:
    """Show the topics with their problems; whether there are none. Raises LogUnavailable."""
    described = asyncio.run(topics.describe(settings.servers(), settings.topic))
    for topic in described:
        console.print(f"{topic.name}: {topic.partitions} partitions, {topic.replicas} replicas", markup=False)
        for setting, value in topic.settings.items():
            console.print(f"  {setting} = {value}", markup=False)
        for problem in topic.problems:
            console.print(f"  PROBLEM: {problem}", style="red", markup=False)
    return not any(topic.problems for topic in described)


def list_dead_letters(settings: KafkaSettings, console: Console, limit: int) -> None:
    """Show the newest dead letters, oldest first. Raises LogUnavailable."""

    async def newest() -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        async with _log(settings) as log:
            async for letter in log.letters.all():
                letters.append(letter)
                if len(letters) == 2 * limit:
                    letters = _newest(letters, limit)
        return _newest(letters, limit)

    for letter in reversed(asyncio.run(newest())):
        requeued = f", requeued as {letter.requeued_as}" if letter.requeued_as else ""
        console.print(
            f"{letter.place}  {render(letter.set_aside_at)}  {letter.reason}{requeued}\n"
            f"    {letter.record.value[:_PREVIEW]!r}, {letter.size} bytes",
            markup=False,
            highlight=False,
        )


def requeue_dead_letters(settings: KafkaSettings, places: set[str]) -> None:
    """Send the named dead letters to the log, or with no names all that were not sent yet.

    Raises NotFound where there is no such dead letter, and TooLarge for those that cannot be sent, once the
    others are sent; LogUnavailable.
    """

    async def requeue() -> None:
        missing = set(places)
        refused: list[str] = []
        async with _log(settings) as log:
            async for letter in log.letters.all():
                if letter.place in places or not (places or letter.requeued_as):
                    missing.discard(letter.place)
                    try:
                        typer.echo(f"{letter.place} is requeued as {await log.requeue(letter)}")
                    except TooLarge as error:
                        refused.append(str(error))
        if missing:
            refused.append(f"no such dead letter: {', '.join(sorted(missing))}")
            raise NotFound("; ".join(refused))
        if refused:
            raise TooLarge("; ".join(refused))

    asyncio.run(requeue())


def _newest(letters: list[DeadLetter], limit: int) -> list[DeadLetter]:
    return nlargest(limit, letters, key=lambda letter: letter.set_aside_at)


def _log(settings: KafkaSettings) -> AbstractAsyncContextManager[KafkaLog]:
    return KafkaLog.open(settings.servers(), settings.topic, SystemClock(), settings.limits())
