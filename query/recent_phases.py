"""Usage that was read a moment ago, and would be the same if it were read again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from meterhouse.domain.instant import LATEST, SECOND, Instant
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.rollup import Reading
from meterhouse.ports import Clock, PhaseReader, Watermark

# The watermark tells what is new. This bounds what it does not: a replica that lags behind it.
_KEPT: Final = SECOND


class _Known(NamedTuple):
    """What was found up to `at` when so much was `counted`; `is_last` if nothing lies after."""

    read_at: Instant
    counted: Mapping[int, int]
    at: Instant
    readings: Sequence[Reading]
    is_last: bool

    def answers(self, at: Instant) -> bool:
        return at == self.at or (self.is_last and at > self.at)


@dataclass(slots=True)
class RecentPhases:
    """A PhaseReader that asks `reader` again only when more is counted, for versions that are complete.

    A gate asks for one balance many times a second, each time of a later instant. What it is told is what it
    would be told without this, because rows change with the watermark alone; it is looked at before the rows.
    """

    reader: PhaseReader
    watermark: Watermark
    clock: Clock
    _known: OrderedDict[PhasesQuestion, _Known] = field(default_factory=OrderedDict)

    async def phases(self, questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        counted, now = await self.watermark.counted(), self.clock.now()
        self._forget(now)
        found = [self._find(one, counted) for one in questions]
        missing = [one for one, known in zip(questions, found, strict=True) if known is None]
        read = iter(await self.reader.phases([_and_after(one) for one in missing]) if missing else ())
        answers: list[Sequence[Reading]] = []
        for question, known in zip(questions, found, strict=True):
            answers.append(self._keep(question, next(read), counted, now) if known is None else known)
        return answers

    def _forget(self, now: Instant) -> None:
        """Those that are too old, and all where the clock was set back."""
        while self._known and not 0 <= now - next(iter(self._known.values())).read_at < _KEPT:
            self._known.popitem(last=False)

    def _find(self, question: PhasesQuestion, counted: Mapping[int, int]) -> Sequence[Reading] | None:
        known = self._known.get(_but_at(question)) if question.cuts else None
        if known is None or known.counted != counted or not known.answers(question.cuts[-1]):
            return None
        return known.readings

    def _keep(
        self, question: PhasesQuestion, read: Sequence[Reading], counted: Mapping[int, int], now: Instant
    ) -> Sequence[Reading]:
        if not question.cuts:
            return read
        *readings, after = read
        key = _but_at(question)
        self._known.pop(key, None)
        self._known[key] = _Known(now, counted, question.cuts[-1], readings, after == Reading())
        return readings


def _but_at(question: PhasesQuestion) -> PhasesQuestion:
    """The question without its last cut, the instant that it is asked of."""
    return replace(question, cuts=question.cuts[:-1])


def _and_after(question: PhasesQuestion) -> PhasesQuestion:
    """The question with all that lies after its last cut, as one phase more."""
    return replace(question, cuts=(*question.cuts, LATEST)) if question.cuts else question
