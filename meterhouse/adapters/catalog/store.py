"""The catalog: merchants, keys, what they sell to whom, billable metrics, and how far logs are counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from meterhouse.adapters.catalog.building import CatalogVersions, log_ids
from meterhouse.adapters.catalog.costs import CatalogCosts
from meterhouse.adapters.catalog.customers import CatalogCustomers
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.definitions import CatalogDefinitions
from meterhouse.adapters.catalog.deliveries import CatalogDeliveries
from meterhouse.adapters.catalog.engines import DatabaseLimits
from meterhouse.adapters.catalog.entitlements import CatalogEntitlements
from meterhouse.adapters.catalog.features import CatalogFeatures
from meterhouse.adapters.catalog.fees import CatalogFees
from meterhouse.adapters.catalog.grants import CatalogGrants
from meterhouse.adapters.catalog.items import CatalogItems
from meterhouse.adapters.catalog.keys import CatalogKeys, KeyInfo
from meterhouse.adapters.catalog.ledger import CatalogLedger, CatalogWatermark
from meterhouse.adapters.catalog.links import CatalogLinks
from meterhouse.adapters.catalog.looks import CatalogLooks
from meterhouse.adapters.catalog.merchants import ensure_merchant, mark_merchant
from meterhouse.adapters.catalog.metrics import CatalogMetrics
from meterhouse.adapters.catalog.placement import CatalogPlacement
from meterhouse.adapters.catalog.plan_versions import CatalogPlanVersions
from meterhouse.adapters.catalog.plans import CatalogPlans
from meterhouse.adapters.catalog.price_intervals import CatalogPriceIntervals
from meterhouse.adapters.catalog.prices import CatalogPrices
from meterhouse.adapters.catalog.products import CatalogProducts
from meterhouse.adapters.catalog.reconciliation import CatalogReconciliation
from meterhouse.adapters.catalog.references import CatalogReferences
from meterhouse.adapters.catalog.resets import CatalogResets
from meterhouse.adapters.catalog.schema import is_migrated, migrate, require_migrated
from meterhouse.adapters.catalog.subscriptions import CatalogSubscriptions
from meterhouse.adapters.catalog.test_clocks import CatalogTestClocks
from meterhouse.adapters.catalog.version_migrations import CatalogVersionMigrations
from meterhouse.adapters.catalog.webhooks import CatalogEndpoints, CatalogWebhooks
from meterhouse.adapters.clock import SystemClock
from meterhouse.domain.billable_metric import Definition, Product
from meterhouse.domain.tombstone import Tombstones
from meterhouse.ports.clock import Clock
from meterhouse.telemetry.instruments import Observe, unobserved

_SYSTEM_CLOCK: Final = SystemClock()
_LIMITS: Final = DatabaseLimits()


class Catalog:
    """One database, by concept. The catalog itself implements Definitions.

    Several processes may have it open at once. Every call raises CatalogUnavailable when the database fails.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._definitions = CatalogDefinitions(database)
        self.keys = CatalogKeys(database, clock)
        self.products = CatalogProducts(database, clock)
        self.features = CatalogFeatures(database)
        self.items = CatalogItems(database)
        self.references = CatalogReferences(database)
        self.fees = CatalogFees(database)
        self.prices = CatalogPrices(database)
        self.costs = CatalogCosts(database)
        self.plans = CatalogPlans(database)
        self.plan_versions = CatalogPlanVersions(database, clock)
        self.customers = CatalogCustomers(database)
        self.entitlements = CatalogEntitlements(database)
        self.grants = CatalogGrants(database)
        self.metrics = CatalogMetrics(database)
        self.links = CatalogLinks(database, clock)
        self.subscriptions = CatalogSubscriptions(database)
        self.reconciliation = CatalogReconciliation(database)
        self.price_intervals = CatalogPriceIntervals(database)
        self.version_migrations = CatalogVersionMigrations(database)
        self.test_clocks = CatalogTestClocks(database)
        self.webhooks = CatalogWebhooks(database)
        self.endpoints = CatalogEndpoints(database)
        self.deliveries = CatalogDeliveries(database)
        self.looks = CatalogLooks(database)
        self.resets = CatalogResets(database)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, clock: Clock = _SYSTEM_CLOCK, waited: Observe = unobserved
    ) -> AsyncIterator[Catalog]:
        """The catalog at `sqlite:///path` or `postgresql://…`, migrated first where it has to be.

        For whoever owns the whole catalog, as the embedded form does. Raises CatalogUnavailable, Invalid for
        a URL that is neither, NotMigrated where a newer version of meterhouse has migrated it.
        """
        async with Database.open(url, waited=waited) as database:
            if not await is_migrated(database):
                await migrate(url)
            yield cls(database, clock)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        limits: DatabaseLimits = _LIMITS,
        clock: Clock = _SYSTEM_CLOCK,
        waited: Observe = unobserved,
    ) -> AsyncIterator[Catalog]:
        """The catalog as it is, for one process of many: `meterhouse migrate` made its tables.

        Raises what `open` raises, and NotMigrated where the tables are missing or older.
        """
        async with Database.open(url, limits, waited) as database:
            await require_migrated(database)
            yield cls(database, clock)

    def ledger(self, log_id: str, partitions: Sequence[int]) -> CatalogLedger:
        """The progress of the log that has these partitions, all of them."""
        return CatalogLedger(self._database, log_id, partitions)

    def watermark(self, log_id: str) -> CatalogWatermark:
        return CatalogWatermark(self._database, log_id)

    async def log_ids(self) -> Sequence[str]:
        """The logs that were ever counted, the one counted furthest last."""
        return await self._database.read(log_ids)

    def versions(self, log_id: str) -> CatalogVersions:
        return CatalogVersions(self._database, log_id)

    def placement(self, log_id: str) -> CatalogPlacement:
        return CatalogPlacement(self._database, log_id)

    async def at(self, catalog_version: int) -> Sequence[Definition]:
        return await self._definitions.at(catalog_version)

    async def newest(self) -> int:
        """The newest catalog version."""
        return await self._definitions.newest()

    async def recent(self, max_age: float) -> int:
        return await self._definitions.recent(max_age)

    async def tombstones(self, catalog_version: int) -> Mapping[str, Tombstones]:
        return await self._definitions.tombstones(catalog_version)

    async def ensure_merchant(self, merchant_id: str) -> None:
        """Make the merchant unless it is there."""
        now = self._clock.now()
        await self._database.write(lambda session: ensure_merchant(session, merchant_id, now))

    async def mark_merchant(self, merchant_id: str, *, sandbox: bool) -> None:
        """Let the merchant be a sandbox, which can be reset, or be none any more. Raises NotFound."""
        await self._database.write(lambda session: mark_merchant(session, merchant_id, sandbox=sandbox))

    async def ensure_product(self, merchant_id: str, id: str) -> Product:
        return await self.products.ensure(merchant_id, id)

    async def create_key(self, merchant_id: str, name: str, key: str | None = None) -> tuple[KeyInfo, str]:
        return await self.keys.create(merchant_id, name, key)

    async def ensure_key(self, merchant_id: str, key: str) -> KeyInfo:
        return await self.keys.ensure(merchant_id, key)

    async def list_keys(self) -> Sequence[KeyInfo]:
        return await self.keys.all()

    async def revoke_key(self, id: str) -> KeyInfo:
        return await self.keys.revoke(id)

    async def forget_key(self, key: str) -> None:
        await self.keys.forget(key)
