"""How much was used? Our own routes, with all that the contract's route cannot ask (docs/queries.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import mimeparse
from fastapi import Body, Depends, Header, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from meterhouse.adapters.http.errors import NotAcceptable
from meterhouse.adapters.tables import arrow_stream, csv_text
from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.condition import names_in
from meterhouse.domain.position import Position
from meterhouse.ports.metrics import Serving
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.fields import KNOWN_ONLY, After, checked_id
from query.freshness import AfterHeader
from query.metering.meter import FRESHNESS_HEADERS, known_dimensions
from query.metering.usage_answer import UsageAnswer, answer_body, usage_answer
from query.metering.usage_asked import UsageAsked, UsageParameters
from query.metering.usage_table import usage_table
from query.metering.wire import UsageAnswerBody, UsageAnswersBody
from query.reading import COUNTED, fresh_serving, state_header, steady
from query.route import new_router

router = new_router()

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
_OFFERED: Final = (ARROW, CSV, JSON)  # of several that are equally welcome the last is chosen
MAX_QUESTIONS: Final = 20

_TABLES: Final[Mapping[str, Any]] = {
    CSV: {"schema": {"type": "string"}},
    ARROW: {"schema": {"type": "string", "format": "binary"}},
}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    **failures(400, 404, 406, 413, 415, 429, 504),
    200: {
        "model": UsageAnswerBody,
        "description": "Exact usage.",
        "headers": FRESHNESS_HEADERS,
        "content": _TABLES,
    },
}


async def _accepted(accept: Annotated[str, Header(include_in_schema=False)] = JSON) -> str:
    """The media type to answer in. Raises NotAcceptable (RFC 9110, 12.5.1)."""
    try:
        chosen = mimeparse.best_match(_OFFERED, accept)
    except (ValueError, mimeparse.MimeTypeParseException) as error:
        raise NotAcceptable(f"Accept: cannot be read; send one of {', '.join(_OFFERED)}") from error
    if chosen not in _OFFERED:
        raise NotAcceptable(f"Accept: there is only {', '.join(_OFFERED)}")
    return str(chosen)


Accepted = Annotated[str, Depends(_accepted)]


class QuestionBody(UsageAsked):
    """A question in a body of its own."""

    after: After = ()


class OneOfSeveral(UsageAsked):
    """A question among several."""

    billable_metric_id: str


class QuestionsBody(BaseModel):
    """Several questions, each about one billable metric."""

    model_config = KNOWN_ONLY

    queries: Annotated[list[OneOfSeveral], Field(min_length=1, max_length=MAX_QUESTIONS)]
    after: After = ()


@router.get(
    "/api/v1/billable-metrics/{id}/usage",
    operation_id="getUsage",
    responses=_ANSWERS,
    response_model=None,
)
async def usage(
    *,
    id: str,
    parameters: Annotated[UsageParameters, Query()],
    after: AfterHeader,
    accepted: Accepted,
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """Usage of any period, exact to the microsecond, by window, dimension or both."""
    asked = parameters.asked()
    found = await _answer(ports, merchant, id, asked, (*parameters.after, *after))
    return await asyncio.to_thread(_shown, asked, *found, accepted=accepted)


@router.post(
    "/api/v1/billable-metrics/{id}/usage/query",
    operation_id="queryUsage",
    responses=_ANSWERS,
    response_model=None,
)
async def query_usage(
    *,
    id: str,
    body: Annotated[QuestionBody, Body()],
    after: AfterHeader,
    accepted: Accepted,
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """The same question in a body, for what does not fit into a URL."""
    found = await _answer(ports, merchant, id, body, (*body.after, *after))
    return await asyncio.to_thread(_shown, body, *found, accepted=accepted)


@router.post(
    "/api/v1/usage/query",
    operation_id="queryUsageOfSeveral",
    responses={
        **failures(400, 404, 413, 415, 429, 504),
        200: {
            "model": UsageAnswersBody,
            "description": "Exact usage.",
            "headers": {COUNTED: FRESHNESS_HEADERS[COUNTED]},
        },
    },
    response_model=None,
)
async def query_several(
    body: Annotated[QuestionsBody, Body()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """Several questions at once, answered in their order."""
    data: list[dict[str, object]] = []
    headers: dict[str, str] = {}
    for asked in body.queries:
        serving, answer, headers = await _answer(
            ports, merchant, asked.billable_metric_id, asked, (*body.after, *after)
        )
        data.append(await asyncio.to_thread(answer_body, answer, asked, serving, headers[COUNTED]))
    return await asyncio.to_thread(json_answer, {"object": "list", "data": data}, headers)


def _shown(
    asked: UsageAsked, serving: Serving, answer: UsageAnswer, headers: dict[str, str], *, accepted: str
) -> Response:
    """Takes longer than others should wait for where there are many cells."""
    if accepted == JSON:
        body = answer_body(answer, asked, serving, headers[COUNTED])
        return json_answer(body, headers | state_header(serving))
    table = usage_table(answer, asked)
    content = csv_text(table).encode() if accepted == CSV else arrow_stream(table)
    if answer.page is not None and answer.page.cursor is not None and not asked.top:
        headers["Meterhouse-Next-Cursor"] = answer.page.cursor
    return Response(content, headers=headers | state_header(serving), media_type=accepted)


async def _answer(
    ports: Backend, merchant: str, id: str, asked: UsageAsked, after: tuple[Position, ...]
) -> tuple[Serving, UsageAnswer, dict[str, str]]:
    id = checked_id(id, "bm", "billable metric")
    windows = asked.local_windows(ports.max_windows)
    condition = asked.condition()
    serving, headers = await fresh_serving(ports, merchant, id, after)
    known_dimensions("groupBy", asked.group_by, serving)
    known_dimensions("filter", sorted(names_in(condition)), serving)

    async def ask(definition: Definition) -> UsageAnswer:
        return await usage_answer(ports.usage, definition, asked, windows)

    serving, answer = await steady(ports, serving, ask)
    return serving, answer, headers
