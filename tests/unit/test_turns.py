"""Merchants take turns: whoever asks too much waits, and then is told to; others notice nothing."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.errors import TooManyRequests
from meterhouse.domain.event_search import EventCount, EventLookup, EventSearch, EventStatistics
from meterhouse.domain.rollup import Reading
from meterhouse.domain.usage import (
    DimensionCount,
    EventPage,
    EventPageQuestion,
    StoredEvent,
    TextCount,
    TextsQuestion,
    Usage,
    UsageQuestion,
)
from meterhouse.domain.window import Window
from query.turns import FairReader, Turns

pytestmark = pytest.mark.anyio


class SlowReader:
    """Answers nothing until it is let go; remembers who is asking."""

    def __init__(self) -> None:
        self.asking: list[str] = []
        self.most = 0
        self.go = anyio.Event()

    async def usage(self, question: UsageQuestion) -> Usage:
        self.asking.append(question.definition.namespace)
        self.most = max(self.most, len(self.asking))
        await self.go.wait()
        self.asking.remove(question.definition.namespace)
        return Usage(Reading())

    async def usages(self, questions: Sequence[UsageQuestion]) -> Sequence[Usage]:
        return [await self.usage(question) for question in questions]

    async def texts(self, question: TextsQuestion) -> Sequence[TextCount]:
        raise NotImplementedError

    async def dimensions(self, definition: Definition, period: Window) -> Sequence[DimensionCount]:
        raise NotImplementedError

    async def events(self, question: EventPageQuestion) -> EventPage:
        raise NotImplementedError

    async def search(self, search: EventSearch) -> Sequence[StoredEvent]:
        raise NotImplementedError

    async def count(self, asked: EventStatistics) -> Sequence[EventCount]:
        raise NotImplementedError

    async def lookup(self, asked: EventLookup) -> Sequence[StoredEvent]:
        raise OSError(asked.namespace)


def question(merchant: str) -> UsageQuestion:
    definition = Definition(
        billable_metric_id="bm_1", version=1, namespace=merchant, aggregation=Aggregation.COUNT
    )
    return UsageQuestion(definition=definition, period=Window(0, 1))


async def test_one_merchant_leaves_room_for_another() -> None:
    slow = SlowReader()
    fair = FairReader(slow, Turns(at_once=2, max_waiting=3))
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(fair.usage, question("org_a"))
        await anyio.wait_all_tasks_blocked()
        assert slow.asking == ["org_a"] * 2
        with pytest.raises(TooManyRequests):
            await fair.usage(question("org_a"))
        tasks.start_soon(fair.usage, question("org_b"))
        await anyio.wait_all_tasks_blocked()
        assert slow.asking == ["org_a"] * 2 + ["org_b"]
        slow.go.set()
    assert (slow.asking, slow.most) == ([], 3)


async def test_turns_are_given_back_whatever_happens() -> None:
    slow = SlowReader()
    fair = FairReader(slow, Turns(at_once=1, max_waiting=0))
    for _ in range(3):
        with pytest.raises(OSError, match="org_a"):
            await fair.lookup(EventLookup(namespace="org_a", id="e", source=None))
    with anyio.move_on_after(0.01):
        await fair.usage(question("org_a"))
    slow.go.set()
    assert await fair.usage(question("org_a")) == Usage(Reading())
    assert not fair.turns._lines
