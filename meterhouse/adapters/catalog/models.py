"""The catalog's tables, for any database. Instants are whole microseconds since the epoch."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, ClassVar, Final

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from meterhouse.domain.instant import Instant

# Names of constraints are said, not left to the database, so that a migration can change them anywhere.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


# Text compares by code point everywhere: what a fold does depends on the order of definitions, which must
# not change with the collation that someone made a database with, or with an upgrade of its libc.
TEXT: Final = String().with_variant(String(collation="C"), "postgresql")


Document = dict[str, Any]
Documents = list[Any]

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class ExactJson(TypeDecorator[Document]):
    """JSON as text, because a database's own JSON would round its numbers. None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        return None if value is None else _encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value, parse_float=Decimal)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar = {
        int: BigInteger,
        str: TEXT,
        dict[str, str]: JSON(none_as_null=True),
        Document: ExactJson,
        Documents: ExactJson,
    }


class MerchantRow(Base):
    """Only what belongs to a `sandbox` can be reset."""

    __tablename__ = "merchants"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[Instant]
    sandbox: Mapped[bool] = mapped_column(server_default=false())


class TombstoneRow(Base):
    """Events of `whose` that were received before `at` are hidden, from a catalog version on, for ever."""

    __tablename__ = "tombstones"

    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"), primary_key=True)
    at: Mapped[Instant] = mapped_column(primary_key=True, autoincrement=False)
    subject: Mapped[str] = mapped_column(primary_key=True)
    external_subject: Mapped[str] = mapped_column(primary_key=True)
    appeared_in: Mapped[int]


class ApiKeyRow(Base):
    """`hash` is SHA-256 of the key, in hex. `changed_in` is the keys version of its last change."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"), index=True)
    name: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    prefix: Mapped[str]
    created_at: Mapped[Instant]
    revoked_at: Mapped[Instant | None]
    changed_in: Mapped[int] = mapped_column(index=True)


class ProductRow(Base):
    """A deleted one stays for the billable metrics that were its own."""

    __tablename__ = "products"
    __table_args__ = (Index(None, "merchant_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    name: Mapped[str]
    description: Mapped[str]
    details: Mapped[dict[str, str]]  # `metadata`, a word that SQLAlchemy keeps for itself
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]
    deleted_at: Mapped[Instant | None]


class ConsumerRow(Base):
    """Whom one merchant knows. `caseless_…` is what is compared, as databases fold case in different ways."""

    __tablename__ = "consumers"
    __table_args__ = (UniqueConstraint("merchant_id", "caseless_email"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    name: Mapped[str]
    caseless_name: Mapped[str]
    email: Mapped[str]
    caseless_email: Mapped[str]
    address: Mapped[dict[str, str]]
    phone: Mapped[str | None]


class CustomerRow(Base):
    """`tax_rates` are decimal numbers as text."""

    __tablename__ = "customers"
    __table_args__ = (
        UniqueConstraint("merchant_id", "consumer_id"),
        UniqueConstraint("merchant_id", "external_id"),
        Index(None, "merchant_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    consumer_id: Mapped[str] = mapped_column(ForeignKey("consumers.id"))
    tax_id: Mapped[str | None]
    external_id: Mapped[str | None]
    tax_rates: Mapped[dict[str, str]]
    invoice_issued: Mapped[bool]
    invoice_paid: Mapped[bool]
    renewal_reminder: Mapped[bool]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]


class FeatureRow(Base):
    """A deleted one stays, for the entitlements that were issued with it, but gives its key back."""

    __tablename__ = "features"
    __table_args__ = (
        Index(
            "uq_features_product_id_key",
            "product_id",
            "key",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(None, "product_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"))
    key: Mapped[str]
    name: Mapped[str]
    type: Mapped[str]
    details: Mapped[dict[str, str]]  # `metadata`
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]
    deleted_at: Mapped[Instant | None]


class MetricRow(Base):
    """What a billable metric is whatever its version; `version` is the newest. One of a cost is its own.

    A deleted one stays for the rows that name it; no version of it is counted any more.
    """

    __tablename__ = "billable_metrics"
    __table_args__ = (Index(None, "merchant_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    product_id: Mapped[str] = mapped_column(ForeignKey("products.id"), index=True)
    item_id: Mapped[str | None]
    name: Mapped[str]
    description: Mapped[str]
    unit: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[Instant]
    updated_at: Mapped[Instant]
    deleted_at: Mapped[Instant | None]


class VersionRow(Base):
    """One version of a billable metric, part of every catalog version in [appeared_in, retired_in)."""

    __tablename__ = "billable_metric_versions"

    billable_metric_id: Mapped[str] = mapped_column(ForeignKey("billable_metrics.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aggregation: Mapped[str]
    event_type: Mapped[str | None]
    value_property: Mapped[str | None]
    group_by: Mapped[dict[str, str] | None]
    event_from: Mapped[Instant | None]
    state: Mapped[str]
    appeared_in: Mapped[int] = mapped_column(index=True)
    retired_in: Mapped[int | None] = mapped_column(index=True)


class StateRow(Base):
    """The one row of counters. Whoever changes what they count holds the catalog, so that numbers become
    visible in their order.
    """

    __tablename__ = "catalog_state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    catalog_version: Mapped[int]
    keys_version: Mapped[int]


class SigningKeyRow(Base):
    """The one key that links are signed with; `secret` is in hexadecimal."""

    __tablename__ = "signing_keys"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    secret: Mapped[str]
    created_at: Mapped[Instant]


class LogProgressRow(Base):
    """How far one partition is counted. Every metric version of `catalog_version` has a backfill row.

    No event that was ever planned was received after `received_until`.
    """

    __tablename__ = "log_progress"

    log_id: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    next_offset: Mapped[int]
    pending_last: Mapped[int | None]
    catalog_version: Mapped[int | None]
    received_until: Mapped[Instant] = mapped_column(default=0, server_default="0")


class LogShardRow(Base):
    """The shard of ClickHouse that holds all rows of one partition. It never changes."""

    __tablename__ = "log_shards"

    log_id: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shard: Mapped[int]


class BackfillRow(Base):
    """What of one partition was accepted before it met one metric version: offsets below `until_offset`."""

    __tablename__ = "backfill_progress"
    __table_args__ = (Index(None, "log_id", "partition", "done"),)

    billable_metric_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    log_id: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    until_offset: Mapped[int]
    next_offset: Mapped[int]
    pending_last: Mapped[int | None]
    catalog_version: Mapped[int | None]
    done: Mapped[bool]
