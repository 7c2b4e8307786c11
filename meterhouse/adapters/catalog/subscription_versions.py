"""Which versions of their plans subscriptions are charged by, and from when on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, insert, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.sales_models import PlanLineRow
from meterhouse.adapters.catalog.subscription_models import (
    PriceIntervalRow,
    SubscriptionRow,
    SubscriptionVersionRow,
    TestClockRow,
)
from meterhouse.adapters.catalog.subscription_rows import is_live
from meterhouse.domain.errors import Blocker, Conflict
from meterhouse.domain.instant import Instant
from meterhouse.domain.price_interval import Span, ending, next_boundary, switched

_AT_ONCE: Final = 1_000
_MOST_SHOWN: Final = 10

# The columns of `_Follower`.
_FOLLOWING: Final = (
    SubscriptionRow.id,
    SubscriptionRow.started_at,
    SubscriptionRow.billing_anchor,
    SubscriptionRow.billing_cadence,
    TestClockRow.stands_at,
)
_REMOVAL: Final = delete(SubscriptionVersionRow).where(
    SubscriptionVersionRow.subscription_id == bindparam("its_id"),
    SubscriptionVersionRow.start_at == bindparam("its_start"),
)


class _Follower(NamedTuple):
    """A subscription that follows its plan, as far as the time of its next billing period goes."""

    id: str
    started_at: Instant
    billing_anchor: Instant
    billing_cadence: str
    clock_at: Instant | None


def begin_version(session: Session, row: SubscriptionRow) -> None:
    """Charge a new subscription by the version that it begins with."""
    session.add(
        SubscriptionVersionRow(subscription_id=row.id, start_at=row.started_at, number=row.version_number)
    )


def follow_plan(session: Session, plan_id: str, number: int, wall: Instant) -> None:
    """Charge the plan's floating subscriptions by that version from their next billing periods on."""
    _switch(session, SubscriptionRow.plan_id == plan_id, plan_id, number, wall)


def follow_again(session: Session, row: SubscriptionRow, number: int, wall: Instant) -> None:
    """The same for one that floats again."""
    _switch(session, SubscriptionRow.id == row.id, row.plan_id, number, wall)


def _switch(session: Session, chosen: ColumnElement[bool], plan_id: str, number: int, wall: Instant) -> None:
    """Some at a time, so that no one statement takes long, and no pause between two of them.

    Raises Conflict where one of them owns an interval with the key of a line of that version.
    """
    lines = select(PlanLineRow.key).where(PlanLineRow.plan_id == plan_id, PlanLineRow.number == number)
    keys = session.scalars(lines).all()
    following = (
        select(*_FOLLOWING)
        .outerjoin(TestClockRow, TestClockRow.id == SubscriptionRow.test_clock_id)
        .where(chosen, SubscriptionRow.pinned_version.is_(None), is_live(wall))
        .order_by(SubscriptionRow.id)
        .limit(_AT_ONCE)
    )
    rows = session.execute(following).all()
    while rows:
        some = [_Follower(*row) for row in rows]
        boundaries = _boundaries(some, wall)
        require_free(session, boundaries, keys)
        _switch_some(session, boundaries, number)
        rows = session.execute(following.where(SubscriptionRow.id > rows[-1][0])).all()


def _boundaries(some: Sequence[_Follower], wall: Instant) -> Mapping[str, Instant]:
    """When another version can charge each of them; those that none can are left out."""
    found: dict[str, Instant] = {}
    for one in some:
        now = wall if one.clock_at is None else one.clock_at
        boundary = next_boundary(
            started_at=one.started_at, anchor=one.billing_anchor, cadence=one.billing_cadence, now=now
        )
        if boundary is not None:
            found[one.id] = boundary
    return found


def require_free(session: Session, boundaries: Mapping[str, Instant], keys: Sequence[str]) -> None:
    """Raises Conflict where a subscription owns an interval with one of the keys, from its boundary on."""
    rows = session.scalars(
        select(PriceIntervalRow)
        .where(
            PriceIntervalRow.subscription_id.in_(boundaries),
            PriceIntervalRow.is_owned,
            PriceIntervalRow.key.in_(keys),
        )
        .order_by(PriceIntervalRow.subscription_id, PriceIntervalRow.start_at)
    )
    owning = [row for row in rows if ending(row.end_at) > boundaries[row.subscription_id]]
    if owning:
        items: list[dict[str, str | int]] = [
            {"id": one.subscription_id, "intervalId": one.id, "priceKey": one.key}
            for one in owning[:_MOST_SHOWN]
        ]
        ids = ", ".join([f"{one.key} of {one.subscription_id}" for one in owning[:_MOST_SHOWN]])
        message = (
            f"subscriptions have intervals of their own with keys of the version, until these end: {ids}"
        )
        raise Conflict(
            message, (Blocker("subscriptions", len(owning), tuple(items)),), code="PRICE_KEY_TAKEN"
        )


def _switch_some(session: Session, boundaries: Mapping[str, Instant], number: int) -> None:
    known = _spans_of(session, list(boundaries))
    removed: list[dict[str, object]] = []
    added: list[dict[str, object]] = []
    for id, boundary in boundaries.items():
        wanted = switched(known[id], boundary, number)
        removed += [{"its_id": id, "its_start": span.start} for span in known[id] if span not in wanted]
        added += [
            {
                "subscription_id": id,
                "start_at": span.start,
                "number": span.number,
                "advance_number": span.advance_number,
            }
            for span in wanted
            if span not in known[id]
        ]
    if removed:
        session.connection().execute(_REMOVAL, removed)
    if added:
        session.connection().execute(insert(SubscriptionVersionRow), added)


def _spans_of(session: Session, ids: Sequence[str]) -> Mapping[str, Sequence[Span]]:
    found: defaultdict[str, list[Span]] = defaultdict(list)
    version = SubscriptionVersionRow
    of_spans = (version.subscription_id, version.start_at, version.number, version.advance_number)
    in_order = select(*of_spans).where(version.subscription_id.in_(ids)).order_by(version.start_at)
    for id, start, number, advance_number in session.execute(in_order):
        found[id].append(Span(start, number, advance_number))
    return found
