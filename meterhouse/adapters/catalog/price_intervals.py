"""Which prices subscriptions are charged by, from when until when, and editing that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.following import compare, features_of, settle
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.prices import prices_of
from meterhouse.adapters.catalog.sales_models import PriceRow
from meterhouse.adapters.catalog.subscription_fields import read_subscription
from meterhouse.adapters.catalog.subscription_models import IntervalChangeRow
from meterhouse.adapters.catalog.subscription_rows import subscription_row
from meterhouse.adapters.catalog.timelines import read_timeline, write_timeline
from meterhouse.domain.errors import Conflict, Invalid
from meterhouse.domain.instant import Instant
from meterhouse.domain.interval_change import (
    Edited,
    IntervalChange,
    IntervalChangeFilter,
    IntervalDifference,
    differences,
)
from meterhouse.domain.interval_document import entry_of
from meterhouse.domain.interval_edit import IntervalEdit, edited
from meterhouse.domain.interval_rules import require_sound
from meterhouse.domain.price import Price
from meterhouse.domain.price_interval import PriceInterval
from meterhouse.domain.subscription import ChangeReason, Subscription
from meterhouse.ports.catalog import Page


class CatalogPriceIntervals:
    """Implements PriceIntervalCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, merchant_id: str, id: str) -> Sequence[PriceInterval]:
        return await self._database.read(partial(_of, merchant_id, id))

    async def edit(self, merchant_id: str, id: str, edit: IntervalEdit) -> Edited:
        return await self._database.write(partial(_edit, merchant_id, id, edit))

    async def changes(
        self, merchant_id: str, wanted: IntervalChangeFilter, limit: int, offset: int
    ) -> Page[IntervalChange]:
        return await self._database.read(partial(_changes, merchant_id, wanted, limit, offset))


def _of(merchant_id: str, id: str, session: Session) -> Sequence[PriceInterval]:
    return read_timeline(session, read_subscription(merchant_id, id, session)).intervals()


def _edit(merchant_id: str, id: str, edit: IntervalEdit, session: Session) -> Edited:
    hold_catalog(session)
    subscription = read_subscription(merchant_id, id, session)
    if subscription.ended(edit.at) is not None:
        raise Conflict(f"the subscription {id} is terminated")
    before = read_timeline(session, subscription)
    after = edited(before, edit, _prices(session, merchant_id, edit))
    found = differences(before.intervals(), after.intervals())
    if not found:
        return Edited(intervals=before.intervals(), change=None)
    require_sound(before, after, subscription.now(edit.at))
    write_timeline(session, after)
    _follow(session, subscription, found, edit.at)
    change = IntervalChange(
        id=edit.change_id,
        merchant_id=merchant_id,
        subscription_id=id,
        reason=edit.reason,
        description=edit.description,
        metadata=edit.metadata,
        entries=tuple([entry_of(one) for one in found]),
        created_at=edit.at,
    )
    session.add(_row(change))
    session.flush()
    return Edited(intervals=after.intervals(), change=change)


def _prices(session: Session, merchant_id: str, edit: IntervalEdit) -> Mapping[str, Price]:
    """Those that are named to be added, and that the merchant has."""
    ids = {one.price_id for one in edit.added if one.price_id is not None}
    rows = session.scalars(
        select(PriceRow).where(
            PriceRow.id.in_(ids), PriceRow.merchant_id == merchant_id, PriceRow.deleted_at.is_(None)
        )
    ).all()
    return {price.id: price for price in prices_of(session, rows)}


def _follow(
    session: Session, subscription: Subscription, found: Sequence[IntervalDifference], at: Instant
) -> None:
    """Let the entitlements to the features of what changed follow it. Raises Invalid where they cannot."""
    prices = [one.charge.price for pair in found for one in pair if one is not None]
    difference = compare(session, subscription, at, features_of(prices))
    for feature in difference.failed:
        message = (
            f"the feature {feature.key} cannot be provisioned: its type is another, or nothing measures it"
        )
        raise Invalid.field("priceId", message)
    settle(session, subscription, difference)


def _changes(
    merchant_id: str, wanted: IntervalChangeFilter, limit: int, offset: int, session: Session
) -> Page[IntervalChange]:
    chosen = select(IntervalChangeRow).where(IntervalChangeRow.merchant_id == merchant_id)
    if wanted.subscription_id is not None:
        subscription_row(session, merchant_id, wanted.subscription_id)
        chosen = chosen.where(IntervalChangeRow.subscription_id == wanted.subscription_id)
    if wanted.since is not None:
        chosen = chosen.where(IntervalChangeRow.created_at >= wanted.since)
    if wanted.until is not None:
        chosen = chosen.where(IntervalChangeRow.created_at < wanted.until)
    if wanted.reason is not None:
        chosen = chosen.where(IntervalChangeRow.reason == wanted.reason.value)
    oldest_first = chosen.order_by(IntervalChangeRow.created_at, IntervalChangeRow.id)
    rows, total = read_page(session, oldest_first, limit, offset)
    return Page(tuple([_change(row) for row in rows]), total)


def _row(change: IntervalChange) -> IntervalChangeRow:
    return IntervalChangeRow(
        id=change.id,
        merchant_id=change.merchant_id,
        subscription_id=change.subscription_id,
        reason=change.reason.value,
        description=change.description,
        details=dict(change.metadata),
        entries=[dict(one) for one in change.entries],
        created_at=change.created_at,
    )


def _change(row: IntervalChangeRow) -> IntervalChange:
    return IntervalChange(
        id=row.id,
        merchant_id=row.merchant_id,
        subscription_id=row.subscription_id,
        reason=ChangeReason(row.reason),
        description=row.description,
        metadata=row.details,
        entries=tuple(row.entries),
        created_at=row.created_at,
    )
