"""Making a subscription's entitlements those that its plan offers now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.entitlement_models import EntitlementRow, GrantRow
from meterhouse.adapters.catalog.features import feature_of
from meterhouse.adapters.catalog.grants import given_of
from meterhouse.adapters.catalog.models import FeatureRow
from meterhouse.adapters.catalog.notices import tell_of_grant
from meterhouse.adapters.catalog.provisioning import Provision, apply, offers_to, prepare
from meterhouse.adapters.catalog.subscription_fields import read_subscription
from meterhouse.adapters.catalog.subscription_rows import subscription_row
from meterhouse.domain.errors import Conflict, Invalid
from meterhouse.domain.feature import Feature
from meterhouse.domain.instant import Instant
from meterhouse.domain.provision import Offer
from meterhouse.domain.reconciliation import Reconciliation
from meterhouse.domain.subscription import Subscription
from meterhouse.domain.webhook import NoticeType


@dataclass(slots=True)
class _Difference:
    """Between what a subscription has at an instant and what its plan offers."""

    added: list[tuple[Offer, Provision]] = field(default_factory=list)
    skipped: list[Feature] = field(default_factory=list)
    failed: list[Feature] = field(default_factory=list)
    removed: list[EntitlementRow] = field(default_factory=list)


class CatalogReconciliation:
    """Implements ReconciliationCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preview(self, merchant_id: str, id: str, at: Instant) -> Reconciliation:
        return await self._database.read(partial(_preview, merchant_id, id, at))

    async def reconcile(self, merchant_id: str, id: str, at: Instant) -> Reconciliation:
        return await self._database.write(partial(_reconcile, merchant_id, id, at))


def _preview(merchant_id: str, id: str, at: Instant, session: Session) -> Reconciliation:
    _, difference = _compare(session, merchant_id, id, at)
    return _told(session, difference)


def _reconcile(merchant_id: str, id: str, at: Instant, session: Session) -> Reconciliation:
    hold_catalog(session)
    subscription, difference = _compare(session, merchant_id, id, at)
    told = _told(session, difference)
    for row in difference.removed:
        _remove(session, row, subscription.now(at), at)
    for _, provision in difference.added:
        apply(session, provision)
    return told


def _compare(session: Session, merchant_id: str, id: str, at: Instant) -> tuple[Subscription, _Difference]:
    subscription = read_subscription(merchant_id, id, session)
    if subscription.ended(at) is not None:
        raise Conflict(f"the subscription {id} is terminated")
    held = _held(session, subscription, at)
    difference = _Difference()
    offers = offers_to(session, subscription_row(session, merchant_id, id))
    active_from = max(subscription.now(at), subscription.started_at)
    for offer in offers:
        if offer.feature.id in held:
            difference.skipped.append(offer.feature)
            continue
        try:
            provision = prepare(session, subscription, offer, active_from, at)
            difference.added.append((offer, provision))
        except Invalid:
            difference.failed.append(offer.feature)
    offered = {offer.feature.id for offer in offers}
    brought = [row for row in held.values() if row.is_provisioned]
    difference.removed = [row for row in brought if row.feature_id not in offered]
    return subscription, difference


def _held(session: Session, subscription: Subscription, at: Instant) -> Mapping[str, EntitlementRow]:
    """What the subscription has that has not ended, by feature; where it came with the plan and beside it,
    the first.
    """
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
        .order_by(EntitlementRow.is_provisioned, EntitlementRow.created_at, EntitlementRow.id)
    )
    return {row.feature_id: row for row in rows}


def _remove(session: Session, row: EntitlementRow, now: Instant, wall: Instant) -> None:
    """Cancel the entitlement, and void its grants."""
    row.canceled_at = now
    its = select(GrantRow).where(GrantRow.entitlement_id == row.id, GrantRow.voided_at.is_(None))
    for grant in session.scalars(its.order_by(GrantRow.created_at, GrantRow.id)).all():
        grant.voided_at = now
        tell_of_grant(session, row, given_of(grant), NoticeType.GRANT_VOIDED, wall)
    session.flush()


def _told(session: Session, difference: _Difference) -> Reconciliation:
    ids = [row.feature_id for row in difference.removed]
    features = {row.id: row for row in session.scalars(select(FeatureRow).where(FeatureRow.id.in_(ids)))}
    return Reconciliation(
        added=tuple([offer for offer, _ in difference.added]),
        skipped=tuple(difference.skipped),
        removed=tuple([feature_of(features[id]) for id in ids]),
        failed=tuple(difference.failed),
    )
