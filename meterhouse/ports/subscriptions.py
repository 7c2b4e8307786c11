"""Subscriptions and the test clocks of some, as ports. Every docstring says what a repeated call does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from meterhouse.domain.instant import Instant
from meterhouse.domain.interval_change import Edited, IntervalChange, IntervalChangeFilter
from meterhouse.domain.interval_edit import IntervalEdit
from meterhouse.domain.price_interval import PriceInterval
from meterhouse.domain.reconciliation import Reconciliation
from meterhouse.domain.subscription import NewSubscription, Subscription, SubscriptionFilter
from meterhouse.domain.test_clock import TestClock
from meterhouse.domain.version_migration import Migration, MigrationAsked
from meterhouse.ports.catalog import Page


class TestClockCatalog(Protocol):
    """Test clocks of a merchant; another merchant's are NotFound."""

    async def create(self, clock: TestClock) -> TestClock: ...

    async def get(self, merchant_id: str, id: str) -> TestClock:
        """Also a deleted one, which terminated subscriptions still name."""

    async def page(self, merchant_id: str, limit: int, offset: int) -> Page[TestClock]:
        """Those that are not deleted, oldest first."""

    async def update(self, merchant_id: str, id: str, change: Callable[[TestClock], TestClock]) -> TestClock:
        """Store what `change` makes of the clock, which nobody else changes meanwhile.

        `change` may raise Rejected, and then nothing is stored. A deleted clock is NotFound.
        """

    async def delete(self, merchant_id: str, id: str, at: Instant) -> TestClock:
        """Again is NotFound. Raises Conflict with blockers while live subscriptions run on it."""


class SubscriptionCatalog(Protocol):
    """Subscriptions of a merchant's customers; another merchant's are NotFound."""

    async def create(self, new: NewSubscription) -> Subscription:
        """Store it with an entitlement to each feature that its plan offers; all of it or nothing.

        The very same again, while that one is not over, is the one that was made; with anything else in it a
        Conflict. Raises NotFound for a customer, a plan or a test clock that is not the merchant's, or is
        deleted, Invalid for what cannot begin so.
        """

    async def get(self, merchant_id: str, id: str) -> Subscription: ...

    async def page(
        self, merchant_id: str, wanted: SubscriptionFilter, limit: int, offset: int
    ) -> Page[Subscription]:
        """Oldest first."""

    async def update(
        self, merchant_id: str, id: str, change: Callable[[Subscription], Subscription]
    ) -> Subscription:
        """Store what `change` makes of its terms and its termination, which nobody else changes meanwhile.

        `change` may raise Rejected, and then nothing is stored. What ends with it moves with its end; what
        has not ended at its termination is canceled then.
        """


class ReconciliationCatalog(Protocol):
    """Makes the entitlements of a merchant's subscription those that its plan offers; another merchant's are
    NotFound, one that is over is a Conflict.
    """

    async def preview(self, merchant_id: str, id: str, at: Instant) -> Reconciliation:
        """What `reconcile` would do."""

    async def reconcile(self, merchant_id: str, id: str, at: Instant) -> Reconciliation:
        """Entitle to what is offered and missing, and cancel what came with the plan and is offered no more,
        all of it or nothing. Again finds nothing to do, but for what failed.
        """


class PriceIntervalCatalog(Protocol):
    """Which prices a merchant's subscription is charged by; another merchant's are NotFound."""

    async def of(self, merchant_id: str, id: str) -> Sequence[PriceInterval]:
        """All of them, those that ended and those to come among them, by their start."""

    async def edit(self, merchant_id: str, id: str, edit: IntervalEdit) -> Edited:
        """Do all of it or nothing, let the entitlements to features of what changed follow, and record it.

        Raises Invalid, NotFound for an interval or a price that is not there, Conflict for a subscription
        that is over, and for what the edit cannot come to. What changes nothing is not recorded; an addition
        again overlaps what it added before.
        """

    async def changes(
        self, merchant_id: str, wanted: IntervalChangeFilter, limit: int, offset: int
    ) -> Page[IntervalChange]:
        """The records of edits, oldest first."""


class VersionMigrationCatalog(Protocol):
    """Moves a merchant's subscription to a version of its plan; another merchant's are NotFound."""

    async def migrate(self, merchant_id: str, id: str, asked: MigrationAsked) -> Migration:
        """Pin it to the version. Another one before it takes effect takes its place; again changes nothing.

        Raises NotFound for a version that is not there, Conflict for what cannot move.
        """
