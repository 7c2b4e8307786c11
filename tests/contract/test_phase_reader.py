"""The PhaseReader port: ClickHouse's answers against an independent recomputation from the same rows."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.phases import ClickHousePhases
from meterhouse.adapters.clickhouse.usage import UsageLimits
from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.instant import DAY, HOUR, MINUTE, Instant, parse
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.rollup import Latest, Reading, RollupState
from tests.metered import ODD, T0, Metered, definition, metered_events, store
from tests.phases import phase_readings

ALIGNED = (T0, T0 + HOUR, T0 + DAY, T0 + DAY + HOUR, T0 + 3 * DAY, T0 + 5 * DAY)
RAGGED = (
    T0 + 17, T0 + MINUTE, T0 + 2 * MINUTE + 1, T0 + 2 * MINUTE + 2, T0 + 2 * HOUR + 1, T0 + DAY - 1, T0 + DAY,
    T0 + DAY + 59 * MINUTE, T0 + 3 * DAY + 7 * HOUR + 3,
)  # fmt: skip


def state_of(events: Iterable[Metered]) -> RollupState:
    state = RollupState()
    for one in events:
        latest = Latest(one.time, one.received_at, 0, one.offset, one.value)
        state = state.merge(RollupState(1, one.value, one.value, one.value, latest, frozenset([one.unique])))
    return state


def is_of(question: PhasesQuestion, event: Metered) -> bool:
    if event.subject:
        return event.subject == question.subject
    return event.external == question.linked


def recomputed(question: PhasesQuestion, events: Iterable[Metered]) -> list[Reading]:
    """Every event looked at, phase by phase."""
    mine = [one for one in events if is_of(question, one)]
    states = [
        state_of(one for one in mine if start <= one.time < end) for start, end in pairwise(question.cuts)
    ]
    return list(phase_readings(states, question.cuts, question.resets))


def shown(aggregation: Aggregation, readings: Sequence[Reading]) -> list[object]:
    """What the aggregation shows of each phase. A count beside it is not needed of what is unique."""
    unique = aggregation is Aggregation.UNIQUE_COUNT
    return [one.unique if unique else (one.count, one.value(aggregation)) for one in readings]


def some_cuts(dice: random.Random) -> tuple[Instant, ...]:
    units = [1, MINUTE, HOUR, DAY]
    instants = {T0 + dice.randrange(5 * DAY) // unit * unit for unit in dice.choices(units, k=12)}
    return tuple(sorted(instants))


@pytest.mark.anyio
@pytest.mark.parametrize("aggregation", Aggregation)
async def test_phases_equal_a_recomputation_from_every_event(
    clickhouse: ClickHousePool, aggregation: Aggregation
) -> None:
    events, one = metered_events(seed=len(aggregation)), definition(aggregation)
    older, foreign = replace(one, version=2), replace(one, namespace="org_2")
    await store(clickhouse, [(one, events), (foreign, events), (older, events[:50])])
    dice = random.Random(aggregation)
    reader = ClickHousePhases(clickhouse, UsageLimits())
    for cuts in (ALIGNED, RAGGED, *[some_cuts(dice) for _ in range(10)]):
        for subject, linked in (("cus_1", None), ("cus_2", ODD), (ODD, "acme"), ("cus_9", "nobody")):
            resets = tuple(sorted(dice.sample(cuts, 3)))
            question = PhasesQuestion(
                definition=one, subject=subject, linked=linked, cuts=cuts, resets=resets
            )
            [found] = await reader.phases([question])
            assert shown(aggregation, found) == shown(aggregation, recomputed(question, events)), question


@pytest.mark.anyio
async def test_questions_of_many_subjects_and_metrics_do_not_mix(clickhouse: ClickHousePool) -> None:
    counted = [(definition(one), metered_events(seed=index)) for index, one in enumerate(Aggregation)]
    await store(clickhouse, counted)
    dice = random.Random(5)
    asked = []
    for _ in range(60):
        one, events = dice.choice(counted)
        cuts = some_cuts(dice)
        question = PhasesQuestion(
            definition=one,
            subject=dice.choice(["cus_1", "cus_2", ODD]),  # so that several ask for the same
            linked=dice.choice([None, "acme", ODD]),
            cuts=cuts,
            resets=tuple(sorted(dice.sample(cuts, 2))),
        )
        asked.append((question, events))
    found = await ClickHousePhases(clickhouse, UsageLimits()).phases([question for question, _ in asked])
    for (question, events), readings in zip(asked, found, strict=True):
        aggregation = question.definition.aggregation
        assert shown(aggregation, readings) == shown(aggregation, recomputed(question, events)), question


@pytest.mark.anyio
@pytest.mark.parametrize("aggregation", [Aggregation.SUM, Aggregation.UNIQUE_COUNT])
async def test_phases_without_events_or_without_length_are_empty(
    clickhouse: ClickHousePool, aggregation: Aggregation
) -> None:
    one = definition(aggregation)
    await store(clickhouse, [(one, metered_events(seed=3, size=40))])
    far = parse("2199-12-31T23:59:59Z")

    def asked(*cuts: Instant) -> PhasesQuestion:
        return PhasesQuestion(definition=one, subject="cus_1", linked=None, cuts=cuts)

    questions = [asked(), asked(T0), asked(0, T0 - DAY, T0), asked(T0 + 9 * DAY, far), asked(far, far + 1)]
    assert await ClickHousePhases(clickhouse, UsageLimits()).phases(questions) == [
        [], [], [Reading(), Reading()], [Reading()], [Reading()],
    ]  # fmt: skip
    assert await ClickHousePhases(clickhouse, UsageLimits()).phases([]) == []
