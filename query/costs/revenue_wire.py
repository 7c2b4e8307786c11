"""What answers about revenue and profit look like. What cannot be said is left out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from query.wire import Moment, Wire

Money = str


class InvoiceCategoryBody(Wire):
    count: int
    amount: Money


class InvoicesBody(Wire):
    issued: InvoiceCategoryBody
    outstanding: InvoiceCategoryBody
    paid: InvoiceCategoryBody
    written_off: InvoiceCategoryBody


class PaymentsBody(Wire):
    """Of payment links, of which there are none."""

    completed_count: int = 0
    completed_amount: Money = "0.00"
    pending_count: int = 0
    pending_amount: Money = "0.00"
    expired_count: int = 0
    expired_amount: Money = "0.00"


class GroupOfBucketBody(Wire):
    group_key: str
    group_label: str
    revenue: Money
    issued_invoices: Money


class RevenueBucketBody(Wire):
    timestamp: Moment
    revenue: Money
    issued_invoices: Money
    written_off_invoices: Money = "0.00"
    completed_payments: Money = "0.00"
    rebates: Money = "0.00"
    group_breakdown: list[GroupOfBucketBody] | None = None


class InvoiceGroupBody(Wire):
    group_key: str
    group_label: str
    outstanding: InvoiceCategoryBody
    paid: InvoiceCategoryBody
    written_off: InvoiceCategoryBody


class CurrencyBody(Wire):
    currency: str
    net_revenue: Money
    invoices: InvoicesBody
    payments: PaymentsBody = PaymentsBody()
    trend: list[RevenueBucketBody]


class RevenueBody(Wire):
    """By currency there is `currencyBreakdown` alone, otherwise everything else."""

    object: Literal["revenue_summary"] = "revenue_summary"
    currency: str | None = None
    net_revenue: Money | None = None
    invoices: InvoicesBody | None = None
    trend: list[RevenueBucketBody] | None = None
    group_breakdown: list[InvoiceGroupBody] | None = None
    currency_breakdown: list[CurrencyBody] | None = None


class ProfitRowBody(Wire):
    customer_id: str = Field(description="`other` for the rest, `deleted` for customers that are no more.")
    customer_name: str
    net_revenue: Money
    total_cost: Money
    profit: Money
    margin_pct: Money | None
    cost_data: Literal["recorded", "partial", "none"]


class ProfitabilityBody(Wire):
    object: Literal["profitability_summary"] = "profitability_summary"
    currency: str
    rows: list[ProfitRowBody]
    customer_count: int
    empty_customer_count: int
    empty_customers: list[ProfitRowBody] | None = Field(
        default=None, exclude_if=lambda value: value is None, description="Only with `includeEmpty`."
    )
    warnings: list[str]
