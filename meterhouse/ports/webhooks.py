"""What merchants are told, as ports. Every docstring says what a repeated call does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meterhouse.domain.holding import GivenGrant, Holding
from meterhouse.domain.instant import Instant
from meterhouse.domain.look import Sighting, Span
from meterhouse.domain.webhook import (
    Answer,
    Attempt,
    Delivery,
    DeliveryFilter,
    Endpoint,
    Notice,
    Parcel,
    PastAttempt,
    Webhooks,
)
from meterhouse.ports.catalog import Page
from meterhouse.ports.usage import Changed


class WebhookCatalog(Protocol):
    """Whether a merchant is told; NotFound where it never was to be."""

    async def enable(self, webhooks: Webhooks) -> Webhooks:
        """Begin to tell. Raises Duplicate where the merchant has them, also while they are paused."""

    async def get(self, merchant_id: str) -> Webhooks: ...

    async def switch(self, merchant_id: str, *, enabled: bool, at: Instant) -> Webhooks:
        """Pause, or go on. Again changes nothing but `updated_at`."""


class EndpointCatalog(Protocol):
    """Where merchants are told; another merchant's endpoints are NotFound.

    Raises Conflict where another endpoint of the merchant has the URL, and for one too many.
    """

    async def create(self, endpoint: Endpoint, secret: str) -> Endpoint:
        """Store it. Raises NotFound where the merchant never enabled webhooks."""

    async def get(self, merchant_id: str, id: str) -> Endpoint: ...

    async def page(self, merchant_id: str, limit: int, offset: int) -> Page[Endpoint]:
        """Oldest first, so that pages stay stable while endpoints are added."""

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Endpoint:
        """Set the named fields (of url, description, types, enabled, gone, updated_at)."""

    async def replace_secret(self, merchant_id: str, id: str, secret: str, at: Instant) -> Endpoint:
        """Sign with `secret` from now on, and for a day with the one before it too."""

    async def delete(self, merchant_id: str, id: str) -> None:
        """Forget it, and all of its deliveries; again is NotFound."""


class DeliveryCatalog(Protocol):
    """What became of what there was to tell; another merchant's deliveries are NotFound."""

    async def get(self, merchant_id: str, id: str) -> Delivery: ...

    async def page(self, merchant_id: str, wanted: DeliveryFilter, limit: int, offset: int) -> Page[Delivery]:
        """Newest first."""

    async def attempts(self, merchant_id: str, id: str, limit: int) -> Sequence[PastAttempt]:
        """Those that were made, newest first, whether or not it was replayed since."""

    async def replay(self, merchant_id: str, id: str, at: Instant) -> Delivery:
        """Deliver it again, from the first attempt on; one that is pending is due at once."""


class DeadDeliveries(Protocol):
    """Those of every merchant that are given up."""

    async def dead(self, merchant_id: str | None, limit: int) -> Sequence[Delivery]:
        """The newest, newest first."""

    async def revive(self, ids: Collection[str] | None, merchant_id: str | None, at: Instant) -> int:
        """Deliver these again, or all; how many were dead. Again finds none."""


class Outbox(Protocol):
    """What is still to be delivered, of every merchant. Several processes may work it off."""

    async def claim(
        self, now: Instant, lease: Instant, limit: int, crowded: Collection[str]
    ) -> Sequence[Parcel]:
        """Some that are due, for endpoints that are not `crowded`: nobody else gets them before `lease`."""

    async def settle(self, parcel: Parcel, attempt: Attempt) -> None:
        """Say how an attempt went. Changes nothing where the claim was lost, or the delivery is gone."""

    async def prune(self, before: Instant, limit: int) -> int:
        """Forget notices that were made before that instant, with their deliveries; how many there were."""


class Carrier(Protocol):
    """The way to receivers."""

    async def carry(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST it once; whatever goes wrong on the way is Unanswered."""


@dataclass(frozen=True, slots=True)
class Look:
    """An entitlement that is claimed until `lease`, to be looked at for what came about after `since`."""

    holding: Holding
    since: Instant
    lease: Instant


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at a span has found to tell, and when the next is due."""

    look: Look
    span: Span
    notices: tuple[Notice, ...]
    next_at: Instant


@dataclass(frozen=True, slots=True)
class LogSpan:
    """Offsets [start, end) of a partition of a log."""

    log_id: str
    partition: int
    start: int
    end: int


class LookCatalog(Protocol):
    """Which entitlements are to be looked at, of merchants that have somewhere to be told."""

    async def listening(self) -> frozenset[str]:
        """The merchants that are told now."""

    async def due(self, now: Instant, lease: Instant, limit: int) -> Sequence[Look]:
        """About so many that are due at `now`: nobody else gets them before `lease`."""

    async def looked(self, results: Sequence[Looked], at: Instant) -> int:
        """Write down what was found; how many notices were new by their marks. Again finds none new.

        An entitlement that became due meanwhile stays so.
        """

    async def heard(self, log_id: str) -> Mapping[int, int]:
        """For each partition of the log the offset before which all usage is heard of."""

    async def hear(self, span: LogSpan, changed: Sequence[Changed], now: Instant) -> bool:
        """Make what `changed` subjects hold due, and the span heard; False where it was heard already."""


class Observer(Protocol):
    """Sees what holdings come to."""

    async def sight(self, merchant_id: str, asked: Sequence[tuple[Holding, Instant]]) -> Sequence[Sighting]:
        """Each at its instant, in that order. Raises Invalid, StoreUnavailable, CatalogUnavailable."""

    async def given(self, merchant_id: str, entitlement_id: str, grant_id: str) -> GivenGrant:
        """The grant with all that is shown of it."""
