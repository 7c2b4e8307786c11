"""What would become of an event? `POST /api/v1/events/dry-run`, which writes nothing (docs/queries.md)."""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.responses import Response

from meterhouse.adapters.cloudevents_json import encode
from meterhouse.adapters.event_documents import differences
from meterhouse.adapters.http.errors import UnsupportedMediaType
from meterhouse.domain.errors import TooLarge
from meterhouse.domain.event import Event
from meterhouse.domain.event_search import EventLookup
from meterhouse.domain.instant import render
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.metering.event_record import document, judged, outcomes_of
from query.metering.wire import DryRunBody
from query.route import RawRoute, new_router

router = new_router(RawRoute)

MAX_EVENTS: Final = 100


@router.post(
    "/api/v1/events/dry-run",
    operation_id="tryEvents",
    responses={
        **failures(400, 403, 413, 415, 429),
        200: {"model": DryRunBody, "description": "What would become of each event, in their order."},
    },
    response_model=None,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/cloudevents+json": {"schema": {"$ref": "#/components/schemas/CloudEvent"}},
                "application/cloudevents-batch+json": {
                    "schema": {"type": "array", "items": {"$ref": "#/components/schemas/CloudEvent"}}
                },
            },
        }
    },
)
async def dry_run(request: Request, merchant: Merchant, ports: Ports) -> Response:
    """Check events as `POST /api/v1/events` would, and tell what each would count for. Nothing is kept."""
    headers = {name.lower(): value for name, value in request.headers.raw}
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise UnsupportedMediaType(
            "a dry run reads bodies that are not compressed", accept_encoding="identity"
        )
    events = ports.read_events(headers, await request.body(), merchant)
    if len(events) > MAX_EVENTS:
        raise TooLarge(f"a dry run may hold {MAX_EVENTS} events, this one {len(events)}")
    servings = await ports.directory.serving(merchant)
    tried: dict[tuple[str, str], Event] = {}
    data = []
    for event in events:
        identity = await _identity(ports, event, tried.get((event.source, event.id)))
        tried.setdefault((event.source, event.id), event)
        body: dict[str, object] = {"object": "dryRun", "event": document(event), "identity": identity}
        if identity["state"] == "first":
            body |= judged(outcomes_of(event, servings))
        data.append(body)
    return json_answer({"object": "list", "data": data})


async def _identity(ports: Backend, event: Event, earlier: Event | None) -> dict[str, object]:
    """Whether its (namespace, source, id) is new; else where it was first seen, and what differs."""
    first, position, received_at = earlier, None, None
    asked = EventLookup(namespace=event.namespace, id=event.id, source=event.source)
    for stored in await ports.usage.lookup(asked):
        if stored.hidden_by is not None:
            continue  # after a reset it is another event
        first, position, received_at = stored.event, str(stored.position), render(stored.event.received_at)
    if first is None:
        return {"state": "first"}
    differing = differences(first, encode(event).value)
    return {
        "state": "conflict" if differing else "duplicate",
        "firstPosition": position,
        "firstReceivedAt": received_at,
        "differences": differing,
    }
