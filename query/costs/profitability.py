"""Who is worth it? `GET /v0/profitability`: what each customer was billed, less what it cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.domain.condition import SUBJECT
from meterhouse.domain.cost import percentage, total
from meterhouse.domain.invoice import Invoice
from query.answers import failures, json_answer
from query.backend import Merchant, Ports
from query.costs.groups import Amount, groups_of
from query.costs.reading import CostQuestion, fresh_costs, read_costs
from query.costs.revenue_wire import ProfitabilityBody, ProfitRowBody
from query.fields import After, Between, Currency, MerchantId, Timestamp
from query.freshness import AfterHeader
from query.metering.meter import FRESHNESS_HEADERS
from query.money import PRIMARY, cents, money
from query.reading import counted_header, period_of, state_header
from query.route import new_router
from query.sales.products import own_merchant

router = new_router()


class ProfitabilityAsked(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    merchant_id: MerchantId
    from_: Timestamp = Field(alias="from", description="Included.")
    to: Timestamp = Field(description="Not included.")
    top_n: Annotated[int, Between(1, 100)] = Field(10, description="So many customers by themselves.")
    currency: Currency | None = Field(None, description=f"{PRIMARY} where nothing is said.")
    exclude_empty: bool = Field(False, description="Leave out customers without invoices and usage.")
    include_empty: bool = Field(False, description="List those that are left out by themselves.")
    after: After = ()


@dataclass(frozen=True, slots=True)
class Party:
    """A customer, or several together: `recorded` of them have usage against a cost."""

    id: str
    name: str
    revenue: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    customers: int = 1
    recorded: int = 0
    invoices: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.recorded and not self.invoices

    @property
    def profit(self) -> Decimal:
        """Of the rounded figures, so that a row adds up."""
        return total([cents(self.revenue), cents(self.cost).copy_negate()])

    @property
    def cost_data(self) -> Literal["recorded", "partial", "none"]:
        if self.recorded == self.customers:
            return "recorded"
        return "partial" if self.recorded else "none"

    @property
    def margin(self) -> str | None:
        """Not where nothing was billed, nor where a cost that nobody recorded would read as none."""
        if self.revenue <= 0 or self.cost_data != "recorded":
            return None
        return money(percentage(self.profit, cents(self.revenue)))


@router.get(
    "/v0/profitability",
    operation_id="getProfitability",
    responses={
        **failures(400, 403, 504),
        200: {"model": ProfitabilityBody, "description": "By customer.", "headers": FRESHNESS_HEADERS},
    },
    response_model=None,
)
async def profitability(
    asked: Annotated[ProfitabilityAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """What customers were billed in a period, as `GET /v0/revenue` has it, less what they cost."""
    own_merchant(asked.merchant_id, merchant)
    period = period_of(asked.from_, asked.to)
    currency = asked.currency or PRIMARY
    costs = [one for one in await ports.sales.costs.every(merchant) if one.currency == currency]
    await fresh_costs(ports, merchant, costs, (*asked.after, *after))
    headers = await counted_header(ports)
    question = CostQuestion(period=period, dimension=SUBJECT)
    servings, found = await read_costs(ports, merchant, costs, question)
    every = await ports.holdings.purchases.invoices(merchant, period)
    invoices = [one for one in every if one.currency == currency]
    names = await ports.customers.names(merchant, None)
    amounts = {group.key: group.amount for group in groups_of(found)}
    customers, gone = parties(names, invoices, amounts), deleted(names, invoices, amounts)
    body = profitability_body(asked, currency, customers, gone)
    return json_answer(body.model_dump(by_alias=True), headers | state_header(*servings))


def parties(
    names: Mapping[str, str], invoices: Sequence[Invoice], amounts: Mapping[str, Amount]
) -> list[Party]:
    """Every customer; usage of subjects that are none is nobody's."""
    billed: defaultdict[str, list[Decimal]] = defaultdict(list)
    for one in invoices:
        billed[one.customer_id].append(one.amount)
    return [
        Party(
            id,
            name,
            revenue=total(billed.get(id, ())),
            cost=amounts.get(id, Amount()).cost,
            recorded=int(amounts.get(id, Amount()).events > 0),
            invoices=len(billed.get(id, ())),
        )
        for id, name in names.items()
    ]


def deleted(
    names: Mapping[str, str], invoices: Sequence[Invoice], amounts: Mapping[str, Amount]
) -> Party | None:
    """Customers that were billed and are no more, all as one; None where there are none."""
    gone = {one.customer_id: one.customer_id for one in invoices if one.customer_id not in names}
    some = parties(gone, invoices, amounts)
    return together("deleted", "Deleted customers", some) if some else None


def together(id: str, name: str, some: Sequence[Party]) -> Party:
    """All of them as one."""
    return Party(
        id,
        name,
        revenue=total(one.revenue for one in some),
        cost=total(one.cost for one in some),
        customers=len(some),
        recorded=sum(one.recorded for one in some),
        invoices=sum(one.invoices for one in some),
    )


def profitability_body(
    asked: ProfitabilityAsked, currency: str, customers: Sequence[Party], gone: Party | None
) -> ProfitabilityBody:
    """The rows: the most profitable first, then the rest as one, then those that are no more."""
    empty = [one for one in customers if one.is_empty]
    kept = [one for one in customers if not (asked.exclude_empty and one.is_empty)]
    ranked = sorted(kept, key=lambda one: (one.profit.copy_negate(), one.name, one.id))
    rows, rest = ranked[: asked.top_n], ranked[asked.top_n :]
    if rest:
        rows.append(together("other", "Other", rest))
    if gone is not None:
        rows.append(gone)
    by_name = sorted(empty if asked.exclude_empty else [], key=lambda one: (one.name, one.id))
    return ProfitabilityBody(
        currency=currency,
        rows=_rows(rows),
        customer_count=len(customers),
        empty_customer_count=len(empty),
        empty_customers=_rows(by_name) if asked.include_empty else None,
        warnings=[],
    )


def _rows(some: Iterable[Party]) -> list[ProfitRowBody]:
    return [
        ProfitRowBody(
            customer_id=one.id,
            customer_name=one.name,
            net_revenue=money(one.revenue),
            total_cost=money(one.cost),
            profit=money(one.profit),
            margin_pct=one.margin,
            cost_data=one.cost_data,
        )
        for one in some
    ]
