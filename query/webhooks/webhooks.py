"""Whether the merchant is told of what happens, by webhooks (docs/webhooks.md)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.instant import render
from meterhouse.domain.webhook import Webhooks
from query.answers import failures
from query.backend import Merchant, Ports
from query.fields import MerchantId
from query.route import RawRoute, new_router
from query.sales.products import own_merchant
from query.wire import ErrorBody, Moment, ValidationErrorBody, Wire

router = new_router()
bodiless = new_router(RawRoute)  # a client that has nothing to send says no Content-Type either

_CAMEL = ConfigDict(alias_generator=to_camel)


class WebhooksAsked(BaseModel):
    """The key's own merchant, whether or not it is named."""

    model_config = _CAMEL

    merchant_id: MerchantId | None = None


class WebhooksChanges(BaseModel):
    enabled: StrictBool


class WebhooksBody(Wire):
    object: Literal["webhooks"] = "webhooks"
    application_id: str
    merchant_id: str
    enabled: bool
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, webhooks: Webhooks) -> WebhooksBody:
        return cls(
            application_id=webhooks.application_id,
            merchant_id=webhooks.merchant_id,
            enabled=webhooks.enabled,
            created_at=render(webhooks.created_at),
            updated_at=render(webhooks.updated_at),
        )


class DuplicateBody(ErrorBody):
    """There can be one only, and it is there."""

    code: Literal["DUPLICATE_RESOURCE"]


_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": DuplicateBody | ValidationErrorBody, "description": "They are there, or what is wrong."}
}


@bodiless.post(
    "/v0/webhooks",
    status_code=201,
    operation_id="createWebhooks",
    responses=failures(403, 413) | _REFUSED,
)
async def enable(asked: Annotated[WebhooksAsked, Query()], merchant: Merchant, ports: Ports) -> WebhooksBody:
    """Turn webhooks on, once; from then on an update pauses them, or lets them go on."""
    own_merchant(asked.merchant_id, merchant)
    now = ports.clock.now()
    webhooks = Webhooks(
        merchant_id=merchant, application_id=new_id("app"), enabled=True, created_at=now, updated_at=now
    )
    return WebhooksBody.of(await ports.told.webhooks.enable(webhooks))


@router.get("/v0/webhooks", operation_id="getWebhooks", responses=failures(400, 403, 404))
async def get(asked: Annotated[WebhooksAsked, Query()], merchant: Merchant, ports: Ports) -> WebhooksBody:
    """Whether webhooks are on; 404 where they never were."""
    own_merchant(asked.merchant_id, merchant)
    return WebhooksBody.of(await ports.told.webhooks.get(merchant))


@router.patch("/v0/webhooks", operation_id="updateWebhooks", responses=failures(400, 403, 404, 413, 415))
async def update(
    body: WebhooksChanges, asked: Annotated[WebhooksAsked, Query()], merchant: Merchant, ports: Ports
) -> WebhooksBody:
    """Pause webhooks, or let them go on: what there is to tell waits meanwhile."""
    own_merchant(asked.merchant_id, merchant)
    switched = ports.told.webhooks.switch(merchant, enabled=body.enabled, at=ports.clock.now())
    return WebhooksBody.of(await switched)


@router.delete(
    "/v0/webhooks", status_code=204, operation_id="deleteWebhooks", responses=failures(400, 403, 404)
)
async def disable(asked: Annotated[WebhooksAsked, Query()], merchant: Merchant, ports: Ports) -> None:
    """Pause webhooks: endpoints stay, and so does what there is to tell."""
    own_merchant(asked.merchant_id, merchant)
    await ports.told.webhooks.switch(merchant, enabled=False, at=ports.clock.now())
