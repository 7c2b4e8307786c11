"""Looks at entitlements for what there is to tell of them, when there may be something.

That is when events of their subjects were counted, when time alone changes them, when a grant of theirs was
made or voided (whoever did that says so), and once in a while: then also what changed in some other way, such
as a definition that was counted over earlier events, is found.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import structlog

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.adapters.notice_payloads import grant_data, payload_of
from meterhouse.adapters.stopping import Stop, wait_for
from meterhouse.domain.errors import Rejected, Unavailable
from meterhouse.domain.instant import LATEST, SECOND, Instant
from meterhouse.domain.look import Finding, Span, findings, instants_of, next_change, span_of
from meterhouse.domain.webhook import Notice
from meterhouse.ports.clock import Clock
from meterhouse.ports.counting import Watermark
from meterhouse.ports.usage import UsageNews
from meterhouse.ports.webhooks import LogSpan, Look, LookCatalog, Looked, Observer
from meterhouse.telemetry.instruments import NotifierInstruments

PAGE: Final = 100  # entitlements that one look at usage is over
OFFSETS: Final = 500_000  # of a partition that are asked at once for whose they are
LEASE: Final = 30 * SECOND  # longer than a round takes; else another makes some of its looks again

_log = structlog.get_logger("notifier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Any number of processes may watch at once: each look is claimed, and its marks tell what was told.

    In a round `at_most` entitlements are looked at, those that have waited the longest; one is not left
    alone for longer than `sweep` (microseconds).
    """

    looks: LookCatalog
    news: UsageNews
    watermark: Watermark
    observer: Observer
    clock: Clock
    log_id: str
    instruments: NotifierInstruments
    every_seconds: float = 1.0
    at_most: int = 1_000
    sweep: Instant = 3_600 * SECOND
    fault: Callable[[str], None] = lambda _point: None

    async def run(self, stop: Stop) -> None:
        """Watch until `stop` is set; while a store is away, wait for it."""
        while not stop.is_set():
            try:
                await self.hear()
                await self.look()
            except Unavailable as error:
                self.instruments.failures.labels(type(error).__name__).inc()
                _log.info("entitlements not looked at", error=str(error))
            await wait_for(stop, self.every_seconds)

    async def hear(self) -> None:
        """Make what belongs to the subjects of newly counted events due. Raises Unavailable."""
        counted = await self.watermark.counted()
        # Asked after that: whoever begins to be told later is looked at, and sees what is counted by now.
        listening = await self.looks.listening()
        heard = await self.looks.heard(self.log_id)
        for partition, end in sorted(counted.items()):
            start = heard.get(partition, end)
            if partition not in heard:
                await self._hear(LogSpan(self.log_id, partition, end, end), listening)
            while start < end:
                span = LogSpan(self.log_id, partition, start, min(end, start + OFFSETS))
                if not await self._hear(span, listening):
                    break
                start = span.end

    async def _hear(self, span: LogSpan, listening: frozenset[str]) -> bool:
        is_asked = listening and span.start < span.end
        place = (span.partition, span.start, span.end)
        changed = await self.news.changed(*place, listening) if is_asked else ()
        self.fault("changed")
        return await self.looks.hear(span, changed, self.clock.now())

    async def look(self) -> int:
        """One round; how many entitlements were looked at. Raises Unavailable."""
        now = self.clock.now()
        due = await self.looks.due(now, now + LEASE, self.at_most)
        for merchant_id, of_merchant in groupby(due, key=_merchant_of):
            looks = list(of_merchant)
            for first in range(0, len(looks), PAGE):
                await self._look_at(merchant_id, looks[first : first + PAGE], now)
        self.instruments.looks.inc(len(due))
        return len(due)

    async def _look_at(self, merchant_id: str, looks: Sequence[Look], now: Instant) -> None:
        try:
            results = await self._results(merchant_id, looks, now)
        except Rejected as error:
            if len(looks) > 1:  # one alone of them cannot be seen, and the others can
                for one in looks:
                    await self._look_at(merchant_id, [one], now)
                return
            id = looks[0].holding.entitlement.id
            _log.warning("an entitlement cannot be looked at", entitlement_id=id, error=str(error))
            results = [Looked(looks[0], Span(looks[0].since, looks[0].since), (), now + self.sweep)]
        self.fault("found")
        self.instruments.notices.inc(await self.looks.looked(results, self.clock.now()))
        self.fault("told")

    async def _results(self, merchant_id: str, looks: Sequence[Look], now: Instant) -> Sequence[Looked]:
        spans = [span_of(one.holding, one.since, one.holding.now(now)) for one in looks]
        instants = [instants_of(one.holding, span) for one, span in zip(looks, spans, strict=True)]
        asked = [(one.holding, at) for one, of_one in zip(looks, instants, strict=True) for at in of_one]
        sightings = iter(await self.observer.sight(merchant_id, asked) if asked else ())
        results = []
        for look, span, of_one in zip(looks, spans, instants, strict=True):
            found = findings(look.holding, span, [next(sightings) for _ in of_one])
            notices = tuple([await self._notice(look, one) for one in found])
            results.append(Looked(look, span, notices, self._next(look, span, now)))
        return results

    async def _notice(self, look: Look, finding: Finding) -> Notice:
        entitlement = look.holding.entitlement
        if finding.grant is not None:
            given = await self.observer.given(entitlement.merchant_id, entitlement.id, finding.grant.id)
            data = grant_data(given, entitlement.customer_id, entitlement.feature_id)
        else:
            assert finding.sighting is not None, "there is no other kind"
            data = {"entitlement": finding.sighting.body, **(finding.details or {})}
        return Notice(
            id=new_id("msg"),
            merchant_id=entitlement.merchant_id,
            type=finding.type,
            at=finding.at,
            payload=payload_of(finding.type, finding.at, data),
            mark=finding.mark,
        )

    def _next(self, look: Look, span: Span, now: Instant) -> Instant:
        """When to look again: at once where this look was not over all, never where nothing can come."""
        if span.until < look.holding.now(now):
            return now
        change = next_change(look.holding, look.holding.now(now))
        # Spread, so that those that began together are not swept together for ever.
        swept = now + self.sweep - random.randrange(self.sweep // 10 + 1)  # noqa: S311 # no secret
        if change is None:
            return LATEST
        # Whoever advances a test clock makes what runs on it due.
        return swept if look.holding.clock_at is not None else min(change, swept)


def _merchant_of(look: Look) -> str:
    return look.holding.entitlement.merchant_id
