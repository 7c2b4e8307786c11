"""What became of an event? `GET /api/v1/events/{event_id}` (contract 10.1, decision 19)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, assert_never

import msgspec
from fastapi import Query
from pydantic import BaseModel
from starlette.responses import Response

from meterhouse.adapters.cloudevents_json import parse_data
from meterhouse.adapters.event_documents import differences, document_of
from meterhouse.domain.disposition import (
    BeforeEventFrom,
    Counted,
    Disposition,
    Outcome,
    Unusable,
    disposition_of,
)
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.domain.event import Event
from meterhouse.domain.event_search import EventLookup
from meterhouse.domain.instant import render
from meterhouse.domain.matching import MISSING, outcome_of, plain
from meterhouse.domain.usage import Repeat, StoredEvent
from meterhouse.ports.metrics import Serving
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.fields import KNOWN_ONLY, After
from query.freshness import AfterHeader, Patience
from query.metering.event_usage import usage_around
from query.metering.wire import EventRecordBody
from query.reading import steady_all
from query.route import new_router

router = new_router()

Outcomes = Sequence[tuple[Serving, Outcome]]


class RecordAsked(BaseModel):
    model_config = KNOWN_ONLY

    source: str | None = None
    after: After = ()


@router.get(
    "/api/v1/events/{event_id:path}",
    operation_id="getEvent",
    responses={
        **failures(400, 404, 409, 504),
        200: {"model": EventRecordBody, "description": "The event and what became of it."},
    },
    response_model=None,
)
async def event_record(
    event_id: str,
    asked: Annotated[RecordAsked, Query()],
    after: AfterHeader,
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """An event as it was accepted, and what became of it. Where sources share its id, name one."""
    positions = (*asked.after, *after)
    patience = Patience(ports, positions)
    arrived = await ports.directory.serving(merchant) if positions else ()
    await patience.for_positions()
    looked_up = EventLookup(namespace=merchant, id=event_id, source=asked.source)
    stored = the_one(event_id, await ports.usage.lookup(looked_up))
    concerned = [serving for serving in arrived if concerns(serving, stored.event)]
    await patience.for_versions(merchant, concerned)
    return json_answer(await _with_usage(ports, merchant, stored))


async def _with_usage(ports: Backend, merchant: str, stored: StoredEvent) -> dict[str, object]:
    """The record, and for each metric that counted the event the usage that it is part of now."""
    event = stored.event
    subject = event.subject or (await ports.customers.linked(merchant)).get(event.external_subject, "")

    async def ask(servings: Sequence[Serving]) -> dict[str, object]:
        outcomes = outcomes_now(stored, servings)
        usage = [
            await usage_around(ports.usage, serving.shown.definition, subject, event.time, outcome.dimensions)
            for serving, outcome in outcomes
            if isinstance(outcome, Counted)
        ]
        return record_of(stored, outcomes) | {"usage": usage}

    return await steady_all(ports, merchant, ask)


def concerns(serving: Serving, event: Event) -> bool:
    """Whether the metric counts events of this type, now or once its newest version is active."""
    return event.type in (serving.shown.definition.event_type, serving.newest.definition.event_type)


def the_one(event_id: str, found: Sequence[StoredEvent]) -> StoredEvent:
    """Raises NotFound where there is none, Conflict naming the sources where there are several."""
    if not found:
        raise NotFound(f"there is no event with the id {event_id!r}")
    if len(found) > 1:
        sources = ", ".join([repr(one.event.source) for one in found])
        raise Conflict(f"several sources have an event with this id: {sources}; say which: ?source=")
    return found[0]


def record_of(stored: StoredEvent, outcomes: Outcomes) -> dict[str, object]:
    """What is known of an event by itself."""
    event = stored.event
    return {
        "object": "eventRecord",
        "event": document(event),
        "namespace": event.namespace,
        "receivedAt": render(event.received_at),
        "position": str(stored.position),
        **judged(outcomes),
        **_hidden(stored),
        "repeats": {
            "count": stored.repeat_count,
            "conflicts": list(_conflicts(event, stored.repeats)),
        },
    }


def outcomes_now(stored: StoredEvent, servings: Sequence[Serving]) -> Outcomes:
    """What they make of an event as it is stored: of one that a reset hides, nothing."""
    return outcomes_of(stored.event, servings) if stored.hidden_by is None else ()


def _hidden(stored: StoredEvent) -> dict[str, object]:
    if stored.hidden_by is None:
        return {"hiddenBefore": None}
    return {"disposition": Disposition.HIDDEN, "hiddenBefore": render(stored.hidden_by)}


def outcomes_of(event: Event, servings: Sequence[Serving]) -> Outcomes:
    """What each definition that readers see, and that is of the event's type, makes of the event."""
    return [(serving, outcome) for serving in servings if (outcome := _outcome(serving, event))]


def judged(outcomes: Outcomes) -> dict[str, object]:
    """What became of an event, all in all and for each metric."""
    return {
        "disposition": disposition_of([outcome for _, outcome in outcomes]),
        "metrics": [outcome_body(serving, outcome) for serving, outcome in outcomes],
    }


def _outcome(serving: Serving, event: Event) -> Outcome | None:
    definition = serving.shown.definition
    if definition.event_type != event.type:
        return None
    return outcome_of(definition, event.time, _parsed(event.data))


def _parsed(data: bytes) -> object:
    try:
        return parse_data(data)
    except ValueError:
        return MISSING  # as the aggregator takes what cannot be read


def outcome_body(serving: Serving, outcome: Outcome) -> dict[str, object]:
    """What one billable metric made of the event."""
    body: dict[str, object] = {
        "billableMetricId": serving.metric.id,
        "name": serving.metric.name,
        "outcome": "counted",
        "value": None,
        "dimensions": {},
        "reason": None,
    }
    match outcome:
        case Counted(value, dimensions):
            names = serving.shown.definition.dimension_names
            body["value"] = plain(value) if isinstance(value, Decimal) else value
            body["dimensions"] = dict(zip(names, dimensions, strict=True))
        case Unusable(reason, _):
            body["outcome"], body["reason"] = "unusable", reason
        case BeforeEventFrom():
            event_from = serving.shown.definition.event_from
            assert event_from is not None
            body["outcome"] = "beforeEventFrom"
            body["reason"] = f"the event is earlier than eventFrom, {render(event_from)}"
        case _:
            assert_never(outcome)
    return body


def document(event: Event) -> dict[str, object]:
    """The CloudEvent, its data the very text that was sent."""
    document = document_of(event._replace(data=b""))
    if event.data:
        document["data"] = msgspec.Raw(event.data)
    return document


def _conflicts(event: Event, repeats: Sequence[Repeat]) -> Iterator[dict[str, object]]:
    """Repeats with other content; one that was only written differently (1 for 1.0) is none."""
    for repeat in repeats:
        differing = differences(event, repeat.payload) if repeat.payload else []
        if differing:
            yield {
                "receivedAt": render(repeat.received_at),
                "position": str(repeat.position),
                "differences": differing,
            }
