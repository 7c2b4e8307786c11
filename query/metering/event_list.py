"""Which events were accepted, and what became of them? `GET /api/v1/events` (docs/queries.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from meterhouse.domain.disposition import Disposition
from meterhouse.domain.errors import Invalid, NotFound
from meterhouse.domain.event_search import EventFilter, EventPlace, EventSearch
from meterhouse.domain.instant import EARLIEST, LATEST, Instant
from meterhouse.domain.usage import StoredEvent
from meterhouse.domain.window import Window
from meterhouse.ports.metrics import Serving
from query.answers import failures, json_answer
from query.backend import Merchant, Ports
from query.cursors import Cursor, read_cursor, write_cursor
from query.fields import KNOWN_ONLY, After, Between, Repeated, Timestamp, checked_id
from query.freshness import AfterHeader
from query.metering.event_record import outcomes_now, record_of
from query.metering.wire import EventPageBody
from query.reading import fresh_servings, period_of
from query.route import new_router

router = new_router()

_TEXTS = ("id", "source", "type", "subject", "external_subject", "external_id")


class EventsFiltered(BaseModel):
    """Which events: all of it has to be true; of a parameter that is repeated, one of its values."""

    model_config = KNOWN_ONLY

    id: Repeated = []
    source: Repeated = []
    type: Repeated = []
    subject: Repeated = []
    external_subject: Repeated = []
    external_id: Repeated = []
    disposition: Disposition | None = Field(None, description="What became of it, by what is defined now.")
    billable_metric_id: str | None = Field(None, description="Counted by this billable metric.")
    received_from: Timestamp = Field(EARLIEST, description="Received then or later.")
    received_to: Timestamp = Field(LATEST, description="Received before.")
    from_: Timestamp = Field(EARLIEST, alias="from", description="Happened then or later.")
    to: Timestamp = Field(LATEST, description="Happened before.")
    after: After = ()

    def filter(self, merchant: str, servings: Sequence[Serving]) -> EventFilter:
        """What the store is asked. Raises Invalid, and NotFound for another merchant's metric."""
        counted_by = None
        if self.billable_metric_id is not None:
            id = checked_id(self.billable_metric_id, "bm", "billable metric")
            counted_by = serving_of(servings, id).shown.definition
        return EventFilter(
            namespace=merchant,
            definitions=tuple([serving.shown.definition for serving in servings]),
            texts={name: tuple(texts) for name in _TEXTS if (texts := getattr(self, name))},
            received=_window("receivedFrom", self.received_from, self.received_to),
            time=period_of(self.from_, self.to),
            disposition=self.disposition,
            counted_by=counted_by,
        )


class EventsAsked(EventsFiltered):
    limit: Annotated[int, Between(1, 200)] = 50
    cursor: Cursor | None = None


@router.get(
    "/api/v1/events",
    operation_id="listEvents",
    responses={
        **failures(400, 404, 429, 504),
        200: {"model": EventPageBody, "description": "One page."},
    },
    response_model=None,
)
async def events(
    asked: Annotated[EventsAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """Accepted events, those received last first. Pages stay in place while events arrive."""
    servings = await fresh_servings(ports, merchant, (*asked.after, *after))
    search = EventSearch(
        filter=asked.filter(merchant, servings),
        before=None if asked.cursor is None else _place_of(asked.cursor),
        limit=asked.limit + 1,
    )
    found = await ports.usage.search(search)
    shown = found[: asked.limit]
    more = len(found) > len(shown)
    body = {
        "object": "list",
        "data": [record_of(stored, outcomes_now(stored, servings)) for stored in shown],
        "nextCursor": _cursor_of(shown[-1]) if more else None,
    }
    return json_answer(body)


def serving_of(servings: Sequence[Serving], id: str) -> Serving:
    """Raises NotFound where the merchant has no such metric."""
    for serving in servings:
        if serving.metric.id == id:
            return serving
    raise NotFound(f"there is no billable metric {id}")


def _window(field: str, start: Instant, end: Instant) -> Window:
    if start > end:
        raise Invalid.field(field, "must not be after its end")
    return Window(start, end)


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    received_at: Annotated[int, msgspec.Meta(ge=EARLIEST, lt=LATEST)]
    partition: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    offset: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


def _cursor_of(last: StoredEvent) -> str:
    cursor = _Cursor(last.event.received_at, last.position.partition, last.position.offset - 1)
    return write_cursor(cursor)


def _place_of(cursor: str) -> EventPlace:
    found = read_cursor(cursor, _Cursor)
    return EventPlace(found.received_at, found.partition, found.offset)
