"""The catalog's tables of what is sold: items and what others call them, fees, prices and plans."""

from __future__ import annotations

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from meterhouse.adapters.catalog.models import Base, Document, Documents
from meterhouse.domain.instant import Instant


class ItemRow(Base):
    __tablename__ = "items"
    __table_args__ = (Index(None, "merchant_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    product_id: Mapped[str | None] = mapped_column(ForeignKey("products.id"))
    name: Mapped[str]
    details: Mapped[Document]  # `metadata`
    archived_at: Mapped[Instant | None]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]


class ReferenceRow(Base):
    """What another system calls an item or a customer."""

    __tablename__ = "external_references"
    __table_args__ = (
        UniqueConstraint("entity_id", "provider", "external_id"),
        Index(
            "uq_external_references_primary",
            "merchant_id",
            "provider",
            "external_id",
            unique=True,
            sqlite_where=text("is_primary"),
            postgresql_where=text("is_primary"),
        ),
        Index(
            "uq_external_references_default",
            "entity_id",
            "provider",
            unique=True,
            sqlite_where=text("is_default"),
            postgresql_where=text("is_default"),
        ),
        Index(None, "merchant_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    entity_type: Mapped[str]
    entity_id: Mapped[str]
    provider: Mapped[str]
    external_id: Mapped[str]
    external_label: Mapped[str | None]
    details: Mapped[Document]  # `metadata`
    is_primary: Mapped[bool]
    is_default: Mapped[bool]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]


class FeeRow(Base):
    __tablename__ = "fees"
    __table_args__ = (Index(None, "merchant_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"))
    item_id: Mapped[str | None] = mapped_column(ForeignKey("items.id"), index=True)
    name: Mapped[str]
    description: Mapped[str]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]
    deleted_at: Mapped[Instant | None]


class PriceRow(Base):
    """`properties` are the decimal numbers of the price's model, as text. A deleted price stays readable
    to the versions of plans that hold it.
    """

    __tablename__ = "prices"
    __table_args__ = (Index(None, "merchant_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    billable_metric_id: Mapped[str | None] = mapped_column(ForeignKey("billable_metrics.id"), index=True)
    fee_id: Mapped[str | None] = mapped_column(ForeignKey("fees.id"), index=True)
    feature_id: Mapped[str | None] = mapped_column(ForeignKey("features.id"), index=True)
    feature_link_id: Mapped[str | None]
    entitlement_template: Mapped[Document | None]
    invoice_display_name: Mapped[str]
    invoice_display_group: Mapped[str | None]
    payment_term: Mapped[str]
    model: Mapped[str]
    properties: Mapped[Document]
    billing_cadence: Mapped[str | None]
    pricing_unit_id: Mapped[str | None]
    grant_discount_enabled: Mapped[bool]
    is_obligation: Mapped[bool]
    rate_type: Mapped[str]
    supply_scope: Mapped[str]
    outside_scope_label: Mapped[str | None]
    quantity: Mapped[int]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]
    deleted_at: Mapped[Instant | None]


class PlanRow(Base):
    """`default_version` is the number of the version that subscriptions pay. `caseless_name` is what is
    searched, as databases fold case in different ways. `default_tax_rate` is a decimal number as text.
    """

    __tablename__ = "plans"
    __table_args__ = (Index(None, "merchant_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"), index=True)
    name: Mapped[str]
    caseless_name: Mapped[str]
    description: Mapped[str | None]
    invoice_display_name: Mapped[str | None]
    currency: Mapped[str]
    billing_cadence: Mapped[str]
    billing_anchor: Mapped[Instant | None]
    billing_version: Mapped[int]
    default_tax_code: Mapped[str]
    default_tax_rate: Mapped[str]
    tax_behavior: Mapped[str]
    renewal_reminder_enabled: Mapped[bool]
    renewal_reminder_days: Mapped[int]
    credit_allocations: Mapped[Documents]
    stable_price_ids: Mapped[bool]
    transition_date: Mapped[str]
    default_version: Mapped[int]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]


class PlanVersionRow(Base):
    """A version of a plan. Neither it nor its lines ever change."""

    __tablename__ = "plan_versions"

    plan_id: Mapped[str] = mapped_column(ForeignKey("plans.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(unique=True)
    based_on: Mapped[str | None]
    published_at: Mapped[Instant]


class PlanLineRow(Base):
    """One price of a version, by the key that names the line."""

    __tablename__ = "plan_lines"
    __table_args__ = (
        ForeignKeyConstraint(["plan_id", "number"], ["plan_versions.plan_id", "plan_versions.number"]),
        UniqueConstraint("plan_id", "number", "key"),
    )

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str]
    price_id: Mapped[str] = mapped_column(ForeignKey("prices.id"), index=True)


class CostRow(Base):
    """What a unit of the billable metric with the same id costs; `unit_cost` is a decimal number as text."""

    __tablename__ = "costs"

    id: Mapped[str] = mapped_column(ForeignKey("billable_metrics.id"), primary_key=True)
    currency: Mapped[str]
    unit_cost: Mapped[str]
