"""What did it cost? `GET /v0/costs/{id}/summary` (contract 3.11): usage of a period times the unit cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.condition import SUBJECT, AllOf, one_of
from meterhouse.domain.cost import Cost
from meterhouse.domain.instant import render
from meterhouse.domain.rollup import Reading
from meterhouse.domain.usage import Usage, UsageQuestion
from meterhouse.domain.window import WindowSize
from query.answers import exact, failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.costs.costs import checked_cost
from query.costs.wire import CostSummaryBody
from query.fields import After, Timestamp
from query.freshness import AfterHeader
from query.metering.meter import FRESHNESS_HEADERS, known_dimensions, parse_filters, parse_group_by
from query.metering.usage_answer import window_of
from query.metering.usage_body import ranked
from query.reading import fresh_serving, period_of, state_header, steady
from query.route import new_router

router = new_router()


class SummaryAsked(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    from_: Timestamp = Field(alias="from", description="Included.")
    to: Timestamp = Field(description="Not included.")
    subject: str | None = Field(None, description="What this subject costs only.")
    group_by: str | None = Field(
        None, description="Dimensions of the cost, or `subject`, separated by commas.", examples=["subject"]
    )
    window: Literal[WindowSize.MINUTE, WindowSize.HOUR, WindowSize.DAY] | None = Field(
        None, description="Also by calendar window of UTC."
    )
    filter_group_by: str | None = Field(
        None,
        description="A JSON object: only events with these dimension values (or `subject`) count.",
        examples=['{"model":"gpt-4o"}'],
    )
    after: After = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Usage by group and by window; the totals of both are of the same events."""

    aggregation: Aggregation
    groups: Usage
    windows: Usage


@router.get(
    "/v0/costs/{id}/summary",
    operation_id="getCostSummary",
    responses={
        **failures(400, 404, 504),
        200: {"model": CostSummaryBody, "description": "Exact cost.", "headers": FRESHNESS_HEADERS},
    },
    response_model=None,
)
async def summary(
    id: str, asked: Annotated[SummaryAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """Cost of a period, exact to the microsecond and the last digit; also by group, by window, or both."""
    cost = await ports.sales.costs.get(merchant, checked_cost(id))
    period = period_of(asked.from_, asked.to)
    filters = parse_filters(asked.filter_group_by)
    serving, headers = await fresh_serving(ports, merchant, cost.id, (*asked.after, *after))
    group_by = parse_group_by(asked.group_by, serving)
    known_dimensions("filterGroupBy", tuple(filters), serving)
    subject = () if asked.subject is None else (one_of(SUBJECT, asked.subject),)
    condition = AllOf((*subject, *[one_of(name, text) for name, text in filters.items()]))

    async def ask(definition: Definition) -> Found:
        question = UsageQuestion(definition=definition, period=period, condition=condition)
        return await _found(ports, question, group_by, asked.window)

    serving, found = await steady(ports, serving, ask)
    return json_answer(summary_body(cost, found, group_by, asked.window), headers | state_header(serving))


async def _found(
    ports: Backend, question: UsageQuestion, group_by: tuple[str, ...], size: WindowSize | None
) -> Found:
    """One statement, or two for both groups and windows: these are not of one another."""
    aggregation = question.definition.aggregation
    windowed = replace(question, window_size=size)
    if not group_by:
        usage = await ports.usage.usage(windowed)
        return Found(aggregation, usage, usage)
    groups = await ports.usage.usage(replace(question, group_by=group_by))
    return Found(aggregation, groups, groups if size is None else await ports.usage.usage(windowed))


def summary_body(
    cost: Cost, found: Found, group_by: tuple[str, ...], size: WindowSize | None
) -> dict[str, object]:
    """The JSON of the cost of what was found."""
    quantity = found.groups.total.value(found.aggregation)
    body: dict[str, object] = {
        "id": cost.id,
        "object": "cost",
        "name": cost.metric.name,
        "type": "metered",
        "currency": cost.currency,
        "eventType": cost.metric.event_type,
        **({"unit": cost.metric.unit} if cost.metric.unit else {}),
        "totalCost": msgspec.Raw(exact(cost.of(quantity))),
        "totalQuantity": msgspec.Raw(exact(quantity)),
    }
    if group_by:
        body["groups"] = [
            {
                "dimensions": dict(zip(group_by, one.group, strict=True)),
                **_figures(cost, found, one.reading),
            }
            for one in ranked(found.groups.groups, found.aggregation)
        ]
    if size is not None:
        body["timeSeries"] = list(_series(cost, found))
    return body


def _series(cost: Cost, found: Found) -> Iterator[dict[str, object]]:
    for cell in found.windows.cells:
        window = window_of(cell)
        bounds = {"windowStart": render(window.start), "windowEnd": render(window.end)}
        yield {**bounds, **_figures(cost, found, cell.reading)}


def _figures(cost: Cost, found: Found, reading: Reading) -> dict[str, object]:
    quantity = reading.value(found.aggregation)
    return {"quantity": msgspec.Raw(exact(quantity)), "cost": msgspec.Raw(exact(cost.of(quantity)))}
