"""How many events, of which types, and what became of them? `GET /api/v1/events/stats` (docs/queries.md)."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from meterhouse.domain.event_search import EventStatistics
from meterhouse.domain.window import WindowSize
from query.answers import failures, json_answer
from query.backend import Merchant, Ports
from query.freshness import AfterHeader
from query.metering.event_list import EventsFiltered
from query.metering.usage_asked import TimeZone, moment, windows_of_zone
from query.metering.wire import EventStatsBody
from query.reading import fresh_servings
from query.route import new_router

router = new_router()


class StatsAsked(EventsFiltered):
    window_size: WindowSize | None = Field(
        None, description="By window of the time at which events were received; needs `receivedFrom`."
    )
    time_zone: TimeZone = ZoneInfo("UTC")


@router.get(
    "/api/v1/events/stats",
    operation_id="countEvents",
    responses={
        **failures(400, 404, 429, 504),
        200: {"model": EventStatsBody, "description": "Counts."},
    },
    response_model=None,
)
async def stats(
    asked: Annotated[StatsAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """Events by type and disposition. Repeats of an event are `duplicate`, whatever became of it."""
    servings = await fresh_servings(ports, merchant, (*asked.after, *after))
    filter = asked.filter(merchant, servings)
    local = windows_of_zone(asked.window_size, asked.time_zone, filter.received, ports.max_windows)
    question = EventStatistics(
        filter=filter, window_size=None if local else asked.window_size, local_windows=local
    )
    data = []
    for one in await ports.usage.count(question):
        row: dict[str, object] = {"type": one.type, "disposition": one.disposition, "count": one.events}
        if one.window is not None:
            row["windowStart"] = moment(asked.time_zone, one.window.start)
            row["windowEnd"] = moment(asked.time_zone, one.window.end)
        data.append(row)
    return json_answer({"object": "list", "data": data})
