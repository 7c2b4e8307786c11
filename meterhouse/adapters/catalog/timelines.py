"""Reading and writing what charges subscriptions over time."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.plan_versions import read_version
from meterhouse.adapters.catalog.prices import prices_of
from meterhouse.adapters.catalog.sales_models import PriceRow
from meterhouse.adapters.catalog.subscription_models import (
    PriceClosureRow,
    PriceIntervalRow,
    SubscriptionRow,
    SubscriptionVersionRow,
)
from meterhouse.adapters.catalog.subscription_rows import number_of
from meterhouse.domain.price import Price
from meterhouse.domain.price_interval import Charge, QuantityStep, Span, WrittenInterval
from meterhouse.domain.subscription import Subscription
from meterhouse.domain.timeline import Closure, Timeline


def read_timeline(session: Session, subscription: Subscription) -> Timeline:
    """What charges it, by each version of its plan in its time."""
    rows = session.scalars(
        select(SubscriptionVersionRow)
        .where(SubscriptionVersionRow.subscription_id == subscription.id)
        .order_by(SubscriptionVersionRow.start_at)
    )
    return _timeline(
        session, subscription, [Span(row.start_at, row.number, row.advance_number) for row in rows]
    )


def read_entitling_timeline(session: Session, subscription: Subscription) -> Timeline:
    """What entitles it: the version that it keeps, or else the plan's default one, as if it were at that all
    along, or since it moved there, and what was written for it.
    """
    row = session.get_one(SubscriptionRow, subscription.id)
    number, until = number_of(session, row), row.entitled_until
    if until is None or row.entitled_version is None or until <= subscription.started_at:
        return _timeline(session, subscription, [Span(subscription.started_at, number)])
    spans = [Span(subscription.started_at, row.entitled_version), Span(until, number)]
    return _timeline(session, subscription, spans)


def _timeline(session: Session, subscription: Subscription, spans: Sequence[Span]) -> Timeline:
    versions = {
        number: read_version(session, subscription.plan_id, number, subscription.created_at)
        for number in {number for span in spans for number in span[1:] if number is not None}
    }
    closures = session.scalars(
        select(PriceClosureRow)
        .where(PriceClosureRow.subscription_id == subscription.id)
        .order_by(PriceClosureRow.key, PriceClosureRow.start_at)
    )
    return Timeline(
        subscription=subscription,
        spans=spans,
        versions=versions,
        written=tuple(_written(session, subscription.id)),
        closures=tuple([Closure(row.key, row.start_at, row.end_at) for row in closures]),
    )


def _written(session: Session, subscription_id: str) -> Sequence[WrittenInterval]:
    rows = session.execute(
        select(PriceIntervalRow, PriceRow)
        .join(PriceRow, PriceRow.id == PriceIntervalRow.price_id)
        .where(PriceIntervalRow.subscription_id == subscription_id)
        .order_by(PriceIntervalRow.start_at, PriceIntervalRow.id)
    ).all()
    prices = prices_of(session, [price for _, price in rows])
    return [_interval(row, price) for (row, _), price in zip(rows, prices, strict=True)]


def _interval(row: PriceIntervalRow, price: Price) -> WrittenInterval:
    charge = Charge(
        price=price,
        unit_price=None if row.unit_price is None else Decimal(row.unit_price),
        base_quantity=Decimal(row.base_quantity),
        steps=tuple([QuantityStep(at, Decimal(quantity)) for at, quantity in row.quantity_steps]),
        billing_cadence=row.billing_cadence,
        is_in_advance=row.is_in_advance,
        bill_date=row.bill_at,
    )
    return WrittenInterval(
        id=row.id, key=row.key, is_owned=row.is_owned, charge=charge, start=row.start_at, end=row.end_at
    )


def write_timeline(session: Session, after: Timeline) -> None:
    """Store what is written, and what is closed, instead of what was before."""
    id = after.subscription.id
    for model in (PriceIntervalRow, PriceClosureRow):
        session.execute(delete(model).where(model.subscription_id == id))
    session.add_all([_row(id, one) for one in after.written])
    session.add_all(
        [
            PriceClosureRow(subscription_id=id, key=one.key, start_at=one.start, end_at=one.end)
            for one in after.closures
        ]
    )
    session.flush()


def _row(subscription_id: str, one: WrittenInterval) -> PriceIntervalRow:
    charge = one.charge
    return PriceIntervalRow(
        id=one.id,
        subscription_id=subscription_id,
        key=one.key,
        price_id=charge.price.id,
        is_owned=one.is_owned,
        unit_price=None if charge.unit_price is None else format(charge.unit_price, "f"),
        base_quantity=format(charge.base_quantity, "f"),
        quantity_steps=[[step.at, format(step.quantity, "f")] for step in charge.steps],
        billing_cadence=charge.billing_cadence,
        is_in_advance=charge.is_in_advance,
        bill_at=charge.bill_date,
        start_at=one.start,
        end_at=one.end,
    )
