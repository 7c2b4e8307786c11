"""What entitlements come to, for whoever tells merchants of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from meterhouse.domain.entitlement import require_bearable
from meterhouse.domain.holding import GivenGrant, Holding
from meterhouse.domain.instant import Instant
from meterhouse.domain.look import Sighting
from meterhouse.ports.entitlements import Holdings
from meterhouse.ports.metrics import MetricCatalog
from meterhouse.ports.usage import PhaseReader
from query.entitlements.balances import standings_at
from query.entitlements.body import detail
from query.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class BalanceObserver:
    """Implements Observer by the balances that are answered, in the JSON that they are answered in."""

    holdings: Holdings
    metrics: MetricCatalog
    snapshots: Snapshots = field(default_factory=Snapshots)

    @property
    def recent(self) -> PhaseReader:
        """Usage as it is: what is asked here is not asked again in a moment."""
        return self.holdings.phases

    async def sight(self, merchant_id: str, asked: Sequence[tuple[Holding, Instant]]) -> Sequence[Sighting]:
        for holding, at in asked:
            require_bearable(holding.entitlement, at, "at")
        found = await standings_at(self, merchant_id, asked)
        return [Sighting(one.at, one.balance, detail(one)) for one in found]

    async def given(self, merchant_id: str, entitlement_id: str, grant_id: str) -> GivenGrant:
        return await self.holdings.grants.get(merchant_id, entitlement_id, grant_id)
