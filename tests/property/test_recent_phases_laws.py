"""Usage that is answered from what was read a moment ago is what reading it again would find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Final

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.instant import LATEST, SECOND, Instant
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.rollup import Reading
from query.recent_phases import RecentPhases

_DEFINITION: Final = Definition(
    billable_metric_id="bm_1",
    version=1,
    namespace="org_a",
    aggregation=Aggregation.COUNT,
    event_type="used",
    value_path=None,
    dimensions=(),
    event_from=None,
)


@dataclass
class Store:
    """A PhaseReader, a Watermark and a Clock over events of subjects that are counted one by one."""

    events: list[tuple[str, Instant]] = field(default_factory=list)
    time: Instant = 0
    asked: int = 0

    async def phases(self, questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        self.asked += len(questions)
        return [self.read(one) for one in questions]

    def read(self, question: PhasesQuestion) -> list[Reading]:
        times = [at for subject, at in self.events if subject == question.subject]
        counts = [sum(start <= at < end for at in times) for start, end in pairwise(question.cuts)]
        return [Reading(count, Decimal(count)) if count else Reading() for count in counts]

    async def counted(self) -> Mapping[int, int]:
        return {0: len(self.events)}

    def now(self) -> Instant:
        return self.time


def question(subject: str, at: Instant, cuts: Sequence[Instant] = (0, 10)) -> PhasesQuestion:
    bounds = sorted({0, at, *[cut for cut in cuts if cut < at]}) if at > 0 else []
    return PhasesQuestion(definition=_DEFINITION, subject=subject, linked=None, cuts=tuple(bounds))


_SUBJECTS: Final = st.sampled_from(["one", "other"])
_TIMES: Final = st.integers(0, 30)
_STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("count"), _SUBJECTS, _TIMES),
        st.tuples(st.just("ask"), st.lists(st.tuples(_SUBJECTS, _TIMES), min_size=1, max_size=3)),
        st.tuples(st.just("pass"), st.integers(-SECOND, SECOND)),
    ),
    max_size=30,
)


@given(_STEPS)
def test_every_answer_is_what_the_reader_would_say_now(steps: Sequence[tuple[object, ...]]) -> None:
    store = Store()
    recent = RecentPhases(store, store, store)

    async def take(step: tuple[object, ...]) -> None:
        match step:
            case ("count", str(subject), int(at)):
                store.events.append((subject, at))
            case ("pass", int(micros)):
                store.time = max(0, store.time + micros)
            case ("ask", list(asked)):
                questions = [question(*one) for one in asked]
                assert await recent.phases(questions) == [store.read(one) for one in questions]

    async def all_of_them() -> None:
        for step in steps:
            await take(step)

    anyio.run(all_of_them)


@pytest.mark.anyio
async def test_a_later_instant_is_not_read_again_while_nothing_more_is_counted() -> None:
    store = Store([("one", 3)])
    recent = RecentPhases(store, store, store)
    for at in range(20, 30):
        assert await recent.phases([question("one", at)]) == [[Reading(1, Decimal(1)), Reading()]]
    assert store.asked == 1


@pytest.mark.anyio
@pytest.mark.parametrize("waited", [SECOND, 2 * SECOND, -1])
async def test_after_a_second_or_with_the_clock_set_back_it_is_read_again(waited: Instant) -> None:
    store = Store([("one", 3)], time=5 * SECOND)
    recent = RecentPhases(store, store, store)
    await recent.phases([question("one", 20)])
    store.time += waited
    await recent.phases([question("one", 20)])
    assert store.asked == 2


@pytest.mark.anyio
async def test_what_is_counted_is_read_again_at_once() -> None:
    store = Store()
    recent = RecentPhases(store, store, store)
    assert await recent.phases([question("one", 20)]) == [[Reading(), Reading()]]
    store.events.append(("one", 15))
    assert await recent.phases([question("one", 20)]) == [[Reading(), Reading(1, Decimal(1))]]


@pytest.mark.anyio
async def test_an_event_of_a_time_that_is_still_to_come_is_not_passed_over() -> None:
    store = Store([("one", 25), ("one", LATEST - 1)])
    recent = RecentPhases(store, store, store)
    assert await recent.phases([question("one", 20)]) == [[Reading(), Reading()]]
    assert await recent.phases([question("one", 26)]) == [[Reading(), Reading(1, Decimal(1))]]
