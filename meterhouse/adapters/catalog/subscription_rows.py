"""Rows of subscriptions for whatever belongs to one: what the time is for it, and whether it is over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.blockers import find_blocker
from meterhouse.adapters.catalog.entitlement_models import EntitlementRow
from meterhouse.adapters.catalog.own_rows import own_row
from meterhouse.adapters.catalog.sales_models import PlanRow
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow, TestClockRow
from meterhouse.domain.errors import Blocker
from meterhouse.domain.instant import Instant


class Times(NamedTuple):
    """When a subscription starts, and where its test clock stands, if it runs on one."""

    started_at: Instant | None
    clock_at: Instant | None


NO_TIMES: Final = Times(None, None)  # of what belongs to no subscription


def subscription_row(session: Session, merchant_id: str, id: str) -> SubscriptionRow:
    """The merchant's subscription. Raises NotFound, also when it is another merchant's."""
    return own_row(session, SubscriptionRow, merchant_id, id, called="subscription")


def times_of(session: Session, ids: Collection[str]) -> Mapping[str, Times]:
    """Of each of these subscriptions, in one statement; none where there are no ids."""
    if not ids:
        return {}
    rows = session.execute(
        select(SubscriptionRow.id, SubscriptionRow.started_at, TestClockRow.stands_at)
        .outerjoin(TestClockRow, TestClockRow.id == SubscriptionRow.test_clock_id)
        .where(SubscriptionRow.id.in_(ids))
    )
    return {id: Times(started_at, clock_at) for id, started_at, clock_at in rows}


def now_for(session: Session, entitlement: EntitlementRow, wall: Instant) -> Instant:
    """What the time is for an entitlement: its test clock's, or that of the wall."""
    id = entitlement.subscription_id
    clock_at = NO_TIMES.clock_at if id is None else times_of(session, [id])[id].clock_at
    return wall if clock_at is None else clock_at


def number_of(session: Session, row: SubscriptionRow) -> int:
    """The version of its plan that it keeps, or else the one that is the plan's default now."""
    plan = session.get_one(PlanRow, row.plan_id)
    return plan.default_version if row.pinned_version is None else row.pinned_version


def is_live(wall: Instant) -> ColumnElement[bool]:
    """Whether a subscription of the enclosing statement is not over, by its own clock or that of the wall."""
    clock = (
        select(TestClockRow.stands_at)
        .where(TestClockRow.id == SubscriptionRow.test_clock_id)
        .correlate(SubscriptionRow)
        .scalar_subquery()
    )
    goes_on = or_(SubscriptionRow.ending_at.is_(None), SubscriptionRow.ending_at > func.coalesce(clock, wall))
    return SubscriptionRow.terminated_at.is_(None) & goes_on


def now_of_entitlements(wall: Instant) -> ColumnElement[int]:
    """What the time is for an entitlement of the enclosing statement."""
    clock = (
        select(TestClockRow.stands_at)
        .join(SubscriptionRow, SubscriptionRow.test_clock_id == TestClockRow.id)
        .where(SubscriptionRow.id == EntitlementRow.subscription_id)
        .correlate(EntitlementRow)
        .scalar_subquery()
    )
    return func.coalesce(clock, wall)


def find_live(session: Session, condition: ColumnElement[bool], wall: Instant) -> tuple[Blocker, ...]:
    """The subscriptions of a condition that are not over, as what stands in the way of something."""
    chosen = select(SubscriptionRow).where(condition, is_live(wall))
    oldest_first = chosen.order_by(SubscriptionRow.created_at, SubscriptionRow.id)
    return find_blocker(
        session, "subscriptions", oldest_first, lambda one: {"id": one.id, "status": "active"}
    )
