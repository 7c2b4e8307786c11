"""Making a subscription's entitlements those that its plan offers now."""

from __future__ import annotations

from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.features import feature_of
from meterhouse.adapters.catalog.following import Difference, compare, settle
from meterhouse.adapters.catalog.models import FeatureRow
from meterhouse.adapters.catalog.subscription_fields import read_subscription
from meterhouse.domain.errors import Conflict
from meterhouse.domain.instant import Instant
from meterhouse.domain.reconciliation import Reconciliation
from meterhouse.domain.subscription import Subscription


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
    settle(session, subscription, difference)
    return told


def _compare(session: Session, merchant_id: str, id: str, at: Instant) -> tuple[Subscription, Difference]:
    subscription = read_subscription(merchant_id, id, session)
    if subscription.ended(at) is not None:
        raise Conflict(f"the subscription {id} is terminated")
    return subscription, compare(session, subscription, at)


def _told(session: Session, difference: Difference) -> Reconciliation:
    ids = list(dict.fromkeys(row.feature_id for row in difference.removed))
    features = {row.id: row for row in session.scalars(select(FeatureRow).where(FeatureRow.id.in_(ids)))}
    return Reconciliation(
        added=tuple(difference.added),
        skipped=tuple(difference.skipped),
        removed=tuple([feature_of(features[id]) for id in ids]),
        failed=tuple(difference.failed),
    )
