"""Usage that was read a moment ago, and would be the same if it were read again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, NamedTuple

import anyio

from meterhouse.domain.instant import LATEST, MINUTE, SECOND, Instant
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.rollup import Reading
from meterhouse.ports.clock import Clock
from meterhouse.ports.counting import Watermark
from meterhouse.ports.usage import Changed, PhaseReader, UsageNews

# A replica may lag behind the watermark, and be without what that says is there; one node never is.
KEPT_OF_REPLICAS: Final = SECOND
KEPT_OF_ONE_NODE: Final = MINUTE

_AT_MOST: Final = 1000
# Of more events than that, to hear whose they are takes longer than to read anew what is kept.
_HEARD_AT_ONCE: Final = 100_000


class _Known(NamedTuple):
    """What was found up to `at`; `is_last` if nothing lies after."""

    read_at: Instant
    at: Instant
    readings: Sequence[Reading]
    is_last: bool

    def answers(self, at: Instant) -> bool:
        return at == self.at or (self.is_last and at > self.at)


@dataclass(slots=True)
class RecentPhases:
    """A PhaseReader that asks `reader` again only of whom more is counted, for versions that are complete.

    A gate asks for one balance many times a second, each time of a later instant. What it is told is what it
    would be told without this: rows change with the watermark alone, which is looked at before the rows, and
    `news` tells whose rows they are. It is believed for so many microseconds as it is `kept`.
    """

    reader: PhaseReader
    news: UsageNews
    watermark: Watermark
    clock: Clock
    kept: Instant
    _heard: Mapping[int, int] = field(default_factory=dict)
    _hearing: anyio.Lock = field(default_factory=anyio.Lock)
    _known: OrderedDict[PhasesQuestion, _Known] = field(default_factory=OrderedDict)

    async def phases(self, questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        now, counted = self.clock.now(), await self.watermark.counted()
        self._forget_before(now)
        await self._hear(counted)
        heard = self._heard
        found = [self._find(one) for one in questions]
        missing = [one for one, known in zip(questions, found, strict=True) if known is None]
        read = iter(await self.reader.phases([_and_after(one) for one in missing]) if missing else ())
        is_newest = heard == self._heard  # else something is counted by now that these rows may be without
        answers: list[Sequence[Reading]] = []
        for question, known in zip(questions, found, strict=True):
            if known is not None:
                answers.append(known)
            elif not question.cuts:
                answers.append(next(read))
            else:
                *readings, after = next(read)
                answers.append(readings)
                if is_newest:
                    self._keep(question, _Known(now, question.cuts[-1], readings, after == Reading()))
        return answers

    async def _hear(self, counted: Mapping[int, int]) -> None:
        """Forget what was changed by what is counted."""
        async with self._hearing:
            spans = [(partition, self._heard.get(partition, 0), end) for partition, end in counted.items()]
            # Less than before is counted when all is counted anew, or when others looked after us.
            is_less = any(counted.get(partition, 0) < end for partition, end in self._heard.items())
            if is_less or sum(end - start for _, start, end in spans) > _HEARD_AT_ONCE:
                self._known.clear()
            changed = await self._changed(spans) if self._known else frozenset()
            for question in [one for one in self._known if not changed.isdisjoint(_whose(one))]:
                del self._known[question]
            self._heard = counted

    async def _changed(self, spans: Sequence[tuple[int, int, int]]) -> frozenset[Changed]:
        namespaces = {one.definition.namespace for one in self._known}
        found = [
            await self.news.changed(partition, start, end, namespaces)
            for partition, start, end in spans
            if start < end
        ]
        return frozenset(chain.from_iterable(found))

    def _forget_before(self, now: Instant) -> None:
        """Those that are too old, and all where the clock was set back."""
        while self._known and not 0 <= now - next(iter(self._known.values())).read_at < self.kept:
            self._known.popitem(last=False)

    def _find(self, question: PhasesQuestion) -> Sequence[Reading] | None:
        known = self._known.get(_but_at(question)) if question.cuts else None
        return known.readings if known is not None and known.answers(question.cuts[-1]) else None

    def _keep(self, question: PhasesQuestion, known: _Known) -> None:
        key = _but_at(question)
        self._known.pop(key, None)
        self._known[key] = known
        if len(self._known) > _AT_MOST:
            self._known.popitem(last=False)


def _whose(question: PhasesQuestion) -> list[Changed]:
    """Whom events are of that the question is about."""
    namespace = question.definition.namespace
    whose = [Changed(namespace, question.subject, "")]
    return whose if question.linked is None else [*whose, Changed(namespace, "", question.linked)]


def _but_at(question: PhasesQuestion) -> PhasesQuestion:
    """The question without its last cut, the instant that it is asked of."""
    return replace(question, cuts=question.cuts[:-1])


def _and_after(question: PhasesQuestion) -> PhasesQuestion:
    """The question with all that lies after its last cut, as one phase more."""
    return replace(question, cuts=(*question.cuts, LATEST)) if question.cuts else question
