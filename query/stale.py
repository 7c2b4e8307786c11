"""An earlier answer in place of one that does not come (contract 4.7): a gate would rather know it late."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio

from meterhouse.domain.errors import StoreUnavailable
from meterhouse.domain.instant import HOUR, Instant, render
from meterhouse.ports.clock import Clock

_SECONDS: Final = 1.0
_LONGEST: Final = HOUR
_KEPT: Final = 10_000

Question = tuple[str, ...]
Body = dict[str, object]


@dataclass(slots=True)
class Earlier:
    """The newest answer to each question, of this process."""

    _answers: OrderedDict[Question, tuple[Instant, Body]] = field(default_factory=OrderedDict)

    def keep(self, question: Question, at: Instant, body: Body) -> None:
        self._answers.pop(question, None)
        self._answers[question] = (at, body)
        if len(self._answers) > _KEPT:
            self._answers.popitem(last=False)

    def find(self, question: Question, now: Instant) -> tuple[Instant, Body] | None:
        """At most an hour old."""
        found = self._answers.get(question)
        return found if found is not None and now - found[0] <= _LONGEST else None


async def or_earlier(
    earlier: Earlier, question: Question, look: Callable[[], Awaitable[Body]], clock: Clock
) -> Body:
    """What `look` finds within a second, or else the earlier answer, if there is one, and its instant."""
    now = clock.now()
    known = earlier.find(question, now)
    try:
        with anyio.move_on_after(None if known is None else _SECONDS):
            body = await look()
            earlier.keep(question, now, body)
            return body
    except StoreUnavailable:
        if known is None:
            raise
    assert known is not None, "without an earlier answer nothing ends the look"
    computed_at, body = known
    return {**body, "stale": {"computedAt": render(computed_at)}}
