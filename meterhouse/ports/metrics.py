"""Billable metrics and the versions of their definitions. Every docstring says what a repeated call does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meterhouse.domain.billable_metric import BillableMetric, Definition, MetricVersion
from meterhouse.ports.catalog import Page


@dataclass(frozen=True, slots=True)
class Serving:
    """A billable metric, the version readers see, and the newest one (often the same)."""

    metric: BillableMetric
    shown: MetricVersion
    newest: MetricVersion


class MetricCatalog(Protocol):
    """Billable metrics of a merchant and their versions; another merchant's metric is NotFound."""

    async def create(self, metric: BillableMetric) -> BillableMetric:
        """Store it with version 1, building until every event accepted before it is counted."""

    async def get(self, merchant_id: str, id: str) -> Serving:
        """`shown` is the active version, or the newest where none is active yet."""

    async def page(
        self, merchant_id: str, product_id: str | None, item_id: str | None, limit: int, offset: int
    ) -> Page[BillableMetric]: ...

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> BillableMetric:
        """Set the named fields of BillableMetric. A change of event_type, value_property, group_by or
        event_from makes a new building version; a change to what already stands makes none.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionProgress:
    """A metric version, and how many records of the log, of those from before it, it has been shown."""

    version: MetricVersion
    name: str
    counted: int
    total: int


class VersionCatalog(Protocol):
    """The versions of billable metrics; another merchant's metric is NotFound."""

    async def of(self, merchant_id: str, id: str) -> Sequence[VersionProgress]:
        """Every version, oldest first."""

    async def building(self) -> Sequence[VersionProgress]:
        """Those of every merchant that are not complete yet."""

    async def cancel(self, merchant_id: str, id: str, version: int) -> None:
        """Retire a building version: the metric is defined again as its active version says.

        Raises Conflict for one that is not building, for the only one, and where a reset made it necessary.
        """


class RetiredVersions(Protocol):
    """Versions whose rows nobody needs."""

    async def droppable(self) -> Sequence[Definition]:
        """Retired ones that no worker writes any more."""

    async def dropped(self, definition: Definition) -> None:
        """Its rows are deleted. Again changes nothing."""


class VersionRows(Protocol):
    """Where the rows of versions are."""

    async def drop_version(self, namespace: str, billable_metric_id: str, version: int) -> None:
        """Delete them, on every shard. Doing it again changes nothing."""


class MetricDirectory(Protocol):
    """All that a merchant counts."""

    async def serving(self, merchant_id: str) -> Sequence[Serving]: ...

    async def all_serving(self) -> Sequence[Serving]:
        """Those of every merchant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedMetric:
    """What readers of the tables need to know of a billable metric; `version` is the one to read, or 0."""

    namespace: str
    billable_metric_id: str
    version: int
    aggregation: str
    name: str
    unit: str
    dimensions: tuple[str, ...]


class MetricPublication(Protocol):
    """The catalog's billable metrics where the rollups are, for whoever reads those without us."""

    async def published(self) -> Mapping[PublishedMetric, int]:
        """Every metric as it was last published, with its revision; those of version 0 are left out."""

    async def publish(self, metrics: Mapping[PublishedMetric, int]) -> None:
        """Add these revisions; of one metric the highest is shown. The same again changes nothing."""
