"""What answers about costs look like (contract 3.11 and 9).

Summaries and reports are written elsewhere, with exact numbers; here these models describe them in OpenAPI,
and tests hold the answers against them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.cost import Cost
from meterhouse.domain.instant import render
from query.wire import Digits, Moment, Number, Pagination, Wire


class CostBody(Wire):
    id: str
    object: Literal["cost"] = "cost"
    type: Literal["metered"] = "metered"
    name: str
    currency: str
    unit_cost: Digits
    unit: str | None
    aggregation: Aggregation
    event_type: str | None
    value_property: str | None
    group_by: dict[str, str] | None
    product_id: str
    merchant_id: str
    created_at: Moment
    updated_at: Moment
    deleted_at: None = Field(default=None, description="What is deleted is not answered.")

    @classmethod
    def of(cls, cost: Cost) -> CostBody:
        metric = cost.metric
        return cls(
            id=cost.id,
            name=metric.name,
            currency=cost.currency,
            unit_cost=format(cost.unit_cost, "f"),
            unit=metric.unit or None,
            aggregation=metric.aggregation,
            event_type=metric.event_type,
            value_property=metric.value_property,
            group_by=metric.group_by,
            product_id=metric.product_id,
            merchant_id=metric.merchant_id,
            created_at=render(metric.created_at),
            updated_at=render(metric.updated_at),
        )


class CostOfGroupBody(Wire):
    dimensions: dict[str, str]
    quantity: Number
    cost: Number


class CostOfWindowBody(Wire):
    """A calendar window of UTC, reported whole; it holds only what lies inside the period asked for."""

    window_start: Moment
    window_end: Moment
    quantity: Number
    cost: Number


class CostSummaryBody(Wire):
    id: str
    object: Literal["cost"] = "cost"
    name: str
    type: Literal["metered"] = "metered"
    currency: str
    event_type: str
    unit: str = Field(default="", description="Only where the cost has one.")
    total_cost: Number
    total_quantity: Number
    groups: list[CostOfGroupBody] = Field(default=[], description="Only with `groupBy`; dearest first.")
    time_series: list[CostOfWindowBody] = Field(default=[], description="Only with `window`.")


class PriorPeriodBody(Wire):
    cost: Number
    change_percent: Number | None = Field(description="null where the period before cost nothing.")


class ReportGroupBody(Wire):
    key: str = Field(description="A cost, a subject or a text of a dimension; `__other__` for the rest.")
    label: str
    total_cost: Number
    total_quantity: Number
    percent_of_total: Number = Field(description="Of the total cost; rounded to 18 decimal places.")
    is_other: bool
    unit: str = Field(default="", description="Only where all that is counted has the same one.")
    prior_period: PriorPeriodBody | None = Field(default=None, description="Only with `comparePriorPeriod`.")


class ReportWindowBody(Wire):
    """A calendar window of UTC, reported whole; groups without usage in it are left out."""

    window_start: Moment
    window_end: Moment
    groups: dict[str, Number]


class ReportPeriodBody(Wire):
    from_: Moment = Field(alias="from")
    to: Moment


class CostReportBody(Wire):
    """The totals are sums over every group, shown or not."""

    object: Literal["cost_report"] = "cost_report"
    currency: str
    period: ReportPeriodBody
    group_by: str
    total_cost: Number
    total_quantity: Number
    groups: list[ReportGroupBody]
    time_series: list[ReportWindowBody] = Field(description="Empty without `windowSize`.")
    available_dimensions: list[str] = Field(description="Of the one cost that is asked for, if it is one.")
    group_count: int = Field(description="Groups found, before any is left out or folded.")
    empty_group_count: int = Field(description="Those of them without usage in the period.")
    warnings: list[str] = Field(description="What was asked for and is not in the report.")
    pagination: Pagination
