"""How much was used? `GET /v0/billableMetrics/{id}/meter` (contract 3.2, 4.3 and 10.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.condition import SUBJECT, AllOf, one_of
from meterhouse.domain.errors import Invalid
from meterhouse.domain.rollup import Reading
from meterhouse.domain.usage import Usage, UsageQuestion
from meterhouse.domain.window import WindowSize
from meterhouse.ports.metrics import Serving
from query.answers import failures, json_answer
from query.backend import Merchant, Ports
from query.fields import After, Between, Timestamp, checked_id
from query.freshness import AfterHeader
from query.metering.usage_body import GroupPage, usage_body
from query.metering.wire import UsageBody
from query.reading import COUNTED, STATE, fresh_serving, period_of, state_header, steady
from query.route import new_router

router = new_router()

ContractWindow = Literal[WindowSize.MINUTE, WindowSize.HOUR, WindowSize.DAY, WindowSize.MONTH]

FRESHNESS_HEADERS = {
    COUNTED: {"description": "How far the log is counted in this answer.", "schema": {"type": "string"}},
    STATE: {
        "description": "`building` while earlier events are still being counted for a new metric.",
        "schema": {"type": "string", "enum": ["building"]},
    },
}


class MeterAsked(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    from_: Timestamp = Field(alias="from", description="Included.")
    to: Timestamp = Field(description="Not included.")
    subject: str | None = Field(None, description="Usage of this subject only.")
    window_size: ContractWindow | None = Field(None, description="Also by calendar window of UTC.")
    group_by: str | None = Field(
        None, description="Dimensions of the metric, or `subject`, separated by commas.", examples=["subject"]
    )
    filter_group_by: str | None = Field(
        None,
        description="A JSON object: only events with these dimension values (or `subject`) count.",
        examples=['{"model":"gpt-4o"}'],
    )
    group_limit: Annotated[int, Between(1, 500)] | None = Field(None, description="Only the largest groups.")
    group_offset: Annotated[int, Between(0, 100_000)] | None = Field(
        None, description="Leave out so many of the largest groups; needs `groupLimit`."
    )
    after: After = ()


@router.get(
    "/v0/billableMetrics/{id}/meter",
    operation_id="getBillableMetricMeter",
    responses={
        **failures(400, 404, 504),
        200: {"model": UsageBody, "description": "Exact usage.", "headers": FRESHNESS_HEADERS},
    },
    response_model=None,
)
async def meter(
    id: str, asked: Annotated[MeterAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """Usage of a period, exact to the microsecond; also by window, by dimension, or both."""
    id = checked_id(id, "bm", "billable metric")
    page = group_page(asked)
    period = period_of(asked.from_, asked.to)
    filters = parse_filters(asked.filter_group_by)
    serving, headers = await fresh_serving(ports, merchant, id, (*asked.after, *after))
    group_by = parse_group_by(asked.group_by, serving)
    known_dimensions("filterGroupBy", tuple(filters), serving)
    subject = () if asked.subject is None else (one_of(SUBJECT, asked.subject),)
    condition = AllOf((*subject, *[one_of(name, text) for name, text in filters.items()]))

    async def ask(definition: Definition) -> Usage:
        if definition.event_type is None:
            return Usage(Reading())
        return await ports.usage.usage(
            UsageQuestion(
                definition=definition,
                period=period,
                condition=condition,
                window_size=asked.window_size,
                group_by=group_by,
            )
        )

    serving, usage = await steady(ports, serving, ask)

    def answer() -> Response:
        body = usage_body(serving.shown.definition, usage, asked.window_size, group_by, page)
        return json_answer(body, headers | state_header(serving))

    return await asyncio.to_thread(answer)  # with many cells it takes longer than others should wait for


def group_page(asked: MeterAsked) -> GroupPage | None:
    """Which groups to show; None for all of them."""
    if asked.group_limit is None:
        if asked.group_offset is not None:
            raise Invalid.field("groupOffset", "needs groupLimit")
        return None
    if asked.group_by is None:
        raise Invalid.field("groupLimit", "needs groupBy")
    return GroupPage(asked.group_limit, asked.group_offset or 0)


def parse_filters(text: str | None) -> dict[str, str]:
    """`filterGroupBy`: dimension names and the one text of each."""
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        message = 'must be a JSON object of text values, such as {"model":"gpt-4o"}'
        raise Invalid.field("filterGroupBy", message) from error


def parse_group_by(text: str | None, serving: Serving) -> tuple[str, ...]:
    """`groupBy`: each name once, in the order in which they came first."""
    if text is None:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    known_dimensions("groupBy", names, serving)
    return names


def known_dimensions(field: str, names: Iterable[str], serving: Serving) -> None:
    """Raises Invalid for a dimension that the version readers see does not have."""
    known = serving.shown.definition.dimension_names
    for name in names:
        if name == SUBJECT or name in known:
            continue
        if name in serving.newest.definition.dimension_names:
            raise Invalid.field(field, f"{name!r} is still being built from earlier events; ask again later")
        raise Invalid.field(field, f"{name!r} is not one of: {', '.join((*known, SUBJECT))}")
