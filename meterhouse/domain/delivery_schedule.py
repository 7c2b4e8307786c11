"""When a delivery is tried again, and when it is given up (standardwebhooks.com, "Deliverability")."""

from __future__ import annotations

from typing import Final

from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from meterhouse.domain.webhook import Answer, Answered, Attempt, DeliveryState

# Between an attempt that failed and the next: eight attempts in 27 to 33 hours.
WAITS: Final = (5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR)
LONGEST_ASKED: Final = DAY  # a receiver that asks for more is tried again after that
JITTER: Final = 200  # thousandths of a wait that are added at most

_GONE: Final = 410


def attempted(answer: Answer, *, at: Instant, before: int, jitter: int) -> Attempt:
    """What follows from the answer to an attempt that began `at`, after `before` others.

    `jitter` is how many thousandths of the wait are added, up to JITTER.
    """
    status = answer.status if isinstance(answer, Answered) else None
    if status is not None and 200 <= status < 300:
        return Attempt(at=at, answer=answer, state=DeliveryState.DELIVERED)
    if status == _GONE:
        return Attempt(at=at, answer=answer, state=DeliveryState.DEAD, gone=True)
    if before >= len(WAITS):
        return Attempt(at=at, answer=answer, state=DeliveryState.DEAD)
    wait = WAITS[before] + WAITS[before] * jitter // 1000
    next_at = max(at + wait, min(_not_before(answer, at), at + LONGEST_ASKED))
    return Attempt(at=at, answer=answer, state=DeliveryState.PENDING, next_at=next_at)


def _not_before(answer: Answer, at: Instant) -> Instant:
    return answer.not_before if isinstance(answer, Answered) and answer.not_before is not None else at
