"""Usage that is answered from what was read a moment ago is what reading it again would find."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Final

import anyio
import anyio.lowlevel
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.instant import LATEST, SECOND, Instant
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.rollup import Reading
from meterhouse.ports.usage import Changed
from query.entitlements import recent_phases
from query.entitlements.recent_phases import KEPT_OF_REPLICAS, RecentPhases

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
    """A PhaseReader, UsageNews, a Watermark and a Clock over events that are counted one by one, in two
    partitions by turns. Each is of a subject, or of an external one ("external e"). Whoever reads waits for
    the `gate`, and then says what was there before.
    """

    events: list[tuple[str, Instant]] = field(default_factory=list)
    time: Instant = 0
    asked: list[str] = field(default_factory=list)
    gate: anyio.Event | None = None

    async def phases(self, questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        self.asked += [one.subject for one in questions]
        answers = [self.read(one, len(self.events)) for one in questions]
        await self._wait()
        return answers

    def read(self, question: PhasesQuestion, counted: int) -> list[Reading]:
        mine = {question.subject, f"external {question.linked}"}
        times = [at for subject, at in self.events[:counted] if subject in mine]
        counts = [sum(start <= at < end for at in times) for start, end in pairwise(question.cuts)]
        return [Reading(count, Decimal(count)) if count else Reading() for count in counts]

    async def changed(
        self, partition: int, start: int, end: int, namespaces: Collection[str]
    ) -> Sequence[Changed]:
        found = [subject for subject, _ in self.events[partition::2][start:end]]
        await self._wait()
        return [_changed(subject) for subject in found if "org_a" in namespaces]

    async def counted(self) -> Mapping[int, int]:
        return {partition: len(self.events[partition::2]) for partition in range(2)}

    def now(self) -> Instant:
        return self.time

    def open(self) -> None:
        """Let everybody go on who waits, and wait again from now on."""
        if self.gate is not None:
            self.gate.set()
        self.gate = anyio.Event()

    async def _wait(self) -> None:
        if self.gate is not None:
            await self.gate.wait()


def _changed(subject: str) -> Changed:
    kind, _, name = subject.partition(" ")
    return Changed("org_a", "", name) if kind == "external" else Changed("org_a", subject, "")


def recent_of(store: Store) -> RecentPhases:
    return RecentPhases(store, store, store, store, KEPT_OF_REPLICAS)


def question(subject: str, at: Instant, cuts: Sequence[Instant] = (0, 10)) -> PhasesQuestion:
    bounds = sorted({0, at, *[cut for cut in cuts if cut < at]}) if at > 0 else []
    linked = "e" if subject == "linked" else None
    return PhasesQuestion(definition=_DEFINITION, subject=subject, linked=linked, cuts=tuple(bounds))


_SUBJECTS: Final = ("one", "other", "linked")
_TIMES: Final = st.integers(0, 30)
_STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.sampled_from([*_SUBJECTS, "external e"]), _TIMES),
        st.tuples(
            st.just("ask"), st.lists(st.tuples(st.sampled_from(_SUBJECTS), _TIMES), min_size=1, max_size=3)
        ),
        st.tuples(st.just("open")),
        st.tuples(st.just("pass"), st.integers(-SECOND, SECOND)),
    ),
    max_size=30,
)


async def _go_on() -> None:
    """Let everybody get to where they wait."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


@given(_STEPS)
def test_every_answer_is_what_the_reader_would_say_now(steps: Sequence[tuple[object, ...]]) -> None:
    store = Store()
    recent = recent_of(store)

    async def take() -> None:
        for step in steps:
            match step:
                case ("count", str(subject), int(at)):
                    store.events.append((subject, at))
                case ("pass", int(micros)):
                    store.time = max(0, store.time + micros)
                case ("ask", list(asked)):
                    questions = [question(*one) for one in asked]
                    counted = len(store.events)
                    assert await recent.phases(questions) == [store.read(one, counted) for one in questions]

    anyio.run(take)


# The first answer is there only when another has heard what it is without.
_OVERTAKEN: Final = (
    ("ask", [("one", 20)]),
    ("count", "one", 5),
    ("ask", [("other", 20)]),
    ("open",),
    ("ask", [("one", 20)]),
)


