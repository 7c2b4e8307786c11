"""External references: what other systems call items and customers (contract 2.4)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.item import Claim, EntityType, ExternalReference, ReferenceFilter
from query.answers import failures, model_answer
from query.backend import Merchant, Ports
from query.documents import Document
from query.fields import Line, MerchantId, PageLimit, PageOffset, checked_id
from query.route import new_router
from query.sales.products import own_merchant, refuse_nulls
from query.sales.wire import ReferenceBody
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_ONE: dict[int | str, dict[str, Any]] = {
    200: {"model": ReferenceBody, "description": "The external reference."}
}

Provider = Annotated[
    str,
    Field(
        pattern="^[a-z0-9]+(_[a-z0-9]+)*$", max_length=255, description="Such as `salesforce` or `netsuite`."
    ),
]


class NewReference(BaseModel):
    """A code claims that it leads to this entity alone, unless `isPrimary` is false.

    `moveClaim` takes the claim from whichever entity has it. `isDefault` marks the code to send to the
    provider; left out, the entity's first code there is it.
    """

    model_config = _CAMEL

    merchant_id: MerchantId
    entity_type: EntityType
    entity_id: Line
    provider: Provider
    external_id: Line
    external_label: Line | None = None
    metadata: Document = {}
    is_primary: StrictBool = True
    is_default: StrictBool | None = None
    move_claim: StrictBool = False


class ReferenceChanges(BaseModel):
    """What is absent stays as it is; null clears `externalLabel`."""

    model_config = _CAMEL

    external_label: Line | None = None
    metadata: Document | None = None
    is_primary: StrictBool | None = None
    is_default: StrictBool | None = None


class ReferencesAsked(BaseModel):
    model_config = _CAMEL

    merchant_id: MerchantId | None = None
    entity_type: EntityType | None = None
    entity_id: Line | None = None
    provider: Line | None = None
    external_id: Line | None = None
    limit: PageLimit = 50
    offset: PageOffset = 0


@router.post(
    "/v0/externalReferences",
    status_code=201,
    operation_id="createExternalReference",
    responses={
        **failures(400, 403, 404, 409, 413, 415),
        201: {"model": ReferenceBody, "description": "The external reference."},
    },
    response_model=None,
)
async def create(body: NewReference, merchant: Merchant, ports: Ports) -> Response:
    """Record what another system calls an item or a customer."""
    own_merchant(body.merchant_id, merchant)
    entity = body.entity_type
    prefix = {EntityType.ITEM: "itm", EntityType.CUSTOMER: "cus"}[entity]
    now = ports.clock.now()
    reference = ExternalReference(
        id=new_id("xrf"),
        merchant_id=merchant,
        entity_type=entity,
        entity_id=checked_id(body.entity_id, prefix, entity),
        provider=body.provider,
        external_id=body.external_id,
        external_label=body.external_label,
        metadata=body.metadata,
        is_primary=body.is_primary,
        is_default=False,
        created_at=now,
        updated_at=now,
    )
    claim = Claim(designate=body.is_default, move=body.move_claim)
    return model_answer(ReferenceBody.of(await ports.sales.references.create(reference, claim)), 201)


@router.get(
    "/v0/externalReferences",
    operation_id="listExternalReferences",
    responses={
        **failures(400, 403),
        200: {"model": ListBody[ReferenceBody], "description": "One page."},
    },
    response_model=None,
)
async def page(asked: Annotated[ReferencesAsked, Query()], merchant: Merchant, ports: Ports) -> Response:
    """List external references, oldest first."""
    own_merchant(asked.merchant_id, merchant)
    wanted = ReferenceFilter(
        entity_type=asked.entity_type,
        entity_id=asked.entity_id,
        provider=asked.provider,
        external_id=asked.external_id,
    )
    found = await ports.sales.references.page(merchant, wanted, asked.limit, asked.offset)
    data = [ReferenceBody.of(reference) for reference in found.items]
    return model_answer(ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset)))


@router.get(
    "/v0/externalReferences/{id}",
    operation_id="getExternalReference",
    responses={**failures(404), **_ONE},
    response_model=None,
)
async def get(id: str, merchant: Merchant, ports: Ports) -> Response:
    """Get an external reference."""
    return model_answer(ReferenceBody.of(await ports.sales.references.get(merchant, _checked(id))))


@router.patch(
    "/v0/externalReferences/{id}",
    operation_id="updateExternalReference",
    responses={**failures(400, 404, 409, 413, 415), **_ONE},
    response_model=None,
)
async def update(id: str, body: ReferenceChanges, merchant: Merchant, ports: Ports) -> Response:
    """Change a reference's label, metadata, claim or designation; what is absent stays."""
    id = _checked(id)
    changes = body.model_dump(exclude_unset=True)
    refuse_nulls(changes, "external_label")
    if not changes:
        return model_answer(ReferenceBody.of(await ports.sales.references.get(merchant, id)))
    changes["updated_at"] = ports.clock.now()
    return model_answer(ReferenceBody.of(await ports.sales.references.update(merchant, id, changes)))


@router.delete(
    "/v0/externalReferences/{id}",
    status_code=204,
    operation_id="deleteExternalReference",
    responses=failures(404),
)
async def delete(id: str, merchant: Merchant, ports: Ports) -> None:
    """Forget an external reference. Its code is free again."""
    await ports.sales.references.delete(merchant, _checked(id))


def _checked(id: str) -> str:
    return checked_id(id, "xrf", "external reference")
