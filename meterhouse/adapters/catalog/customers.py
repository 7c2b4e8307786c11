"""Customers of merchants, and the consumers that they are. A consumer outlives its customer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.blockers import find_blocker, refuse
from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.entitlement_models import EntitlementRow
from meterhouse.adapters.catalog.models import ConsumerRow, CustomerRow, MerchantRow
from meterhouse.adapters.catalog.own_rows import own_row
from meterhouse.adapters.catalog.sales_models import ReferenceRow
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow
from meterhouse.adapters.catalog.subscription_rows import find_live, now_of_entitlements
from meterhouse.domain.customer import Consumer, Customer, CustomerFilter, Notifications, caseless
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.domain.instant import Instant
from meterhouse.domain.matching import plain
from meterhouse.ports.catalog import Page

_NOTIFICATIONS: Final = ("invoice_issued", "invoice_paid", "renewal_reminder")
_CHANGEABLE: Final = frozenset({"tax_id", "external_id", "tax_rates", "updated_at", *_NOTIFICATIONS})
_IDS_AT_ONCE: Final = 1_000  # a statement takes so many parameters and not many more


class CatalogCustomers:
    """Implements CustomerCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, customer: Customer) -> Customer:
        """Raises NotFound for an unknown merchant, Conflict for an external id that is taken."""
        return await self._database.write(partial(ensure_customer, customer))

    async def consumer(self, merchant_id: str, id: str) -> Consumer:
        return await self._database.read(partial(_consumer_of, merchant_id, id))

    async def get(self, merchant_id: str, id: str) -> Customer:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(self, merchant_id: str, wanted: CustomerFilter, limit: int, offset: int) -> Page[Customer]:
        return await self._database.read(partial(_page, merchant_id, wanted, limit, offset))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Customer:
        return await self._database.write(partial(_update, merchant_id, id, changes))

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        await self._database.write(partial(_delete, merchant_id, id, at))

    async def linked(self, merchant_id: str) -> Mapping[str, str]:
        return await self._database.read(partial(_linked, merchant_id))

    async def names(self, merchant_id: str, ids: Sequence[str] | None) -> Mapping[str, str]:
        return await self._database.read(partial(_names, merchant_id, ids))

    async def external_ids(self, merchant_id: str, ids: Sequence[str]) -> Mapping[str, str]:
        return await self._database.read(partial(_external_ids, merchant_id, ids))


def ensure_customer(customer: Customer, session: Session) -> Customer:
    """The customer that its consumer is already, as it is, or else this one."""
    hold_catalog(session)
    if session.get(MerchantRow, customer.merchant_id) is None:
        raise NotFound(f"there is no merchant {customer.merchant_id}")
    consumer = _ensure_consumer(session, customer.merchant_id, customer.consumer)
    row = session.scalars(
        select(CustomerRow).where(
            CustomerRow.merchant_id == customer.merchant_id, CustomerRow.consumer_id == consumer.id
        )
    ).one_or_none()
    _require_free(session, customer.merchant_id, customer.external_id, customer.id if row is None else row.id)
    if row is None:
        row = _row_of(customer, consumer)
        session.add(row)
    return _customer(row, consumer)


def require_customer(session: Session, merchant_id: str, id: str) -> None:
    """Raises NotFound where the merchant has no such customer."""
    own_row(session, CustomerRow, merchant_id, id, called="customer")


def consumers_of(session: Session, ids: Collection[str]) -> Mapping[str, Consumer]:
    """The consumers that these customers are, by customer; those that are deleted are left out."""
    rows = session.execute(
        select(CustomerRow.id, ConsumerRow)
        .join(ConsumerRow, ConsumerRow.id == CustomerRow.consumer_id)
        .where(CustomerRow.id.in_(ids))
    )
    return {id: _consumer(consumer) for id, consumer in rows}


def _ensure_consumer(session: Session, merchant_id: str, consumer: Consumer) -> ConsumerRow:
    """The merchant's consumer of that email, made when missing."""
    email = caseless(consumer.email)
    row = session.scalars(
        select(ConsumerRow).where(ConsumerRow.merchant_id == merchant_id, ConsumerRow.caseless_email == email)
    ).one_or_none()
    if row is None:
        row = ConsumerRow(
            id=consumer.id,
            merchant_id=merchant_id,
            name=consumer.name,
            caseless_name=caseless(consumer.name),
            email=consumer.email,
            caseless_email=email,
            address=dict(consumer.address),
            phone=consumer.phone,
        )
        session.add(row)
        session.flush()
    return row


def _require_free(session: Session, merchant_id: str, external_id: object, id: str) -> None:
    """Raises Conflict when another customer of the merchant than `id` has the external id."""
    if external_id is None:
        return
    taken = session.scalars(
        select(CustomerRow.id).where(
            CustomerRow.merchant_id == merchant_id,
            CustomerRow.external_id == external_id,
            CustomerRow.id != id,
        )
    ).one_or_none()
    if taken is not None:
        raise Conflict(f"the externalId {external_id} is taken by the customer {taken}")


