"""What became of all that the merchant was told, and telling it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.domain.instant import render
from meterhouse.domain.webhook import Delivery, DeliveryFilter, DeliveryState, NoticeType
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.fields import PageLimit, PageOffset, checked_id
from query.route import RawRoute, new_router
from query.wire import ListBody, Moment, Wire, pagination

router = new_router()
bodiless = new_router(RawRoute)

_CAMEL = ConfigDict(alias_generator=to_camel)
MOST_ATTEMPTS: Final = 50

EndpointId = Annotated[str, Field(pattern="^ep_[a-zA-Z0-9]+$", max_length=255)]
NoticeId = Annotated[str, Field(pattern="^msg_[a-zA-Z0-9]+$", max_length=255)]


class DeliveriesAsked(BaseModel):
    model_config = _CAMEL

    endpoint_id: EndpointId | None = None
    webhook_id: NoticeId | None = None
    state: DeliveryState | None = None
    limit: PageLimit = 20
    offset: PageOffset = 0


class DeliveryBody(Wire):
    """`webhookId` is that of the header, the same in every attempt."""

    id: str
    object: Literal["webhookDelivery"] = "webhookDelivery"
    endpoint_id: str
    webhook_id: str
    event_type: NoticeType
    timestamp: Moment = Field(description="When what it tells of came about.")
    state: DeliveryState
    attempts: int
    next_attempt_at: Moment = Field(default="", description="Only of one that is pending.")
    last_attempt_at: Moment = Field(default="", description="Only once there was an attempt.")
    last_status: int = Field(default=0, description="Only where the last attempt was answered.")
    last_error: str = Field(default="", description="Only where it was not.")
    created_at: Moment


class AttemptBody(Wire):
    at: Moment
    status: int = Field(default=0, description="Only where it was answered.")
    error: str = Field(default="", description="Only where it was not.")


class WholeDeliveryBody(DeliveryBody):
    payload: str = Field(description="The JSON text as it is sent, to the byte.")
    history: list[AttemptBody] = Field(
        description=f"The newest {MOST_ATTEMPTS} attempts, newest first, those before a replay among them."
    )


@router.get(
    "/api/v1/webhooks/deliveries",
    operation_id="listWebhookDeliveries",
    responses={**failures(400), 200: {"model": ListBody[DeliveryBody], "description": "One page."}},
    response_model=None,
)
async def page(asked: Annotated[DeliveriesAsked, Query()], merchant: Merchant, ports: Ports) -> Response:
    """List deliveries, newest first."""
    wanted = DeliveryFilter(endpoint_id=asked.endpoint_id, notice_id=asked.webhook_id, state=asked.state)
    found = await ports.told.deliveries.page(merchant, wanted, asked.limit, asked.offset)
    data = [_body(one) for one in found.items]
    of_page = pagination(found, asked.limit, asked.offset).model_dump()
    return json_answer({"object": "list", "data": data, "pagination": of_page})


@router.get(
    "/api/v1/webhooks/deliveries/{id}",
    operation_id="getWebhookDelivery",
    responses={**failures(404), 200: {"model": WholeDeliveryBody, "description": "The delivery."}},
    response_model=None,
)
async def get(id: str, merchant: Merchant, ports: Ports) -> Response:
    """Get a delivery with what is sent."""
    return await _answer(await ports.told.deliveries.get(merchant, checked(id)), ports)


@bodiless.post(
    "/api/v1/webhooks/deliveries/{id}/replay",
    operation_id="replayWebhookDelivery",
    responses={**failures(404, 413), 200: {"model": WholeDeliveryBody, "description": "Pending."}},
    response_model=None,
)
async def replay(id: str, merchant: Merchant, ports: Ports) -> Response:
    """Deliver it again, under the same webhook id, whatever became of it: all its attempts begin anew."""
    replayed = await ports.told.deliveries.replay(merchant, checked(id), ports.clock.now())
    return await _answer(replayed, ports)


async def _answer(delivery: Delivery, ports: Backend) -> Response:
    made = await ports.told.deliveries.attempts(delivery.notice.merchant_id, delivery.id, MOST_ATTEMPTS)
    history = [{"at": render(one.at), **_some({"status": one.status, "error": one.error})} for one in made]
    return json_answer(_body(delivery) | {"payload": delivery.notice.payload, "history": history})


def _body(delivery: Delivery) -> dict[str, Any]:
    moments = {"nextAttemptAt": delivery.next_at, "lastAttemptAt": delivery.last_attempt_at}
    answer = {"lastStatus": delivery.last_status, "lastError": delivery.last_error}
    return {
        "id": delivery.id,
        "object": "webhookDelivery",
        "endpointId": delivery.endpoint_id,
        "webhookId": delivery.notice.id,
        "eventType": delivery.notice.type,
        "timestamp": render(delivery.notice.at),
        "state": delivery.state,
        "attempts": delivery.attempts,
        **{name: render(instant) for name, instant in moments.items() if instant is not None},
        **_some(answer),
        "createdAt": render(delivery.created_at),
    }


def _some(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields that there are."""
    return {name: value for name, value in fields.items() if value is not None}


def checked(id: str) -> str:
    """`id` if it can be a delivery's; NotFound otherwise."""
    return checked_id(id, "dlv", "webhook delivery")
