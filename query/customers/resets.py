"""`POST /v0/merchants/{merchantId}/reset` (contract 2; docs/resets.md): a sandbox begins anew."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Final, Literal

import anyio
from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.domain.errors import NotFound, NotYetCounted
from meterhouse.domain.instant import SECOND, Instant
from meterhouse.domain.reset import SLACK, OneCustomer, ResetScope, WholeMerchant
from query.answers import failures
from query.backend import Backend, Merchant, Ports
from query.fields import CustomerId
from query.freshness import Patience
from query.route import new_router

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_PATIENCE_SECONDS: Final = 2.0  # for what counts anew; published clients wait for 5


class MerchantScopeAsked(BaseModel):
    """Customers with all that is attached to them, test clocks and usage. Without `keepCatalog` also
    products, plans, prices, fees, features, items, costs and billable metrics.
    """

    model_config = _CAMEL

    scope: Literal["merchant"]
    keep_catalog: StrictBool

    def wanted(self) -> ResetScope:
        return WholeMerchant(self.keep_catalog)


class CustomerScopeAsked(BaseModel):
    """One customer with all that is attached to it, and its usage."""

    model_config = _CAMEL

    scope: Literal["customer"]
    customer_id: CustomerId

    def wanted(self) -> ResetScope:
        return OneCustomer(self.customer_id)


Asked = Annotated[
    Annotated[MerchantScopeAsked | CustomerScopeAsked, Field(discriminator="scope")],
    Body(examples=[{"scope": "merchant", "keepCatalog": True}]),
]


@router.post(
    "/v0/merchants/{merchantId}/reset",
    status_code=204,
    operation_id="resetMerchant",
    responses=failures(400, 403, 404, 409, 413, 415),
)
async def reset(merchantId: str, body: Asked, merchant: Merchant, ports: Ports) -> None:  # noqa: N803 # the contract's name
    """Delete what a sandbox has, and hide its usage so far. Events stay in the log, and can be looked up."""
    if merchantId != merchant:
        raise NotFound(f"there is no merchant {merchantId}")
    at = await ports.resets.reset(merchant, body.wanted(), ports.clock.now())
    await _until_past(ports, at)
    await _until_counted(ports, merchant)


async def _until_past(ports: Backend, at: Instant) -> None:
    """Until what is sent after the answer is received after the tombstone, on any machine."""
    left = at + SLACK - ports.clock.now()
    await anyio.sleep(max(0, left) / SECOND)


async def _until_counted(ports: Backend, merchant: str) -> None:
    """Until every billable metric is counted without what is hidden, or patience ends: it will be."""
    servings = await ports.directory.serving(merchant)
    with suppress(NotYetCounted, NotFound), anyio.move_on_after(_PATIENCE_SECONDS):
        await Patience(ports, ()).for_versions(merchant, servings)
