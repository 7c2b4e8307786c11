"""Making a subscription's entitlements those that it is offered: now, and when that begins or ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.entitlement_models import EntitlementRow, GrantRow
from meterhouse.adapters.catalog.entitlements import entitlement_of
from meterhouse.adapters.catalog.grants import given_of
from meterhouse.adapters.catalog.notices import make_due, tell_of_grant
from meterhouse.adapters.catalog.provisioning import Provision, apply, offers_to, prepare
from meterhouse.adapters.catalog.timelines import read_entitling_timeline
from meterhouse.domain.errors import Invalid
from meterhouse.domain.feature import Feature
from meterhouse.domain.following import follow
from meterhouse.domain.instant import Instant
from meterhouse.domain.price import Price
from meterhouse.domain.provision import Offer, Offered
from meterhouse.domain.subscription import Subscription
from meterhouse.domain.timeline import Timeline
from meterhouse.domain.webhook import NoticeType


@dataclass(slots=True)
class Difference:
    """Between what a subscription has, from the instant `at` on, and what it is offered.

    `added`, `skipped` and `failed` have a feature once, `removed` those whose feature is not offered.
    """

    at: Instant
    added: list[Offer] = field(default_factory=list)
    skipped: list[Feature] = field(default_factory=list)
    failed: list[Feature] = field(default_factory=list)
    removed: list[EntitlementRow] = field(default_factory=list)
    begun: list[Provision] = field(default_factory=list)
    gone: list[EntitlementRow] = field(default_factory=list)
    moved: list[tuple[EntitlementRow, Instant | None]] = field(default_factory=list)


def compare(
    session: Session, subscription: Subscription, at: Instant, only: Collection[str] | None = None
) -> Difference:
    """The difference at `at`, for all features or `only` some. What was issued beside the plan stays.

    Where another was faster it is the difference since then: who has to wait for the catalog took the time
    before that.
    """
    at = max(at, _changed_at(session, subscription))
    since = max(subscription.now(at), subscription.started_at)
    held = _held(session, subscription, at)
    offered: defaultdict[str, list[Offered]] = defaultdict(list)
    for one in offers_to(session, subscription, since):
        offered[one.offer.feature.id].append(one)
    difference = Difference(at)
    ready = partial(prepare, session, subscription, at=at)
    for id in dict.fromkeys([*offered, *held]):
        if only is None or id in only:
            _compare_one(difference, offered.get(id, ()), held.get(id, ()), ready)
    return difference


def _compare_one(
    difference: Difference,
    offered: Sequence[Offered],
    held: Sequence[EntitlementRow],
    ready: Callable[[Offered], Provision],
) -> None:
    rows = {row.id: row for row in held if row.is_provisioned}
    if len(rows) < len(held) and offered:
        difference.skipped.append(offered[0].offer.feature)
        return
    found = follow(offered, [entitlement_of(row) for row in rows.values()])
    difference.moved += [
        (rows[entitlement.id], one.end) for entitlement, one in found.kept if entitlement.active_to != one.end
    ]
    difference.gone += [rows[entitlement.id] for entitlement in found.gone]
    if not offered:
        difference.removed += rows.values()
        return
    offer = offered[0].offer
    try:
        difference.begun += [ready(one) for one in found.begun]
    except Invalid:
        difference.failed.append(offer.feature)
        return
    if found.kept:
        difference.skipped.append(offer.feature)
    else:
        difference.added.append(offer)


def _changed_at(session: Session, subscription: Subscription) -> Instant:
    """When its entitlements were last issued or canceled; 0 by a test clock, which does not run on."""
    if subscription.clock_at is not None:
        return 0
    last = select(func.max(EntitlementRow.created_at), func.max(EntitlementRow.canceled_at))
    found = session.execute(last.where(EntitlementRow.subscription_id == subscription.id)).one()
    return max(at or 0 for at in found)


def _held(
    session: Session, subscription: Subscription, at: Instant
) -> Mapping[str, Sequence[EntitlementRow]]:
    """What the subscription has that has not ended, by feature, by their start."""
    now = subscription.now(at)
    rows = session.scalars(
        select(EntitlementRow)
        .where(
            EntitlementRow.subscription_id == subscription.id,
            *[
                or_(end.is_(None), end > now)
                for end in (EntitlementRow.active_to, EntitlementRow.canceled_at)
            ],
        )
        .order_by(EntitlementRow.active_from, EntitlementRow.created_at, EntitlementRow.id)
    )
    found: defaultdict[str, list[EntitlementRow]] = defaultdict(list)
    for row in rows:
        found[row.feature_id].append(row)
    return found


def settle(session: Session, subscription: Subscription, difference: Difference) -> None:
    """Make it none."""
    for row, end in difference.moved:
        row.active_to = end
    session.flush()
    make_due(session, EntitlementRow.id.in_([row.id for row, _ in difference.moved]))
    for row in difference.gone:
        _remove(session, row, subscription.now(difference.at), difference.at)
    for provision in difference.begun:
        apply(session, provision)


def follow_written(session: Session, subscription: Subscription, at: Instant) -> None:
    """Let the entitlements to features that something was written about follow it again."""
    timeline = read_entitling_timeline(session, subscription)
    written = _written_about(timeline)
    if written and subscription.ended(at) is None:
        settle(session, subscription, compare(session, subscription, at, written))


def _written_about(timeline: Timeline) -> frozenset[str]:
    """The features of what is written, and of the lines that it is written over."""
    keys = {one.key for one in timeline.written} | {one.key for one in timeline.closures}
    lines = [line for version in timeline.versions.values() for line in version.lines if line.key in keys]
    prices = [*[one.charge.price for one in timeline.written], *[line.price for line in lines]]
    return features_of(prices)


def features_of(prices: Iterable[Price]) -> frozenset[str]:
    """The ids of those that the prices bring."""
    return frozenset(price.feature.feature.id for price in prices if price.feature is not None)


def _remove(session: Session, row: EntitlementRow, now: Instant, wall: Instant) -> None:
    """Cancel the entitlement, and void its grants."""
    row.canceled_at = now
    its = select(GrantRow).where(GrantRow.entitlement_id == row.id, GrantRow.voided_at.is_(None))
    for grant in session.scalars(its.order_by(GrantRow.created_at, GrantRow.id)).all():
        grant.voided_at = now
        tell_of_grant(session, row, given_of(grant), NoticeType.GRANT_VOIDED, wall)
    session.flush()
