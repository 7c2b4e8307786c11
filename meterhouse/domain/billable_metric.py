"""The definition of a billable metric: which events it counts, which value, how they add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from meterhouse.domain.instant import Instant
from meterhouse.domain.tombstone import NO_TOMBSTONES, Tombstones

Path = tuple[str, ...]


class Aggregation(StrEnum):
    """How the values of a billable metric add up (contract 3.2)."""

    SUM = "SUM"
    COUNT = "COUNT"
    AVG = "AVG"
    MIN = "MIN"
    MAX = "MAX"
    UNIQUE_COUNT = "UNIQUE_COUNT"
    LATEST = "LATEST"

    @classmethod
    def _missing_(cls, value: object) -> Aggregation | None:
        return cls.LATEST if value == "LAST" else None

    @property
    def needs_value(self) -> bool:
        """Whether an event without a number at the value path cannot be counted."""
        return self not in (Aggregation.COUNT, Aggregation.UNIQUE_COUNT)


def parse_path(text: str) -> Path:
    """`$.a.b.c` as ("a", "b", "c"); ValueError for anything else (contract 3.2)."""
    head, *segments = text.split(".")
    legal = all(part.isascii() and part.replace("_", "a").isalnum() for part in segments)
    if head != "$" or not segments or not legal:
        raise ValueError("must look like $.a.b.c with letters, digits and underscores")
    return tuple(segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One version of a billable metric: all that decides what an event counts for it.

    `namespace` is the merchant. `dimensions` pairs each name with its path, sorted by name; a metered
    event carries its dimension values in that order. No `event_type`: it counts nothing. What `tombstones`
    hide it does not count; those that reads of usage have no need of may be missing.
    """

    billable_metric_id: str
    version: int
    namespace: str
    aggregation: Aggregation
    event_type: str | None = None
    value_path: Path | None = None
    dimensions: tuple[tuple[str, Path], ...] = ()
    event_from: Instant | None = None
    tombstones: Tombstones = field(default=NO_TOMBSTONES, compare=False, repr=False)

    @property
    def dimension_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.dimensions)


class VersionState(StrEnum):
    """BUILDING: live events count, older ones are still being counted. ACTIVE: complete; readers see it.

    RETIRED: replaced, or cancelled while it was building. DROPPED: its rows are deleted too.
    """

    BUILDING = "building"
    ACTIVE = "active"
    RETIRED = "retired"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVersion:
    """A definition, and how far it has come."""

    definition: Definition
    state: VersionState


@dataclass(frozen=True, slots=True, kw_only=True)
class BillableMetric:
    """A billable metric as its merchant knows it."""

    id: str
    merchant_id: str
    product_id: str
    item_id: str | None
    name: str
    description: str
    unit: str
    aggregation: Aggregation
    event_type: str | None
    value_property: str | None
    group_by: dict[str, str] | None
    event_from: Instant | None
    version: int
    created_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a merchant sells; billable metrics hang on it."""

    id: str
    merchant_id: str
    name: str
    description: str
    metadata: dict[str, str]
    created_at: Instant
    updated_at: Instant
