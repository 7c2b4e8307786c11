"""Resets of sandboxes: what is in the catalog goes, and a tombstone hides what is in the log (ADR 0013)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.belongings import delete_belongings
from meterhouse.adapters.catalog.counters import begin_catalog_version, hold_catalog, hold_progress
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.metrics import count_anew
from meterhouse.adapters.catalog.models import (
    CustomerRow,
    LogProgressRow,
    MerchantRow,
    MetricRow,
    TombstoneRow,
)
from meterhouse.adapters.catalog.own_rows import find_own
from meterhouse.adapters.catalog.tombstones import tombstone_of
from meterhouse.adapters.catalog.versions import retire
from meterhouse.domain.billable_metric import VersionState
from meterhouse.domain.errors import Conflict, Forbidden, NotFound
from meterhouse.domain.instant import SECOND, Instant, render
from meterhouse.domain.reset import SLACK, ResetScope, WholeMerchant
from meterhouse.domain.tombstone import EVERYBODY, Tombstones, Whose

_AHEAD: Final = 2 * SECOND  # of our clock, that a tombstone may lie at most


class CatalogResets:
    """Implements ResetCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reset(self, merchant_id: str, scope: ResetScope, now: Instant) -> Instant:
        return await self._database.write(partial(_reset, merchant_id, scope, now))

    async def tombstones(self, merchant_id: str) -> Tombstones:
        return await self._database.read(partial(_tombstones, merchant_id))


def _reset(merchant_id: str, scope: ResetScope, now: Instant, session: Session) -> Instant:
    _require_sandbox(session, merchant_id)  # before anybody is kept waiting
    hold_progress(session)  # until the tombstone is there, nothing is planned without it
    hold_catalog(session)
    _require_sandbox(session, merchant_id)
    whose = _whose(session, merchant_id, scope)
    at = _position(session, merchant_id, now)
    catalog_version = begin_catalog_version(session)
    for subject, external_subject in whose:
        session.add(
            TombstoneRow(
                merchant_id=merchant_id,
                at=at,
                subject=subject,
                external_subject=external_subject,
                appeared_in=catalog_version,
            )
        )
    _replace_versions(session, merchant_id, scope, catalog_version)
    session.flush()
    delete_belongings(session, merchant_id, scope, at)
    return at


def _require_sandbox(session: Session, merchant_id: str) -> None:
    merchant = session.get(MerchantRow, merchant_id, populate_existing=True)
    if merchant is None or not merchant.sandbox:
        told = (
            f"only a sandbox can be reset; `meterhouse provision --merchant {merchant_id} --sandbox` marks it"
        )
        raise Forbidden(f"{merchant_id} is not marked as a sandbox: {told}")


def _whose(session: Session, merchant_id: str, scope: ResetScope) -> Sequence[Whose]:
    """Whose events are hidden. A customer's are those under its id and under its external id of now."""
    if isinstance(scope, WholeMerchant):
        return [EVERYBODY]
    id = scope.customer_id
    row = find_own(session, CustomerRow, merchant_id, id)
    if row is None:
        again = select(TombstoneRow.at).where(
            TombstoneRow.merchant_id == merchant_id, TombstoneRow.subject == id
        )
        if session.scalars(again.limit(1)).first() is None:
            raise NotFound(f"there is no customer {id}")
        return [(id, "")]
    return [(id, ""), *([("", row.external_id)] if row.external_id else [])]


def _position(session: Session, merchant_id: str, now: Instant) -> Instant:
    """Where the tombstone stands: after every event that was planned without it, and every earlier one."""
    planned = session.scalars(select(func.max(LogProgressRow.received_until))).one() or 0
    own = select(func.max(TombstoneRow.at)).where(TombstoneRow.merchant_id == merchant_id)
    at = max(now + SLACK, planned + 1, (session.scalars(own).one() or 0) + 1)
    if at > now + _AHEAD:
        raise Conflict(
            f"an event that was counted says it was received at {render(at - 1)}, which is to come"
        )
    return at


def _replace_versions(session: Session, merchant_id: str, scope: ResetScope, catalog_version: int) -> None:
    """Let every billable metric of the merchant, costs among them, be counted anew, without what is hidden.

    Of a whole merchant nothing that was counted is shown any more; what one customer used is, with what
    others did, until that is counted anew.
    """
    live = select(MetricRow).where(MetricRow.merchant_id == merchant_id, MetricRow.deleted_at.is_(None))
    for metric in session.scalars(live).all():
        if isinstance(scope, WholeMerchant):
            for state in (VersionState.BUILDING, VersionState.ACTIVE):
                retire(session, metric.id, state, catalog_version=catalog_version)
        if scope != WholeMerchant(keep_catalog=False):
            count_anew(session, metric, catalog_version)


def _tombstones(merchant_id: str, session: Session) -> Tombstones:
    rows = session.scalars(select(TombstoneRow).where(TombstoneRow.merchant_id == merchant_id))
    return Tombstones.of(map(tombstone_of, rows))
