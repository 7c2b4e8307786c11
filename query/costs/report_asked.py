"""What may be asked of a report of costs, and which costs it is then about (contract 3.11)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from meterhouse.domain.condition import SUBJECT, AllOf, Condition, one_of
from meterhouse.domain.cost import Cost
from meterhouse.domain.errors import Invalid
from meterhouse.domain.window import WindowSize
from query.fields import (
    MAX_IN_URL,
    After,
    Between,
    CostId,
    Currency,
    MerchantId,
    PageLimit,
    PageOffset,
    Timestamp,
)
from query.metering.meter import parse_filters

BY_COST = "cost"
BY_CUSTOMER = "customer"

_MAX_FILTERS = 5
_MAX_FILTER_BYTES = 4 * 1024
_FALLBACK = "USD"


class Sort(StrEnum):
    COST = "totalCost"
    QUANTITY = "totalQuantity"


class Direction(StrEnum):
    ASCENDING = "asc"
    DESCENDING = "desc"


class ReportAsked(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    from_: Timestamp = Field(alias="from", description="Included.")
    to: Timestamp = Field(description="Not included.")
    group_by: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="`cost`, `customer`, or, where `costId` names one cost, a dimension of it.",
        examples=["cost"],
    )
    merchant_id: MerchantId | None = None
    cost_id: Annotated[list[CostId], Field(max_length=50)] = Field(
        [], description="Only these costs; several by repeating it."
    )
    subject: str | None = Field(None, description="What this subject costs only.")
    filter_group_by: str | None = Field(
        None,
        max_length=MAX_IN_URL,
        description="A JSON object of up to 5 names: only events with these dimension values (or `subject`)"
        " count.",
        examples=['{"region":"us-east-1"}'],
    )
    top_n: Annotated[int, Between(1, 25)] = Field(
        9, description="So many groups by themselves, and all others as one."
    )
    compare_prior_period: bool = Field(
        False,
        description="Also the period before: as many whole months or days, where the period is made of them;"
        " else as long.",
    )
    exclude_empty: bool = Field(False, description="Leave out groups without usage in the period.")
    window_size: Literal[WindowSize.HOUR, WindowSize.DAY, WindowSize.MONTH] | None = Field(
        None, description="Also by calendar window of UTC."
    )
    sort: Sort = Sort.COST
    sort_dir: Direction = Direction.DESCENDING
    offset: PageOffset = 0
    limit: PageLimit = 25
    currency: Currency | None = Field(
        None, description="Only costs in it; that of the oldest one asked for, where nothing is said."
    )
    after: After = ()

    @property
    def dimension(self) -> str | None:
        """What usage is grouped by; None for the cost that it is of."""
        if self.group_by == BY_COST:
            return None
        return SUBJECT if self.group_by == BY_CUSTOMER else self.group_by

    def filters(self) -> dict[str, str]:
        """The texts that dimensions must have. Raises Invalid."""
        text = self.filter_group_by
        if text is not None and len(text.encode(errors="replace")) > _MAX_FILTER_BYTES:
            raise Invalid.field("filterGroupBy", f"is over {_MAX_FILTER_BYTES} bytes", "too_large")
        found = parse_filters(text)
        if len(found) > _MAX_FILTERS:
            raise Invalid.field("filterGroupBy", f"names more than {_MAX_FILTERS} dimensions", "too_large")
        return found

    def condition(self) -> Condition:
        """Of `subject` and `filterGroupBy` together. Raises Invalid."""
        subject = () if self.subject is None else (one_of(SUBJECT, self.subject),)
        return AllOf((*subject, *[one_of(name, text) for name, text in self.filters().items()]))


def chosen_costs(costs: Sequence[Cost], asked: ReportAsked) -> tuple[str, list[Cost]]:
    """The currency of the report, and which of the merchant's costs, oldest first, it is about."""
    wanted = [cost for cost in costs if not asked.cost_id or cost.id in asked.cost_id]
    currency = asked.currency or (wanted[0].currency if wanted else _FALLBACK)
    return currency, [cost for cost in wanted if cost.currency == currency]


def left_out(costs: Sequence[Cost], currency: str, asked: ReportAsked) -> list[str]:
    """A sentence for each cost that was asked for by its id and is not part of the report.

    One that is not there is no failure: it may have been deleted since the question was saved somewhere.
    """
    currencies = {cost.id: cost.currency for cost in costs}
    said = []
    for id in sorted(set(asked.cost_id)):
        if id not in currencies:
            said.append(f"there is no cost {id}")
        elif currencies[id] != currency:
            said.append(f"{id} is in {currencies[id]}, so it is not part of this report")
    return said
