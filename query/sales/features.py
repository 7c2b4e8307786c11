"""Features (contract 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.errors import Invalid, NotFound
from meterhouse.domain.feature import Feature, FeatureType
from query.answers import failures
from query.backend import Backend, Merchant, Ports
from query.entitlements.thresholds import require_thresholds
from query.fields import FeatureKey, Line, MerchantId, Metadata, PageLimit, PageOffset, ProductId, checked_id
from query.route import new_router
from query.sales.products import own_merchant, refuse_nulls
from query.sales.wire import FeatureBody
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_METRIC: Final = "billableMetricId"


class NewFeature(BaseModel):
    """`key` is the product's alone. `metadata.billableMetricId` names what a metered one is measured by."""

    model_config = _CAMEL

    key: FeatureKey
    name: Line
    merchant_id: MerchantId
    product_id: ProductId
    type: FeatureType = FeatureType.BOOLEAN
    metadata: Metadata = {}


class FeatureChanges(BaseModel):
    """What is absent stays as it is."""

    model_config = _CAMEL

    key: FeatureKey | None = None
    name: Line | None = None
    type: FeatureType | None = None
    metadata: Metadata | None = None


class FeaturesAsked(BaseModel):
    model_config = _CAMEL

    product_id: ProductId
    key: Line | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


@router.post(
    "/v0/features",
    status_code=201,
    operation_id="createFeature",
    responses=failures(400, 403, 404, 409, 413, 415),
)
async def create(body: NewFeature, merchant: Merchant, ports: Ports) -> FeatureBody:
    """Create a feature of a product."""
    own_merchant(body.merchant_id, merchant)
    require_thresholds(body.metadata)
    await _require_metric(body.metadata, merchant, ports)
    now = ports.clock.now()
    feature = Feature(
        id=new_id("feat"),
        merchant_id=merchant,
        product_id=body.product_id,
        key=body.key,
        name=body.name,
        type=body.type,
        metadata=body.metadata,
        created_at=now,
        updated_at=now,
    )
    return FeatureBody.of(await ports.features.create(feature))


async def _require_metric(metadata: Mapping[str, str], merchant: str, ports: Backend) -> None:
    """Raises Invalid where the metadata name a billable metric that the merchant does not have."""
    if _METRIC not in metadata:
        return
    id = metadata[_METRIC]
    try:
        await ports.metrics.get(merchant, checked_id(id, "bm", "billable metric"))
    except NotFound as error:
        raise Invalid.field(f"metadata.{_METRIC}", f"names no billable metric: {id}") from error


@router.get("/v0/features", operation_id="listFeatures", responses=failures(400, 404))
async def page(
    asked: Annotated[FeaturesAsked, Query()], merchant: Merchant, ports: Ports
) -> ListBody[FeatureBody]:
    """List a product's features, oldest first."""
    found = await ports.features.page(merchant, asked.product_id, asked.key, asked.limit, asked.offset)
    data = [FeatureBody.of(feature) for feature in found.items]
    return ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset))


@router.get("/v0/features/{id}", operation_id="getFeature", responses=failures(404))
async def get(id: str, merchant: Merchant, ports: Ports) -> FeatureBody:
    """Get a feature."""
    return FeatureBody.of(await ports.features.get(merchant, _checked(id)))


@router.patch("/v0/features/{id}", operation_id="updateFeature", responses=failures(400, 404, 409, 413, 415))
async def update(id: str, body: FeatureChanges, merchant: Merchant, ports: Ports) -> FeatureBody:
    """Change a feature's key, name, type or metadata; what is absent stays."""
    id = _checked(id)
    changes = body.model_dump(exclude_unset=True)
    refuse_nulls(changes)
    if not changes:
        return FeatureBody.of(await ports.features.get(merchant, id))
    require_thresholds(changes.get("metadata", {}))
    await _require_metric(changes.get("metadata", {}), merchant, ports)
    changes["updated_at"] = ports.clock.now()
    return FeatureBody.of(await ports.features.update(merchant, id, changes))


@router.delete("/v0/features/{id}", status_code=204, operation_id="deleteFeature", responses=failures(404))
async def delete(id: str, merchant: Merchant, ports: Ports) -> None:
    """Delete a feature. Its key is free again; entitlements to it stay as they are."""
    await ports.features.delete(merchant, _checked(id), ports.clock.now())


def _checked(id: str) -> str:
    return checked_id(id, "feat", "feature")