def _consumer_of(merchant_id: str, id: str, session: Session) -> Consumer:
    row = session.scalars(
        select(ConsumerRow).where(ConsumerRow.merchant_id == merchant_id, ConsumerRow.id == id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no consumer {id}")
    return _consumer(row)


def _get(merchant_id: str, id: str, session: Session) -> Customer:
    return _customer(*_rows(session, merchant_id, id))


def _page(
    merchant_id: str, wanted: CustomerFilter, limit: int, offset: int, session: Session
) -> Page[Customer]:
    chosen = _condition(merchant_id, wanted)
    of_consumer = ConsumerRow.id == CustomerRow.consumer_id
    counted = select(func.count()).select_from(CustomerRow).join(ConsumerRow, of_consumer).where(chosen)
    oldest_first = (
        select(CustomerRow, ConsumerRow)
        .join(ConsumerRow, of_consumer)
        .where(chosen)
        .order_by(CustomerRow.created_at, CustomerRow.id)
    )
    rows = session.execute(oldest_first.limit(limit).offset(offset))
    return Page(tuple([_customer(row, consumer) for row, consumer in rows]), session.scalars(counted).one())


def _condition(merchant_id: str, wanted: CustomerFilter) -> ColumnElement[bool]:
    chosen = CustomerRow.merchant_id == merchant_id
    if wanted.name is not None:
        chosen &= ConsumerRow.caseless_name.contains(caseless(wanted.name), autoescape=True)
    if wanted.email is not None:
        chosen &= ConsumerRow.caseless_email.contains(caseless(wanted.email), autoescape=True)
    if wanted.external_id is not None:
        chosen &= CustomerRow.external_id == wanted.external_id
    return chosen


def _update(merchant_id: str, id: str, changes: Mapping[str, object], session: Session) -> Customer:
    unknown = changes.keys() - _CHANGEABLE
    if unknown:
        raise ValueError(f"cannot change {sorted(unknown)}")
    hold_catalog(session)
    row, consumer = _rows(session, merchant_id, id)
    _require_free(session, merchant_id, changes.get("external_id"), id)
    for field, value in changes.items():
        setattr(row, field, _texts(value) if isinstance(value, Mapping) else value)
    return _customer(row, consumer)


def _delete(merchant_id: str, id: str, at: Instant, session: Session) -> None:
    hold_catalog(session)
    row, _ = _rows(session, merchant_id, id)
    now = now_of_entitlements(at)
    held = select(EntitlementRow).where(
        EntitlementRow.customer_id == id,
        *[or_(end.is_(None), end > now) for end in (EntitlementRow.active_to, EntitlementRow.canceled_at)],
    )
    oldest_first = held.order_by(EntitlementRow.created_at, EntitlementRow.id)
    shown = find_blocker(
        session, "entitlements", oldest_first, lambda one: {"id": one.id, "status": "active"}
    )
    refuse(f"deleting the customer {id}", find_live(session, SubscriptionRow.customer_id == id, at), shown)
    session.execute(delete(ReferenceRow).where(ReferenceRow.entity_id == id))
    session.delete(row)


def _linked(merchant_id: str, session: Session) -> Mapping[str, str]:
    return {external_id: id for id, external_id in _links(session, merchant_id)}


def _names(merchant_id: str, ids: Sequence[str] | None, session: Session) -> Mapping[str, str]:
    chosen = (
        select(CustomerRow.id, ConsumerRow.name)
        .join(ConsumerRow, ConsumerRow.id == CustomerRow.consumer_id)
        .where(CustomerRow.merchant_id == merchant_id)
    )
    if ids is None:
        return dict(session.execute(chosen).all())
    found: dict[str, str] = {}
    for among in _among(ids):
        found.update(session.execute(chosen.where(among)).all())
    return found


def _external_ids(merchant_id: str, ids: Sequence[str], session: Session) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for among in _among(ids):
        found.update(_links(session, merchant_id, among))
    return found


def _among(ids: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    """What customers of these ids fulfil, some of them at a time."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield CustomerRow.id.in_(ids[start : start + _IDS_AT_ONCE])


def _links(session: Session, merchant_id: str, *wanted: ColumnElement[bool]) -> list[tuple[str, str]]:
    """Id and external id of each customer of the merchant that has one."""
    rows = session.execute(
        select(CustomerRow.id, CustomerRow.external_id).where(
            CustomerRow.merchant_id == merchant_id, CustomerRow.external_id.is_not(None), *wanted
        )
    )
    return [(id, external_id) for id, external_id in rows if external_id is not None]


def _rows(session: Session, merchant_id: str, id: str) -> tuple[CustomerRow, ConsumerRow]:
    """The merchant's customer. Raises NotFound, also when it is another merchant's."""
    found = session.execute(
        select(CustomerRow, ConsumerRow)
        .join(ConsumerRow, ConsumerRow.id == CustomerRow.consumer_id)
        .where(CustomerRow.merchant_id == merchant_id, CustomerRow.id == id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"there is no customer {id}")
    row, consumer = found
    return row, consumer


def _row_of(customer: Customer, consumer: ConsumerRow) -> CustomerRow:
    return CustomerRow(
        id=customer.id,
        merchant_id=customer.merchant_id,
        consumer_id=consumer.id,
        tax_id=customer.tax_id,
        external_id=customer.external_id,
        tax_rates=_texts(customer.tax_rates),
        invoice_issued=customer.notifications.invoice_issued,
        invoice_paid=customer.notifications.invoice_paid,
        renewal_reminder=customer.notifications.renewal_reminder,
        created_at=customer.created_at,
        updated_at=customer.updated_at,
    )


def _texts(rates: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: plain(rate) for name, rate in rates.items()}


def _customer(row: CustomerRow, consumer: ConsumerRow) -> Customer:
    return Customer(
        id=row.id,
        merchant_id=row.merchant_id,
        consumer=_consumer(consumer),
        tax_id=row.tax_id,
        external_id=row.external_id,
        tax_rates={name: Decimal(rate) for name, rate in row.tax_rates.items()},
        notifications=Notifications(
            invoice_issued=row.invoice_issued,
            invoice_paid=row.invoice_paid,
            renewal_reminder=row.renewal_reminder,
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _consumer(row: ConsumerRow) -> Consumer:
    return Consumer(id=row.id, name=row.name, email=row.email, address=dict(row.address), phone=row.phone)
