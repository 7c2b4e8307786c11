"""Brings notices to their endpoints: claims what is due, tries it, and writes down how that went."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from meterhouse.adapters.stopping import Stop, wait_for
from meterhouse.domain.delivery_schedule import JITTER, attempted
from meterhouse.domain.errors import Unavailable
from meterhouse.domain.instant import DAY, MINUTE, SECOND, Instant
from meterhouse.domain.webhook import Answer, Attempt, Parcel, Unanswered
from meterhouse.domain.webhook_signature import signed_headers
from meterhouse.ports.clock import Clock
from meterhouse.ports.webhooks import Carrier, Outbox
from meterhouse.telemetry.instruments import NotifierInstruments

CROWD: Final = 8  # attempts at one endpoint at once, after which others go first
_PATIENCE: Final = (0.1, 1.0, 5.0)  # seconds between attempts to write down how an attempt went
_MARGIN: Final = 10 * SECOND  # of a lease, over what an attempt takes and writing it down
_PRUNED_AT_ONCE: Final = 1_000

_log = structlog.get_logger("notifier")


@dataclass(slots=True, kw_only=True)
class Courier:
    """Any number of processes may deliver at once; each delivery is claimed for `timeout` and some more.

    Whoever dies in between is followed, once the claim is over, by one that sends the same notice again under
    the same id: a receiver may see one twice, and never one that was not written down. Durations are in
    microseconds, but for those in seconds.
    """

    outbox: Outbox
    carrier: Carrier
    clock: Clock
    instruments: NotifierInstruments
    every_seconds: float = 1.0
    last_seconds: float = 3.0
    timeout: Instant = 15 * SECOND
    at_once: int = 64
    retention: Instant = 30 * DAY
    fault: Callable[[str], None] = lambda _point: None
    _busy: Counter[str] = field(init=False, default_factory=Counter)
    _tasks: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _prune_at: Instant = field(init=False, default=0)

    async def run(self, stop: Stop) -> None:
        """Deliver until `stop` is set; then what is on its way may still arrive, for `last_seconds`."""
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                try:
                    taken = await self.deliver(group)
                    await self._prune()
                except Unavailable as error:
                    taken = 0
                    self.instruments.failures.labels(type(error).__name__).inc()
                    _log.info("webhooks not delivered", error=str(error))
                if not taken:
                    await self._rest(stop)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self.last_seconds)
            for task in self._tasks:
                task.cancel()

    async def deliver(self, group: asyncio.TaskGroup) -> int:
        """Begin to deliver what is due, as far as there is room; how much that was. Raises Unavailable."""
        room = self.at_once - len(self._tasks)
        if room <= 0:
            return 0
        now = self.clock.now()
        crowded = {id for id, count in self._busy.items() if count >= CROWD}
        parcels = await self.outbox.claim(now, now + self.timeout + _MARGIN, min(room, CROWD), crowded)
        if parcels:
            self.fault("claimed")
        for parcel in parcels:
            self._busy[parcel.endpoint_id] += 1
            task = group.create_task(self._deliver(parcel))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(parcels)

    async def _rest(self, stop: Stop) -> None:
        """Until an attempt is over, which makes room for others, or something may have become due."""
        if self._tasks:
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait(self._tasks, timeout=self.every_seconds, return_when=first)
        else:
            await wait_for(stop, self.every_seconds)

    async def _deliver(self, parcel: Parcel) -> None:
        try:
            began = self.clock.now()
            attempt = attempted(
                await self._carry(parcel, began),
                at=began,
                before=parcel.attempts,
                jitter=random.randrange(JITTER + 1),  # noqa: S311 # no secret
            )
            self.fault("carried")
            self._show(parcel, attempt)
            await self._settle(parcel, attempt)
            self.fault("settled")
        finally:
            self._busy[parcel.endpoint_id] -= 1
            if not self._busy[parcel.endpoint_id]:
                del self._busy[parcel.endpoint_id]

    async def _carry(self, parcel: Parcel, at: Instant) -> Answer:
        headers = {
            "content-type": "application/json",
            "user-agent": "meterhouse",
            **signed_headers(parcel.notice_id, at, parcel.payload, parcel.secrets),
        }
        with self.instruments.delivery_seconds.time():
            try:
                return await self.carrier.carry(parcel.url, headers, parcel.payload.encode())
            except Exception as error:  # noqa: BLE001 - one receiver must not end the deliveries to all others
                _log.error("a delivery failed", delivery_id=parcel.delivery_id, exc_info=error)
                return Unanswered("something went wrong on our side")

    async def _settle(self, parcel: Parcel, attempt: Attempt) -> None:
        """Write down how it went; what cannot be written down is tried again when the claim is over."""
        for seconds in _PATIENCE:
            try:
                await self.outbox.settle(parcel, attempt)
            except Unavailable:
                await asyncio.sleep(seconds)
            else:
                return
        _log.warning("an attempt is not written down", delivery_id=parcel.delivery_id)

    def _show(self, parcel: Parcel, attempt: Attempt) -> None:
        self.instruments.attempts.labels(attempt.state).inc()
        if attempt.next_at is None and isinstance(attempt.answer, Unanswered):
            reason = attempt.answer.reason
            _log.warning("a delivery is given up", delivery_id=parcel.delivery_id, reason=reason)

    async def _prune(self) -> None:
        """Forget what is old, some at a time."""
        now = self.clock.now()
        if now >= self._prune_at:
            pruned = await self.outbox.prune(now - self.retention, _PRUNED_AT_ONCE)
            self._prune_at = now if pruned == _PRUNED_AT_ONCE else now + MINUTE
