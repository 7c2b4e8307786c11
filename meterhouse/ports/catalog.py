"""Who asks, what he offers, and his customers. Every docstring says what a repeated call does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from meterhouse.domain.billable_metric import Product
from meterhouse.domain.customer import Consumer, Customer, CustomerFilter
from meterhouse.domain.instant import Instant

T = TypeVar("T")


class KeyRing(Protocol):
    """Who may call."""

    async def merchant_of(self, key: str) -> str | None:
        """The merchant that the API key belongs to; None for an unknown or revoked key."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, and how many there are in all."""

    items: tuple[T, ...]
    total: int


class ProductCatalog(Protocol):
    """Products of a merchant; every call is bound to it, so another merchant's product is NotFound."""

    async def create(self, product: Product) -> Product: ...

    async def get(self, merchant_id: str, id: str) -> Product: ...

    async def page(self, merchant_id: str, limit: int, offset: int) -> Page[Product]:
        """Oldest first, so that pages stay stable while products are added."""

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Product:
        """Set the named fields (of name, description, metadata, updated_at)."""


class CustomerCatalog(Protocol):
    """Customers of a merchant and their consumers; another merchant's are NotFound, and match nothing.

    Raises Conflict where an external id is taken by another customer of the merchant.
    """

    async def create(self, customer: Customer) -> Customer:
        """Store it, or answer with the customer that the consumer already is, which stays as it was.

        Where the merchant has a consumer of the same email, whatever its case, that one is the consumer.
        """

    async def consumer(self, merchant_id: str, id: str) -> Consumer: ...

    async def get(self, merchant_id: str, id: str) -> Customer: ...

    async def page(self, merchant_id: str, wanted: CustomerFilter, limit: int, offset: int) -> Page[Customer]:
        """Oldest first, so that pages stay stable while customers are added."""

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Customer:
        """Set the named fields (of tax_id, external_id, tax_rates, updated_at and Notifications)."""

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        """Forget the customer; again is NotFound. Its consumer stays, and may become a customer again.

        Raises Conflict with blockers while it has entitlements that have not ended `at` that instant.
        """

    async def linked(self, merchant_id: str) -> Mapping[str, str]:
        """The customer's id for every external id of the merchant's."""

    async def names(self, merchant_id: str, ids: Sequence[str] | None) -> Mapping[str, str]:
        """What those of these that are customers are called, by customer id; None is all customers."""

    async def external_ids(self, merchant_id: str, ids: Sequence[str]) -> Mapping[str, str]:
        """The external ids of those of these customers that have one, by customer id."""
