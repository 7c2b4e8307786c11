"""When to flush: a policy as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushPolicy:
    """A live batch is flushed at `max_events`, or when its first event has waited for `max_age`.

    A backfill chunk has at most `backfill_events`, found among `backfill_records`: it runs between live
    batches, which wait for it.
    """

    max_events: int = 50_000
    max_age: timedelta = timedelta(milliseconds=200)
    backfill_events: int = 20_000
    backfill_records: int = 1_000_000


def seconds_until_flush(policy: FlushPolicy, *, unread: int, waited: float) -> float | None:
    """0 when a batch is due, None when there is nothing to flush.

    `waited` is how long, in seconds, the first of the `unread` records has been there at most.
    """
    if unread == 0:
        return None
    if unread >= policy.max_events:
        return 0.0
    return max(0.0, policy.max_age.total_seconds() - waited)


def backoff(failures: int, jitter: float) -> float:
    """Seconds to pause after that many failures in a row; `jitter` is random in [0, 1).

    Doubles from 0.1 s to 10 s and is spread over half of it, so that workers do not return together.
    """
    longest = min(10.0, 0.1 * 2.0 ** min(failures, 10))
    return longest * (0.5 + jitter / 2)
