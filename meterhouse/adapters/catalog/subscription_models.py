"""The catalog's tables of who subscribes to what, and of the clocks that drive some of them."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from meterhouse.adapters.catalog.models import Base, Document, Documents
from meterhouse.domain.instant import Instant


class TestClockRow(Base):
    """A deleted clock stays readable to the subscriptions that it drove."""

    __test__ = False  # to a test runner it looks like a test
    __tablename__ = "test_clocks"
    __table_args__ = (Index(None, "merchant_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    name: Mapped[str | None]
    description: Mapped[str | None]
    stands_at: Mapped[Instant]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]
    deleted_at: Mapped[Instant | None]


class SubscriptionRow(Base):
    """`pinned_version` is null for one that follows its plan's default version; `asked` is the request that
    made it. Until `entitled_until` it is entitled by `entitled_version`, where it has moved to another since.
    A customer that is deleted leaves its rows.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(None, "merchant_id", "created_at", "id"),
        Index(None, "customer_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    customer_id: Mapped[str]
    name: Mapped[str]
    plan_id: Mapped[str] = mapped_column(ForeignKey("plans.id"), index=True)
    plan_version_id: Mapped[str] = mapped_column(ForeignKey("plan_versions.id"))
    version_number: Mapped[int]
    pinned_version: Mapped[int | None]
    entitled_version: Mapped[int | None]
    entitled_until: Mapped[Instant | None]
    started_at: Mapped[Instant]
    ending_at: Mapped[Instant | None]
    elapsed_billing: Mapped[str]
    billing_starts_at: Mapped[Instant]
    billing_anchor: Mapped[Instant]
    billing_cadence: Mapped[str]
    auto_charge: Mapped[bool]
    tax_exempt: Mapped[bool]
    payment_term_days: Mapped[int]
    renewal_reminder_enabled: Mapped[bool | None]
    renewal_reminder_days: Mapped[int | None]
    details: Mapped[Document]  # `metadata`
    asked: Mapped[Document]
    test_clock_id: Mapped[str | None] = mapped_column(ForeignKey("test_clocks.id"), index=True)
    terminated_at: Mapped[Instant | None]
    terminated_by: Mapped[str | None]
    termination_reason: Mapped[str | None]
    termination_change_reason: Mapped[str | None]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]


class SubscriptionVersionRow(Base):
    """From `start_at` on the subscription is charged by the version of its plan with that number, and in
    advance by that with `advance_number`, where it is one.
    """

    __tablename__ = "subscription_versions"

    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id"), primary_key=True)
    start_at: Mapped[Instant] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    advance_number: Mapped[int | None]


class PriceIntervalRow(Base):
    """Written over a line of the plan, or beside them all where it `is_owned`. Numbers are text.

    `billing_cadence` is null for what charges once, at `bill_at`; `end_at` where it goes on.
    """

    __tablename__ = "price_intervals"

    id: Mapped[str] = mapped_column(primary_key=True)
    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id"), index=True)
    key: Mapped[str]
    price_id: Mapped[str] = mapped_column(ForeignKey("prices.id"), index=True)
    is_owned: Mapped[bool]
    unit_price: Mapped[str | None]
    base_quantity: Mapped[str]
    quantity_steps: Mapped[Documents]  # [instant, number]
    billing_cadence: Mapped[str | None]
    is_in_advance: Mapped[bool]
    bill_at: Mapped[Instant | None]
    start_at: Mapped[Instant]
    end_at: Mapped[Instant | None]


class PriceClosureRow(Base):
    """No line of the plan with that key charges the subscription in [start_at, end_at)."""

    __tablename__ = "price_closures"

    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    start_at: Mapped[Instant] = mapped_column(primary_key=True, autoincrement=False)
    end_at: Mapped[Instant | None]


class IntervalChangeRow(Base):
    """The record of an edit; it never changes. `entries` are as the wire shows them."""

    __tablename__ = "interval_changes"
    __table_args__ = (
        Index(None, "merchant_id", "created_at", "id"),
        Index(None, "subscription_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id"))
    reason: Mapped[str]
    description: Mapped[str | None]
    details: Mapped[Document]  # `metadata`
    entries: Mapped[Documents]
    created_at: Mapped[Instant]
