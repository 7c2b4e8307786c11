"""The catalog's tables of what customers hold: entitlements, grants, and purchases of grants."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from meterhouse.adapters.catalog.models import Base, Document
from meterhouse.domain.instant import Instant


class EntitlementRow(Base):
    """`template` is the document of its template. One that `is_provisioned` came with a subscription's plan.

    A customer that is deleted leaves its rows. From `look_at` on it is to be looked at for what there is to
    tell of it; what came about up to `looked_until` has been found. Whoever changes what its balance is made
    of sets `look_at` to 0.
    """

    __tablename__ = "entitlements"
    __table_args__ = (
        Index(None, "customer_id", "created_at", "id"),
        Index(None, "subscription_id"),
        Index(None, "merchant_id", "look_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    customer_id: Mapped[str]
    feature_id: Mapped[str] = mapped_column(ForeignKey("features.id"), index=True)
    billable_metric_id: Mapped[str | None] = mapped_column(ForeignKey("billable_metrics.id"))
    subscription_id: Mapped[str | None]
    template: Mapped[Document]
    active_from: Mapped[Instant]
    active_to: Mapped[Instant | None]
    canceled_at: Mapped[Instant | None]
    details: Mapped[dict[str, str]]  # `metadata`
    is_provisioned: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[Instant]
    look_at: Mapped[Instant] = mapped_column(default=0)
    looked_until: Mapped[Instant | None]


class GrantRow(Base):
    """Numbers are text with all their digits. `recurrence_*` are null for a grant that is issued once."""

    __tablename__ = "grants"
    __table_args__ = (
        UniqueConstraint("entitlement_id", "idempotency_key"),
        Index(None, "entitlement_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    entitlement_id: Mapped[str] = mapped_column(ForeignKey("entitlements.id"))
    idempotency_key: Mapped[str | None]
    asked: Mapped[Document]
    amount: Mapped[str]
    priority: Mapped[int]
    effective_at: Mapped[Instant]
    expires_at: Mapped[Instant | None]
    voided_at: Mapped[Instant | None]
    reset_max_rollover: Mapped[str]
    reset_min_rollover: Mapped[str]
    recurrence_anchor: Mapped[Instant | None]
    recurrence_interval: Mapped[str | None]
    created_at: Mapped[Instant]


class PurchaseRow(Base):
    """What was asked for; the grant is made of it, under `grant_id`, when it is paid."""

    __tablename__ = "grant_purchases"
    __table_args__ = (UniqueConstraint("entitlement_id", "idempotency_key"),)

    invoice_id: Mapped[str] = mapped_column(primary_key=True)
    entitlement_id: Mapped[str] = mapped_column(ForeignKey("entitlements.id"))
    idempotency_key: Mapped[str]
    asked: Mapped[Document]
    grant_id: Mapped[str]
    created_at: Mapped[Instant]
    paid_at: Mapped[Instant | None]
