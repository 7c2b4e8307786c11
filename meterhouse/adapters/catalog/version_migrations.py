"""Moving subscriptions to versions of their plans that are named."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import delete
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.following import compare, settle
from meterhouse.adapters.catalog.plan_versions import read_version, require_live, version_row
from meterhouse.adapters.catalog.sales_models import PlanRow
from meterhouse.adapters.catalog.subscription_fields import read_subscription
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow, SubscriptionVersionRow
from meterhouse.adapters.catalog.subscription_rows import number_of, subscription_row
from meterhouse.adapters.catalog.timelines import read_timeline
from meterhouse.domain.errors import Conflict
from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import TransitionDate
from meterhouse.domain.price_interval import Span
from meterhouse.domain.subscription import Subscription
from meterhouse.domain.version_migration import (
    FEATURE,
    Migration,
    MigrationAsked,
    Move,
    Timing,
    moved,
    planned,
    require_movable,
)


class CatalogVersionMigrations:
    """Implements VersionMigrationCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def migrate(self, merchant_id: str, id: str, asked: MigrationAsked) -> Migration:
        return await self._database.write(partial(_migrate, merchant_id, id, asked))


def _migrate(merchant_id: str, id: str, asked: MigrationAsked, session: Session) -> Migration:
    hold_catalog(session)
    row, at, number = subscription_row(session, merchant_id, id), asked.at, asked.number
    subscription = read_subscription(merchant_id, id, session)
    plan = session.get_one(PlanRow, row.plan_id)
    version_row(session, plan, number)
    timing = asked.timing or Timing.of(TransitionDate(plan.transition_date))
    move = planned(subscription, timing, at)
    on = _version_on(session, row, subscription.now(at))
    is_there = number_of(session, row) == number and not (timing is Timing.IMMEDIATE and on != number)
    was_pinned = row.pinned_version is not None
    if not is_there:
        require_live(session, plan.id, number)
        _move(session, subscription, (on, number), move)
    if not (is_there and was_pinned):
        row.pinned_version, row.updated_at = number, at
        session.flush()
    if not is_there:
        _entitle(session, read_subscription(merchant_id, id, session), at)
    return Migration(
        subscription=read_subscription(merchant_id, id, session),
        from_number=on,
        to_number=number,
        effective_at=None if is_there else move.boundary,
        entitlements_effective_at=None if is_there else move.entitled_from,
        changed=not (is_there and was_pinned),
    )


def _version_on(session: Session, row: SubscriptionRow, now: Instant) -> int:
    """The version whose features the subscription has now, as long as it has not moved on."""
    if row.entitled_until is not None and row.entitled_version is not None and now < row.entitled_until:
        return row.entitled_version
    return number_of(session, row)


def _move(session: Session, subscription: Subscription, numbers: tuple[int, int], move: Move) -> None:
    """Write from when on the second version charges, and entitles, and until when the first one does."""
    row, (on, number) = session.get_one(SubscriptionRow, subscription.id), numbers
    timeline = read_timeline(session, subscription)
    old, new = [read_version(session, row.plan_id, each, subscription.created_at) for each in numbers]
    require_movable(old, new, timeline.written, move)
    _write_spans(session, row.id, moved(timeline.spans, move, number))
    is_later = move.entitled_from == move.boundary and on != number
    row.entitled_version = on if is_later else None
    row.entitled_until = move.boundary if is_later else None


def _write_spans(session: Session, id: str, spans: Sequence[Span]) -> None:
    session.execute(delete(SubscriptionVersionRow).where(SubscriptionVersionRow.subscription_id == id))
    session.add_all(
        [
            SubscriptionVersionRow(
                subscription_id=id,
                start_at=span.start,
                number=span.number,
                advance_number=span.advance_number,
            )
            for span in spans
        ]
    )
    session.flush()


def _entitle(session: Session, subscription: Subscription, at: Instant) -> None:
    """Raises Conflict for a feature that cannot be provisioned as the version offers it."""
    difference = compare(session, subscription, at)
    for feature in difference.failed:
        message = (
            f"the feature {feature.key} cannot be provisioned: its type is another, or nothing measures it"
        )
        raise Conflict(message, code=FEATURE)
    settle(session, subscription, difference)
