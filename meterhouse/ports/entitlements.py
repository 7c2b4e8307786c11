"""What customers hold, as ports. Every docstring says what a repeated call does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from meterhouse.domain.entitlement import Entitlement
from meterhouse.domain.grant import Grant
from meterhouse.domain.holding import GivenGrant, Holding, HoldingFilter, Purchase
from meterhouse.domain.instant import Instant
from meterhouse.domain.invoice import Invoice
from meterhouse.domain.window import Window
from meterhouse.ports.catalog import Page
from meterhouse.ports.usage import PhaseReader


class EntitlementCatalog(Protocol):
    """Entitlements of a merchant's customers; another merchant's are NotFound."""

    async def issue(
        self, entitlement: Entitlement, billable_metric_id: str | None, first: GivenGrant | None
    ) -> Holding:
        """Store it with its template's grant.

        Raises NotFound for a customer, a feature or a subscription that is not the merchant's, Invalid for
        the subscription of another customer. Conflict where the subscription is over, or where the customer
        is entitled to the feature already, within the same subscription or both without one.
        """

    async def get(self, merchant_id: str, id: str) -> Holding: ...

    async def page(self, merchant_id: str, wanted: HoldingFilter, limit: int, offset: int) -> Page[Holding]:
        """Those that have not ended at `wanted.at` first, then oldest first."""

    async def priced_metrics(
        self, merchant_id: str, feature_id: str, subscription_id: str | None
    ) -> Sequence[str]:
        """The billable metrics that prices join with the feature: the one of the subscription's plan, if it
        does, or else those of all live prices. Raises NotFound for a subscription that is not the merchant's.
        """


class GrantCatalog(Protocol):
    """Grants of entitlements; those of another merchant are NotFound."""

    async def create(self, merchant_id: str, given: GivenGrant) -> GivenGrant:
        """The same under the same idempotency key is the grant that was made; another is a Conflict."""

    async def get(self, merchant_id: str, entitlement_id: str, id: str) -> GivenGrant: ...

    async def page(
        self, merchant_id: str, entitlement_id: str, *, voided: bool, limit: int, offset: int
    ) -> Page[GivenGrant]:
        """Oldest first; `voided` ones too if asked for."""

    async def void(self, merchant_id: str, entitlement_id: str, id: str, at: Instant) -> GivenGrant:
        """End it `at` an instant, or when its test clock says that is. Again changes nothing."""


class PurchaseCatalog(Protocol):
    """Purchases of grants; those of another merchant are NotFound."""

    async def order(self, merchant_id: str, purchase: Purchase) -> Purchase:
        """The same under the same idempotency key is the purchase that was made; another is a Conflict."""

    async def pay(
        self, merchant_id: str, invoice_id: str, grant: Callable[[Purchase, Instant], Grant], at: Instant
    ) -> GivenGrant:
        """It is paid `at` an instant, or when its test clock says that is: give the grant that `grant` makes
        of it and of that instant. Again answers with that one.
        """

    async def invoices(self, merchant_id: str, period: Window) -> Sequence[Invoice]:
        """Those of the purchases that were ordered in the period, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """All that balances are asked of."""

    entitlements: EntitlementCatalog
    grants: GrantCatalog
    purchases: PurchaseCatalog
    phases: PhaseReader
