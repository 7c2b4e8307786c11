"""When a delivery is tried again, and when it is given up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from meterhouse.domain.delivery_schedule import JITTER, LONGEST_ASKED, WAITS, attempted
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND
from meterhouse.domain.webhook import Answer, Answered, Attempt, DeliveryState, Unanswered

NOW = 1_777_636_800_000_000


def after(answer: Answer, before: int = 0, jitter: int = 0) -> Attempt:
    return attempted(answer, at=NOW, before=before, jitter=jitter)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_a_success(status: int) -> None:
    attempt = after(Answered(status), before=len(WAITS))
    assert (attempt.state, attempt.next_at) == (DeliveryState.DELIVERED, None)


@pytest.mark.parametrize("answer", [Answered(302), Answered(404), Answered(500), Unanswered("no")])
def test_anything_else_is_tried_again(answer: Answer) -> None:
    attempt = after(answer)
    assert (attempt.state, attempt.next_at) == (DeliveryState.PENDING, NOW + 5 * SECOND)


def test_a_receiver_that_is_gone_is_not_asked_again() -> None:
    attempt = after(Answered(410))
    assert (attempt.state, attempt.next_at, attempt.gone) == (DeliveryState.DEAD, None, True)


def test_the_attempts_of_a_day_and_some_hours_are_the_last() -> None:
    total = 0
    for before, wait in enumerate(WAITS):
        attempt = after(Answered(500), before)
        assert attempt.next_at == NOW + wait
        total += wait
    assert after(Answered(500), len(WAITS)).state is DeliveryState.DEAD
    assert DAY < total < DAY + 4 * HOUR
    assert all(one <= other for one, other in pairwise(WAITS))


def test_jitter_only_adds() -> None:
    attempt = after(Answered(500), before=1, jitter=JITTER)
    assert attempt.next_at == NOW + 5 * MINUTE + MINUTE


def test_a_receiver_may_ask_for_more_time_but_not_for_less_or_ever() -> None:
    assert after(Answered(429, NOW + 90 * SECOND)).next_at == NOW + 90 * SECOND
    assert after(Answered(503, NOW + 1), before=2).next_at == NOW + 30 * MINUTE
    assert after(Answered(503, NOW + 99 * DAY)).next_at == NOW + LONGEST_ASKED
    assert after(Answered(503, NOW + 90), before=len(WAITS)).state is DeliveryState.DEAD
