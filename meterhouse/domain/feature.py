"""Features of a product: what a customer may be entitled to (contract 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from meterhouse.domain.instant import Instant


class FeatureType(StrEnum):
    """METERED: so much of it. STATIC: a configuration. BOOLEAN: it is there or not."""

    METERED = "metered"
    STATIC = "static"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A feature, whose `key` no other one of its product has.

    `metadata` may name the billable metric of a metered one, as "billableMetricId" (contract 10, decision 2).
    """

    id: str
    merchant_id: str
    product_id: str
    key: str
    name: str
    type: FeatureType
    metadata: Mapping[str, str]
    created_at: Instant
    updated_at: Instant
