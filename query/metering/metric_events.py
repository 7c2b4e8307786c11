"""Which events were counted? `GET /v0/billableMetrics/{id}/events` (contract 3.2)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.event import Event
from meterhouse.domain.instant import render
from meterhouse.domain.usage import EventPage, EventPageQuestion
from query.answers import failures, json_answer
from query.backend import Merchant, Ports
from query.fields import After, Between, PageOffset, Timestamp, checked_id
from query.freshness import AfterHeader
from query.metering.meter import FRESHNESS_HEADERS
from query.metering.wire import MeterEventListBody
from query.reading import fresh_serving, period_of, state_header, steady
from query.route import new_router

router = new_router()


class EventsAsked(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    from_: Timestamp = Field(alias="from", description="Included.")
    to: Timestamp = Field(description="Not included.")
    subject: str | None = None
    external_id: str | None = None
    external_subject: str | None = None
    limit: Annotated[int, Between(1, 200)] = 20
    offset: PageOffset = 0
    after: After = ()


@router.get(
    "/v0/billableMetrics/{id}/events",
    operation_id="listBillableMetricEvents",
    responses={
        **failures(400, 404, 504),
        200: {"model": MeterEventListBody, "description": "One page.", "headers": FRESHNESS_HEADERS},
    },
    response_model=None,
)
async def events(
    id: str, asked: Annotated[EventsAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """The events that a billable metric counts in a period, newest first."""
    id = checked_id(id, "bm", "billable metric")
    period = period_of(asked.from_, asked.to)
    serving, headers = await fresh_serving(ports, merchant, id, (*asked.after, *after))

    async def ask(definition: Definition) -> EventPage:
        if definition.event_type is None:
            return EventPage((), 0)
        return await ports.usage.events(
            EventPageQuestion(
                definition=definition,
                period=period,
                subject=asked.subject,
                external_id=asked.external_id,
                external_subject=asked.external_subject,
                limit=asked.limit,
                offset=asked.offset,
            )
        )

    serving, page = await steady(ports, serving, ask)
    body = {
        "object": "list",
        "billableMetricId": id,
        "events": [event_body(event) for event in page.events],
        "pagination": {"limit": asked.limit, "offset": asked.offset, "total": page.total},
    }
    return json_answer(body, headers | state_header(serving))


def event_body(event: Event) -> dict[str, object]:
    """One event of the list, its data as it was sent."""
    body: dict[str, object] = {
        "id": event.id,
        "object": "meterEvent",
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "time": render(event.time),
        "idempotencyKey": event.id,
        "data": _data(event),
    }
    if event.external_id:
        body["externalId"] = event.external_id
    if event.external_subject:
        body["externalSubject"] = event.external_subject
    return body


def _data(event: Event) -> object:
    """An object, as the contract has no other data here; nothing of the rest is lost on the way."""
    data = event.data.strip()
    if data.startswith(b"{"):
        return msgspec.Raw(data)
    if data:
        return {"value": msgspec.Raw(data)}
    base64 = event.attributes.get("data_base64")
    return {} if base64 is None else {"data_base64": base64}
