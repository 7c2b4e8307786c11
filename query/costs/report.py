"""What do customers cost, all in all? `GET /v0/costs/report` (contract 3.11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query
from starlette.responses import Response

from meterhouse.domain.calendar import period_before
from meterhouse.domain.condition import SUBJECT
from meterhouse.domain.errors import Invalid
from meterhouse.domain.window import Window
from meterhouse.ports.metrics import Serving
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.costs.groups import Counted, folded, groups_of, ranked
from query.costs.reading import CostQuestion, fresh_costs, read_costs
from query.costs.report_asked import (
    BY_COST,
    BY_CUSTOMER,
    Direction,
    ReportAsked,
    Sort,
    chosen_costs,
    left_out,
)
from query.costs.report_body import Report, report_body
from query.costs.wire import CostReportBody
from query.freshness import AfterHeader
from query.metering.meter import FRESHNESS_HEADERS, known_dimensions
from query.reading import counted_header, period_of, state_header
from query.route import new_router
from query.sales.products import own_merchant

router = new_router()

_UTC = ZoneInfo("UTC")


@router.get(
    "/v0/costs/report",
    operation_id="getCostReport",
    responses={
        **failures(400, 403, 504),
        200: {"model": CostReportBody, "description": "Exact cost.", "headers": FRESHNESS_HEADERS},
    },
    response_model=None,
)
async def report(
    asked: Annotated[ReportAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """Cost of a period over costs and customers, exact to the microsecond and the last digit."""
    own_merchant(asked.merchant_id, merchant)
    period_of(asked.from_, asked.to)
    every = await ports.sales.costs.every(merchant)
    currency, costs = chosen_costs(every, asked)
    known = await fresh_costs(ports, merchant, costs, (*asked.after, *after))
    _require_known(asked, known)
    headers = await counted_header(ports)
    period = Window(asked.from_, asked.to)
    question = CostQuestion(
        period=period,
        before=period_before(_UTC, period) if asked.compare_prior_period else None,
        condition=asked.condition(),
        window_size=asked.window_size,
        dimension=asked.dimension,
    )
    servings, found = await read_costs(ports, merchant, costs, question)
    names = servings[0].shown.definition.dimension_names if len(asked.cost_id) == 1 and servings else ()
    made = _report(asked, currency, found, names)
    labels = await _labels(ports, merchant, made)
    body = report_body(made, labels) | {"warnings": left_out(every, currency, asked)}
    return json_answer(body, headers | state_header(*servings))


def _require_known(asked: ReportAsked, servings: Sequence[Serving]) -> None:
    """Raises Invalid for a dimension that is grouped by or filtered, and that none of the costs has."""
    if asked.group_by not in (BY_COST, BY_CUSTOMER):
        if len(asked.cost_id) != 1:
            message = "must be cost or customer, or with one costId a dimension of that cost"
            raise Invalid.field("groupBy", message)
        for one in servings:
            known_dimensions("groupBy", [asked.group_by], one)
    if len(servings) == 1:
        known_dimensions("filterGroupBy", asked.filters(), servings[0])
        return
    names = {SUBJECT}.union(*[one.shown.definition.dimension_names for one in servings])
    unknown = sorted(asked.filters().keys() - names)
    if unknown and servings:
        raise Invalid.field("filterGroupBy", f"{unknown[0]!r} is not a dimension of any of the costs")


def _report(asked: ReportAsked, currency: str, found: Sequence[Counted], dimensions: Sequence[str]) -> Report:
    groups = groups_of(found)
    kept = [one for one in groups if not (asked.exclude_empty and one.is_empty)]
    ordered = ranked(
        kept,
        by_quantity=asked.sort is Sort.QUANTITY,
        ascending=asked.sort_dir is Direction.ASCENDING,
    )
    return Report(
        asked=asked,
        currency=currency,
        found=found,
        dimensions=dimensions,
        groups=groups,
        kept=kept,
        listed=folded(ordered, asked.top_n),
    )


async def _labels(ports: Backend, merchant: str, made: Report) -> Mapping[str, str]:
    """What the groups of the page are called, where it is not their key."""
    if made.asked.dimension is None:
        return {one.cost.id: one.cost.metric.name for one in made.found}
    if made.asked.group_by != BY_CUSTOMER:
        return {}
    return await ports.customers.names(merchant, [one.key for one in made.page if not one.is_other])
