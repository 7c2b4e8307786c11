"""Test clocks. A deleted one stays as a row that subscriptions still name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.blockers import refuse
from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.entitlement_models import EntitlementRow
from meterhouse.adapters.catalog.notices import make_due
from meterhouse.adapters.catalog.own_rows import own_row
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow, TestClockRow
from meterhouse.adapters.catalog.subscription_rows import find_live
from meterhouse.domain.errors import NotFound
from meterhouse.domain.instant import Instant
from meterhouse.domain.test_clock import TestClock
from meterhouse.ports.catalog import Page


class CatalogTestClocks:
    """Implements TestClockCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, clock: TestClock) -> TestClock:
        return await self._database.write(partial(_create, clock))

    async def get(self, merchant_id: str, id: str) -> TestClock:
        return await self._database.read(lambda session: _clock(clock_row(session, merchant_id, id)))

    async def page(self, merchant_id: str, limit: int, offset: int) -> Page[TestClock]:
        return await self._database.read(partial(_page, merchant_id, limit, offset))

    async def update(self, merchant_id: str, id: str, change: Callable[[TestClock], TestClock]) -> TestClock:
        return await self._database.write(partial(_update, merchant_id, id, change))

    async def delete(self, merchant_id: str, id: str, at: Instant) -> TestClock:
        return await self._database.write(partial(_delete, merchant_id, id, at))


def _create(clock: TestClock, session: Session) -> TestClock:
    hold_catalog(session)
    session.add(
        TestClockRow(
            id=clock.id,
            merchant_id=clock.merchant_id,
            name=clock.name,
            description=clock.description,
            stands_at=clock.stands_at,
            created_at=clock.created_at,
            updated_at=clock.updated_at,
            deleted_at=clock.deleted_at,
        )
    )
    return clock


def _page(merchant_id: str, limit: int, offset: int, session: Session) -> Page[TestClock]:
    chosen = select(TestClockRow).where(
        TestClockRow.merchant_id == merchant_id, TestClockRow.deleted_at.is_(None)
    )
    oldest_first = chosen.order_by(TestClockRow.created_at, TestClockRow.id)
    rows, total = read_page(session, oldest_first, limit, offset)
    return Page(tuple([_clock(row) for row in rows]), total)


def _update(
    merchant_id: str, id: str, change: Callable[[TestClock], TestClock], session: Session
) -> TestClock:
    hold_catalog(session)
    row = live_clock_row(session, merchant_id, id)
    after = change(_clock(row))
    row.stands_at = after.stands_at
    row.updated_at = after.updated_at
    runs_on_it = select(SubscriptionRow.id).where(SubscriptionRow.test_clock_id == id)
    make_due(session, EntitlementRow.subscription_id.in_(runs_on_it))
    return after


def _delete(merchant_id: str, id: str, at: Instant, session: Session) -> TestClock:
    hold_catalog(session)
    row = live_clock_row(session, merchant_id, id)
    refuse(f"deleting the test clock {id}", find_live(session, SubscriptionRow.test_clock_id == id, at))
    row.deleted_at = row.updated_at = at
    return _clock(row)


def clock_row(session: Session, merchant_id: str, id: str) -> TestClockRow:
    """The merchant's test clock, deleted or not. Raises NotFound, also when it is another merchant's."""
    return own_row(session, TestClockRow, merchant_id, id, called="test clock")


def live_clock_row(session: Session, merchant_id: str, id: str) -> TestClockRow:
    """The same, and NotFound when it is deleted."""
    row = clock_row(session, merchant_id, id)
    if row.deleted_at is not None:
        raise NotFound(f"the test clock {id} is deleted")
    return row


def _clock(row: TestClockRow) -> TestClock:
    return TestClock(
        id=row.id,
        merchant_id=row.merchant_id,
        name=row.name,
        description=row.description,
        stands_at=row.stands_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )
