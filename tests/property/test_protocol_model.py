"""Every world that the protocol can reach, in small; and every rule of it, by what breaks without it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from aggregator import protocol
from aggregator.protocol import Attempt, Confirm, Insert, decide
from tests.property.protocol_model import RULES, Rules, Violation, explore

FOREVER: Final = 99.0


def without_confirmation(attempt: Attempt, *, landed: bool, asked_at: float) -> Attempt:
    seen = protocol.after_look(attempt, landed=landed, asked_at=asked_at)
    asks = decide(seen, asked_at, RULES) == Confirm()
    return protocol.after_confirm(seen, asked_at=FOREVER) if asks else seen


def believed(attempt: Attempt) -> Attempt:
    return protocol.after_insert(attempt._replace(sure=True))


def sent_again(attempt: Attempt) -> Attempt:
    return attempt


MUTANTS: Final = {
    "an old range is not let settle": Rules(times=replace(RULES, young_age=FOREVER)),
    "nothing is confirmed": Rules(after_look=without_confirmation),
    "a look never ages": Rules(times=replace(RULES, look_age=FOREVER)),
    "tokens alone are trusted": Rules(marks=False),
    "nobody waits": Rules(times=replace(RULES, settle=0.0)),
    "a success is not verified": Rules(after_insert=believed),
    "there is no look after an error": Rules(after_error=sent_again),
}


def test_no_world_counts_a_record_twice_or_gives_one_up() -> None:
    assert explore(Rules(), ticks=8, claims=2, faults=1) > 1_000_000


def test_two_workers_never_plan_ranges_that_overlap() -> None:
    assert explore(Rules(), ticks=3, claims=2, faults=0, records=2) > 10_000


@pytest.mark.parametrize("rules", MUTANTS.values(), ids=MUTANTS.keys())
def test_without_any_one_rule_there_is_a_world_that_does(rules: Rules) -> None:
    with pytest.raises(Violation):
        explore(rules, ticks=8, claims=2, faults=1)


def test_without_fencing_ranges_overlap() -> None:
    with pytest.raises(Violation):
        explore(Rules(fencing=False), ticks=3, claims=2, faults=0, records=2)


def test_a_confirmation_is_asked_for_again_when_it_is_old() -> None:
    absent = protocol.after_look(protocol.REPLAYED, landed=False, asked_at=0.0)
    confirmed = protocol.after_confirm(absent, asked_at=1.0)
    times = replace(RULES, confirm_age=1.0)
    assert decide(confirmed, 2.0, times) == Insert("")
    assert decide(confirmed, 2.1, times) == Confirm()
