"""What is there to ask for? Subjects of a billable metric, its dimensions, and their values."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.condition import SUBJECT
from meterhouse.domain.errors import NotFound
from meterhouse.domain.instant import EARLIEST, LATEST
from meterhouse.domain.usage import DimensionCount, TextCount, TextsQuestion
from meterhouse.ports.metrics import Serving
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.cursors import Cursor, read_cursor, write_cursor
from query.fields import KNOWN_ONLY, MAX_IN_URL, After, Between, Timestamp, checked_id
from query.freshness import AfterHeader
from query.metering.meter import FRESHNESS_HEADERS
from query.metering.wire import DimensionListBody, TextListBody
from query.reading import fresh_serving, period_of, state_header, steady
from query.route import new_router

router = new_router()


class PeriodAsked(BaseModel):
    model_config = KNOWN_ONLY

    from_: Timestamp = Field(EARLIEST, alias="from", description="Included; the beginning if left out.")
    to: Timestamp = Field(LATEST, description="Not included; everything if left out.")
    after: After = ()


class TextsAsked(PeriodAsked):
    prefix: str = Field("", max_length=MAX_IN_URL, description="Only values that begin with it.")
    limit: Annotated[int, Between(1, 1_000)] = 100
    cursor: Cursor | None = None


@router.get(
    "/api/v1/billable-metrics/{id}/subjects",
    operation_id="listSubjects",
    responses={
        **failures(400, 404, 429, 504),
        200: {"model": TextListBody, "description": "One page.", "headers": FRESHNESS_HEADERS},
    },
    response_model=None,
)
async def subjects(
    id: str, asked: Annotated[TextsAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """The subjects that a billable metric counted events of, by their text."""
    serving, headers = await _serving(ports, merchant, id, asked, after)
    return await _listed(ports, serving, SUBJECT, asked, headers)


@router.get(
    "/api/v1/billable-metrics/{id}/dimensions",
    operation_id="listDimensions",
    responses={
        **failures(400, 404, 429, 504),
        200: {"model": DimensionListBody, "description": "All of them.", "headers": FRESHNESS_HEADERS},
    },
    response_model=None,
)
async def dimensions(
    id: str, asked: Annotated[PeriodAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """The dimensions of a billable metric, with how many values each has."""
    serving, headers = await _serving(ports, merchant, id, asked, after)
    period = period_of(asked.from_, asked.to)

    async def ask(definition: Definition) -> list[DimensionCount]:
        return list(await ports.usage.dimensions(definition, period))

    serving, found = await steady(ports, serving, ask)
    data = [{"key": one.name, "valueCount": one.texts, "eventCount": one.events} for one in found]
    return json_answer({"object": "list", "data": data}, headers | state_header(serving))


@router.get(
    "/api/v1/billable-metrics/{id}/dimensions/{key}/values",
    operation_id="listDimensionValues",
    responses={
        **failures(400, 404, 429, 504),
        200: {"model": TextListBody, "description": "One page.", "headers": FRESHNESS_HEADERS},
    },
    response_model=None,
)
async def values(
    *,
    id: str,
    key: Annotated[str, Path(max_length=255)],
    asked: Annotated[TextsAsked, Query()],
    after: AfterHeader,
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """The values of a dimension, by their text; "" stands for events without one."""
    serving, headers = await _serving(ports, merchant, id, asked, after)
    if key not in serving.shown.definition.dimension_names:
        raise NotFound(f"{serving.metric.id} has no dimension {key!r}")
    return await _listed(ports, serving, key, asked, headers)


async def _serving(
    ports: Backend, merchant: str, id: str, asked: PeriodAsked, after: AfterHeader
) -> tuple[Serving, dict[str, str]]:
    id = checked_id(id, "bm", "billable metric")
    return await fresh_serving(ports, merchant, id, (*asked.after, *after))


async def _listed(
    ports: Backend, serving: Serving, name: str, asked: TextsAsked, headers: dict[str, str]
) -> Response:
    period = period_of(asked.from_, asked.to)
    after = None if asked.cursor is None else read_cursor(asked.cursor, str)

    async def ask(definition: Definition) -> list[TextCount]:
        question = TextsQuestion(
            definition=definition,
            period=period,
            name=name,
            prefix=asked.prefix,
            after=after,
            limit=asked.limit + 1,
        )
        return list(await ports.usage.texts(question))

    serving, found = await steady(ports, serving, ask)
    shown = found[: asked.limit]
    body = {
        "object": "list",
        "data": [{"value": one.text, "eventCount": one.events} for one in shown],
        "nextCursor": write_cursor(shown[-1].text) if len(found) > len(shown) else None,
    }
    return json_answer(body, headers | state_header(serving))
