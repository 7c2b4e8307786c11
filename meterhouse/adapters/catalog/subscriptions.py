"""Subscriptions, and what comes and goes with them in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sqlalchemy import false, or_, select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.customers import ensure_customer, require_customer
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.entitlement_models import EntitlementRow
from meterhouse.adapters.catalog.following import follow_written
from meterhouse.adapters.catalog.models import CustomerRow
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.plan_versions import plan_row, version_row
from meterhouse.adapters.catalog.provisioning import apply, offers_to, prepare
from meterhouse.adapters.catalog.sales_models import PlanRow
from meterhouse.adapters.catalog.subscription_fields import (
    agree,
    read_subscription,
    row_of,
    subscriptions_of,
    write_termination,
)
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow
from meterhouse.adapters.catalog.subscription_rows import is_live, subscription_row
from meterhouse.adapters.catalog.subscription_versions import begin_version, follow_again
from meterhouse.adapters.catalog.test_clocks import live_clock_row
from meterhouse.domain.errors import Conflict
from meterhouse.domain.instant import Instant
from meterhouse.domain.subscription import (
    NewSubscription,
    Sold,
    Subscription,
    SubscriptionFilter,
    SubscriptionStatus,
    begin,
)
from meterhouse.ports.catalog import Page


class CatalogSubscriptions:
    """Implements SubscriptionCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, new: NewSubscription) -> Subscription:
        return await self._database.write(partial(_create, new))

    async def get(self, merchant_id: str, id: str) -> Subscription:
        return await self._database.read(partial(read_subscription, merchant_id, id))

    async def page(
        self, merchant_id: str, wanted: SubscriptionFilter, limit: int, offset: int
    ) -> Page[Subscription]:
        return await self._database.read(partial(_page, merchant_id, wanted, limit, offset))

    async def update(
        self, merchant_id: str, id: str, change: Callable[[Subscription], Subscription]
    ) -> Subscription:
        return await self._database.write(partial(_update, merchant_id, id, change))


def _create(new: NewSubscription, session: Session) -> Subscription:
    hold_catalog(session)
    clock = None
    if new.test_clock_id is not None:
        clock = live_clock_row(session, new.merchant_id, new.test_clock_id)
    plan = plan_row(session, new.merchant_id, new.plan_id)
    customer_id = _customer_of(session, new)
    known = _known(session, new, customer_id)
    if known is not None:
        _require_same(known, new.asked)
        return read_subscription(new.merchant_id, known.id, session)
    subscription = begin(new, customer_id, _sold(session, plan), None if clock is None else clock.stands_at)
    row = row_of(subscription, new.asked)
    agree(row, subscription.terms, plan)
    session.add(row)
    session.flush()
    begin_version(session, row)
    for one in offers_to(session, subscription, subscription.started_at):
        apply(session, prepare(session, subscription, one, new.created_at))
    return read_subscription(new.merchant_id, row.id, session)


def _customer_of(session: Session, new: NewSubscription) -> str:
    """The customer that is named, or the one that the consumer is, made when missing."""
    if new.customer is not None:
        return ensure_customer(new.customer, session).id
    assert new.customer_id is not None, "one of both is asked for"
    require_customer(session, new.merchant_id, new.customer_id)
    return new.customer_id


def _known(session: Session, new: NewSubscription, customer_id: str) -> SubscriptionRow | None:
    """The live subscription that the very same request made before."""
    same = select(SubscriptionRow).where(
        SubscriptionRow.customer_id == customer_id,
        SubscriptionRow.plan_id == new.plan_id,
        SubscriptionRow.name == new.name,
        SubscriptionRow.started_at == new.started_at,
        is_live(new.created_at),
    )
    return session.scalars(same).one_or_none()


def _require_same(known: SubscriptionRow, asked: Mapping[str, Any]) -> None:
    if known.asked != asked:
        names = {*known.asked, *asked}
        differing = sorted(name for name in names if known.asked.get(name) != asked.get(name))
        raise Conflict(f"there is such a subscription, {known.id}, with another {', '.join(differing)}")


def _sold(session: Session, plan: PlanRow) -> Sold:
    version = version_row(session, plan, plan.default_version)
    return Sold(
        version_id=version.id,
        version_number=version.number,
        billing_anchor=plan.billing_anchor,
        billing_cadence=plan.billing_cadence,
    )


def _page(
    merchant_id: str, wanted: SubscriptionFilter, limit: int, offset: int, session: Session
) -> Page[Subscription]:
    chosen = select(SubscriptionRow).where(SubscriptionRow.merchant_id == merchant_id)
    if wanted.customer_id is not None:
        chosen = chosen.where(SubscriptionRow.customer_id == wanted.customer_id)
    if wanted.consumer_id is not None:
        its = select(CustomerRow.id).where(CustomerRow.consumer_id == wanted.consumer_id)
        chosen = chosen.where(SubscriptionRow.customer_id.in_(its))
    if wanted.started_by is not None:
        chosen = chosen.where(SubscriptionRow.started_at <= wanted.started_by)
    if wanted.statuses:
        live = is_live(wanted.at)
        of_status = {SubscriptionStatus.ACTIVE: live, SubscriptionStatus.TERMINATED: ~live}
        conditions = [of_status[one] for one in sorted(wanted.statuses) if one in of_status]
        chosen = chosen.where(or_(false(), *conditions))
    oldest_first = chosen.order_by(SubscriptionRow.created_at, SubscriptionRow.id)
    rows, total = read_page(session, oldest_first, limit, offset)
    return Page(tuple(subscriptions_of(session, rows)), total)


def _update(
    merchant_id: str, id: str, change: Callable[[Subscription], Subscription], session: Session
) -> Subscription:
    hold_catalog(session)
    row = subscription_row(session, merchant_id, id)
    [before] = subscriptions_of(session, [row])
    after = change(before)
    row.updated_at = after.updated_at
    if after.terms != before.terms:
        plan = session.get_one(PlanRow, row.plan_id)
        agree(row, after.terms, plan)
        if after.terms.version_policy is not before.terms.version_policy:
            session.flush()
            follow_again(session, row, plan.default_version, after.updated_at)
    if after.terms.ending_at != before.terms.ending_at:
        _move_ends(session, id, before.terms.ending_at, after.terms.ending_at)
        session.flush()
        follow_written(session, after, after.updated_at)
    if after.termination is not None and before.termination is None:
        write_termination(row, after.termination)
        _cancel(session, id, after.termination.at)
    session.flush()
    return read_subscription(merchant_id, id, session)


def _move_ends(session: Session, id: str, before: Instant | None, after: Instant | None) -> None:
    """Let what ends with the subscription end with it again, and nothing of it last longer."""
    its = update(EntitlementRow).where(EntitlementRow.subscription_id == id)
    session.execute(its.where(EntitlementRow.active_to.is_not_distinct_from(before)).values(active_to=after))
    if after is not None:
        session.execute(its.where(EntitlementRow.active_to > after).values(active_to=after))


def _cancel(session: Session, id: str, at: Instant) -> None:
    """Cancel the entitlements that have not ended by then."""
    session.execute(
        update(EntitlementRow)
        .where(
            EntitlementRow.subscription_id == id,
            *[or_(end.is_(None), end > at) for end in (EntitlementRow.active_to, EntitlementRow.canceled_at)],
        )
        .values(canceled_at=at)
    )
