"""What a merchant sells, and at what price, as ports. Every docstring says what a repeated call does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from meterhouse.domain.cost import Cost
from meterhouse.domain.feature import Feature
from meterhouse.domain.instant import Instant
from meterhouse.domain.item import Claim, ExternalReference, Fee, Item, ItemFilter, ReferenceFilter
from meterhouse.domain.plan import NewVersion, Plan, PlanFilter, PlanVersion, VersionSummary
from meterhouse.domain.price import Price
from meterhouse.ports.catalog import Page


class FeatureCatalog(Protocol):
    """Features of a merchant's products; another merchant's are NotFound, and so is what is deleted.

    Raises Conflict where a key is taken by another feature of the product.
    """

    async def create(self, feature: Feature) -> Feature: ...

    async def get(self, merchant_id: str, id: str) -> Feature: ...

    async def page(
        self, merchant_id: str, product_id: str, key: str | None, limit: int, offset: int
    ) -> Page[Feature]:
        """Oldest first, so that pages stay stable while features are added."""

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Feature:
        """Set the named fields (of key, name, type, metadata, updated_at)."""

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        """Free its key; again is NotFound. What was promised with the feature goes on to name it."""


class ItemCatalog(Protocol):
    """Items of a merchant; another merchant's are NotFound."""

    async def create(self, item: Item) -> Item:
        """Raises NotFound for a product that is not the merchant's."""

    async def get(self, merchant_id: str, id: str) -> Item: ...

    async def page(self, merchant_id: str, wanted: ItemFilter, limit: int, offset: int) -> Page[Item]:
        """Oldest first; by a code, the item that claims it first."""

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Item:
        """Set the named fields (of product_id, name, metadata, archived_at, updated_at).

        Another product is that of the item's charges too. Archiving releases its claims on codes; Conflict
        with blockers while charges are filed under it.
        """


class ReferenceCatalog(Protocol):
    """External references of a merchant; another merchant's are NotFound."""

    async def create(self, reference: ExternalReference, claim: Claim) -> ExternalReference:
        """Raises NotFound for an entity that is not the merchant's, Conflict where the entity has the code
        already, and where another claims it and `claim` does not move it.
        """

    async def get(self, merchant_id: str, id: str) -> ExternalReference: ...

    async def page(
        self, merchant_id: str, wanted: ReferenceFilter, limit: int, offset: int
    ) -> Page[ExternalReference]:
        """Oldest first."""

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> ExternalReference:
        """Set the named fields (of external_label, metadata, is_primary, is_default, updated_at).

        Being the default moves within the entity; a claim that another has is a Conflict.
        """

    async def delete(self, merchant_id: str, id: str) -> None:
        """Forget it; again is NotFound."""


class FeeCatalog(Protocol):
    """Fees of a merchant; another merchant's are NotFound, and so is what is deleted."""

    async def create(self, fee: Fee) -> Fee:
        """Raises NotFound for a product or an item that is not the merchant's, Invalid for an item that
        cannot take the fee.
        """

    async def get(self, merchant_id: str, id: str) -> Fee: ...

    async def page(
        self, merchant_id: str, product_id: str | None, item_id: str | None, limit: int, offset: int
    ) -> Page[Fee]:
        """Oldest first."""

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Fee:
        """Set the named fields (of name, description, item_id, updated_at). Raises what `create` raises."""

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        """Again is NotFound. Raises Conflict with blockers while it has prices."""


class PriceCatalog(Protocol):
    """Prices of a merchant; another merchant's are NotFound, and so is what is deleted."""

    async def create(self, price: Price) -> Price:
        """Raises NotFound for a billable metric, a fee or a feature that is not the merchant's."""

    async def get(self, merchant_id: str, id: str) -> Price: ...

    async def page(
        self, merchant_id: str, billable_metric_id: str | None, limit: int, offset: int
    ) -> Page[Price]:
        """Oldest first."""

    async def update(self, merchant_id: str, id: str, change: Callable[[Price], Price]) -> Price:
        """Store what `change` makes of the price, which nobody else changes meanwhile.

        `change` may raise Rejected, and then nothing is stored. Raises what `create` raises, and PriceCharged
        where live subscriptions are charged by it and it would be billed in another way.
        """

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        """Again is NotFound. Raises Conflict with blockers while plans charge it."""


class PlanCatalog(Protocol):
    """Plans of a merchant, with the prices of their default versions; another merchant's are NotFound."""

    async def create(self, plan: Plan, first: NewVersion) -> Plan:
        """Raises NotFound for a product or a price that is not the merchant's."""

    async def get(self, merchant_id: str, id: str) -> Plan: ...

    async def page(self, merchant_id: str, wanted: PlanFilter, limit: int, offset: int) -> Page[Plan]:
        """Oldest first."""

    async def update(
        self, merchant_id: str, id: str, change: Callable[[Plan], Plan], prices: NewVersion | None
    ) -> Plan:
        """Store what `change` makes of the plan, which nobody else changes meanwhile.

        `prices` become the default version, unless the default one has just these; prices that the plan
        has already keep the keys of their lines. Raises NotFound for a price that is not the merchant's.
        """


class PlanVersionCatalog(Protocol):
    """Versions of a merchant's plans; another merchant's are NotFound. A version never changes."""

    async def page(self, merchant_id: str, plan_id: str, limit: int, offset: int) -> Page[VersionSummary]:
        """Newest first."""

    async def get(self, merchant_id: str, plan_id: str, number: int) -> PlanVersion: ...

    async def mint(self, merchant_id: str, plan_id: str, new: NewVersion) -> PlanVersion:
        """Make the next version, and the default of it; again makes another.

        Raises NotFound for a price that is not the merchant's, Conflict where the default version is not
        the one that it is based on.
        """

    async def make_default(self, merchant_id: str, plan_id: str, number: int, at: Instant) -> PlanVersion:
        """Again changes nothing. Raises Conflict where the version holds a deleted price."""


class CostCatalog(Protocol):
    """Costs of a merchant; another merchant's are NotFound, and so is what is deleted.

    Its metric is counted as every billable metric is, under the cost's id; MetricCatalog serves it.
    """

    async def create(self, cost: Cost) -> Cost:
        """Raises NotFound for a product that is not the merchant's."""

    async def get(self, merchant_id: str, id: str) -> Cost: ...

    async def page(self, merchant_id: str, product_id: str | None, limit: int, offset: int) -> Page[Cost]:
        """Oldest first."""

    async def every(self, merchant_id: str) -> Sequence[Cost]:
        """Oldest first."""

    async def update(self, merchant_id: str, id: str, change: Callable[[Cost], Cost]) -> Cost:
        """Store what `change` makes of the cost, which nobody else changes meanwhile.

        `change` may raise Rejected, and then nothing is stored. What it says of how the cost is counted makes
        a new building version, as for any billable metric.
        """

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        """It is counted no more, and what was counted goes; again is NotFound."""