@given(_STEPS)
@example(_OVERTAKEN)
def test_an_answer_lacks_nothing_that_was_counted_before_it_was_asked_for(
    steps: Sequence[tuple[object, ...]],
) -> None:
    store = Store(gate=anyio.Event())
    recent = recent_of(store)

    async def ask(questions: Sequence[PhasesQuestion]) -> None:
        begun = len(store.events)
        answers = await recent.phases(questions)
        for one, answer in zip(questions, answers, strict=True):
            assert answer in [store.read(one, counted) for counted in range(begun, len(store.events) + 1)]

    async def take() -> None:
        async with anyio.create_task_group() as tasks:
            for step in steps:
                match step:
                    case ("count", str(subject), int(at)):
                        store.events.append((subject, at))
                    case ("ask", list(asked)):
                        tasks.start_soon(ask, [question(*one) for one in asked])
                    case ("open",):
                        store.open()
                await _go_on()
            assert store.gate is not None
            store.gate.set()  # for good

    anyio.run(take)


@pytest.mark.anyio
async def test_a_later_instant_is_not_read_again_while_nothing_more_is_counted() -> None:
    store = Store([("one", 3)])
    recent = recent_of(store)
    for at in range(20, 30):
        assert await recent.phases([question("one", at)]) == [[Reading(1, Decimal(1)), Reading()]]
    assert store.asked == ["one"]


@pytest.mark.anyio
async def test_only_those_are_read_again_of_whom_more_is_counted() -> None:
    store = Store([("one", 3)])
    recent = recent_of(store)
    everybody = [question(subject, 20) for subject in _SUBJECTS]
    await recent.phases(everybody)
    for subject, whose in (("one", "one"), ("external e", "linked"), ("linked", "linked")):
        store.events.append((subject, 4))
        store.asked.clear()
        assert await recent.phases(everybody) == [store.read(one, len(store.events)) for one in everybody]
        assert store.asked == [whose]


@pytest.mark.anyio
async def test_after_a_long_silence_it_is_not_asked_whose_all_the_events_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_phases, "_HEARD_AT_ONCE", 2)
    store = Store([("one", 3)])
    recent = recent_of(store)
    for more, asked in ((2, ["one"]), (3, ["one", "one"])):
        await recent.phases([question("one", 20)])
        store.events += [("other", 5)] * more
        await recent.phases([question("one", 20)])
        assert store.asked == asked


@pytest.mark.anyio
async def test_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_phases, "_AT_MOST", 2)
    store = Store([("one", 3)])
    recent = recent_of(store)
    for subject in (*_SUBJECTS, *reversed(_SUBJECTS)):
        await recent.phases([question(subject, 20)])
    assert store.asked == ["one", "other", "linked", "one"]


@pytest.mark.anyio
async def test_a_log_that_is_counted_anew_is_read_anew() -> None:
    store = Store([("one", 3), ("one", 4)])
    recent = recent_of(store)
    await recent.phases([question("one", 20)])
    del store.events[:]
    assert await recent.phases([question("one", 20)]) == [[Reading(), Reading()]]
    store.events.append(("one", 3))
    assert await recent.phases([question("one", 20)]) == [[Reading(1, Decimal(1)), Reading()]]


@pytest.mark.anyio
@pytest.mark.parametrize("waited", [SECOND, 2 * SECOND, -1])
async def test_after_a_second_or_with_the_clock_set_back_it_is_read_again(waited: Instant) -> None:
    store = Store([("one", 3)], time=5 * SECOND)
    recent = recent_of(store)
    await recent.phases([question("one", 20)])
    store.time += waited
    await recent.phases([question("one", 20)])
    assert store.asked == ["one", "one"]


@pytest.mark.anyio
async def test_what_is_counted_is_read_again_at_once() -> None:
    store = Store()
    recent = recent_of(store)
    assert await recent.phases([question("one", 20)]) == [[Reading(), Reading()]]
    store.events.append(("one", 15))
    assert await recent.phases([question("one", 20)]) == [[Reading(), Reading(1, Decimal(1))]]


@pytest.mark.anyio
async def test_an_event_of_a_time_that_is_still_to_come_is_not_passed_over() -> None:
    store = Store([("one", 25), ("one", LATEST - 1)])
    recent = recent_of(store)
    assert await recent.phases([question("one", 20)]) == [[Reading(), Reading()]]
    assert await recent.phases([question("one", 26)]) == [[Reading(), Reading(1, Decimal(1))]]
