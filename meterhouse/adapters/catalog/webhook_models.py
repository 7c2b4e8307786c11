"""The catalog's tables of what merchants are told: whether, where to, what, and how that went."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from meterhouse.adapters.catalog.models import Base, Documents
from meterhouse.domain.instant import Instant


class WebhooksRow(Base):
    __tablename__ = "webhooks"

    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"), primary_key=True)
    application_id: Mapped[str]
    enabled: Mapped[bool]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]


class EndpointRow(Base):
    """`secret` signs, and until `old_secret_until` the one before it too. Both are kept as they are."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        UniqueConstraint("merchant_id", "url"),
        Index(None, "merchant_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("webhooks.merchant_id"))
    url: Mapped[str]
    description: Mapped[str]
    types: Mapped[Documents]
    enabled: Mapped[bool]
    gone: Mapped[bool]
    secret: Mapped[str]
    old_secret: Mapped[str | None]
    old_secret_until: Mapped[Instant | None]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]


class NoticeRow(Base):
    """`at` is when it came about, `created_at` when it was found."""

    __tablename__ = "webhook_notices"

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str]
    type: Mapped[str]
    at: Mapped[Instant]
    payload: Mapped[str]
    created_at: Mapped[Instant] = mapped_column(index=True)


class MarkRow(Base):
    """That something was told of an entitlement. It outlives the notice, so that nothing is told again."""

    __tablename__ = "webhook_marks"

    entitlement_id: Mapped[str] = mapped_column(ForeignKey("entitlements.id"), primary_key=True)
    mark: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[Instant]


class DeliveryRow(Base):
    """`next_at` is null unless it is pending; one that is claimed has its lease there."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(None, "merchant_id", "created_at", "id"),
        Index(None, "endpoint_id", "next_at"),
        Index(None, "state", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    notice_id: Mapped[str] = mapped_column(ForeignKey("webhook_notices.id"), index=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id"))
    merchant_id: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int]
    next_at: Mapped[Instant | None]
    last_attempt_at: Mapped[Instant | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
    created_at: Mapped[Instant]


class AttemptRow(Base):
    """An attempt that was made. It goes with its delivery, whatever that goes with."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (Index(None, "delivery_id", "at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("webhook_deliveries.id", ondelete="CASCADE"))
    at: Mapped[Instant]
    status: Mapped[int | None]
    error: Mapped[str | None]


class HeardRow(Base):
    """How far it is known whose usage the events of one partition changed."""

    __tablename__ = "webhook_progress"

    log_id: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_offset: Mapped[int]
