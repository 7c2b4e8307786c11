"""Versions of billable metrics over their lives: building, active, retired, and their rows dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import begin_catalog_version, hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.models import (
    BackfillRow,
    LogProgressRow,
    MetricRow,
    TombstoneRow,
    VersionRow,
)
from meterhouse.adapters.catalog.own_rows import find_own, own_row
from meterhouse.adapters.catalog.versions import definition_of, metric_version, retire
from meterhouse.domain.billable_metric import Definition, VersionState
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.ports.metrics import VersionProgress


class CatalogVersions:
    """Implements VersionCatalog and RetiredVersions for one log."""

    def __init__(self, database: Database, log_id: str) -> None:
        self._database = database
        self._log_id = log_id

    async def of(self, merchant_id: str, id: str) -> Sequence[VersionProgress]:
        return await self._database.read(partial(_of, self._log_id, merchant_id, id))

    async def building(self) -> Sequence[VersionProgress]:
        return await self._database.read(partial(_building, self._log_id))

    async def cancel(self, merchant_id: str, id: str, version: int) -> None:
        await self._database.write(partial(_cancel, merchant_id, id, version))

    async def droppable(self) -> Sequence[Definition]:
        return await self._database.read(partial(_droppable, self._log_id))

    async def dropped(self, definition: Definition) -> None:
        await self._database.write(partial(_dropped, definition))


def _of(log_id: str, merchant_id: str, id: str, session: Session) -> Sequence[VersionProgress]:
    own_row(session, MetricRow, merchant_id, id, called="billable metric")
    return _progress(log_id, session, VersionRow.billable_metric_id == id)


def _building(log_id: str, session: Session) -> Sequence[VersionProgress]:
    return _progress(log_id, session, VersionRow.state == VersionState.BUILDING.value)


def _progress(log_id: str, session: Session, wanted: ColumnElement[bool]) -> Sequence[VersionProgress]:
    """A partition that has not met the version yet has all that it has counted before it."""
    reached = select(LogProgressRow.partition, LogProgressRow.next_offset).where(
        LogProgressRow.log_id == log_id
    )
    ahead: Mapping[int, int] = dict(session.execute(reached).all())
    backfills: dict[tuple[str, int], dict[int, BackfillRow]] = {}
    for row in session.scalars(select(BackfillRow).where(BackfillRow.log_id == log_id)):
        backfills.setdefault((row.billable_metric_id, row.version), {})[row.partition] = row
    statement = (
        select(MetricRow, VersionRow)
        .join(VersionRow, VersionRow.billable_metric_id == MetricRow.id)
        .where(wanted)
        .order_by(VersionRow.billable_metric_id, VersionRow.version)
    )
    found = []
    for metric, version in session.execute(statement):
        rows = backfills.get((metric.id, version.version), {})
        found.append(
            VersionProgress(
                version=metric_version(metric, version),
                name=metric.name,
                counted=sum(row.next_offset for row in rows.values()),
                total=sum(row.until_offset for row in rows.values())
                + sum(offset for partition, offset in ahead.items() if partition not in rows),
            )
        )
    return found


def _cancel(merchant_id: str, id: str, version: int, session: Session) -> None:
    hold_catalog(session)
    metric = find_own(session, MetricRow, merchant_id, id)
    row = session.get(VersionRow, (id, version))
    if metric is None or row is None:
        raise NotFound(f"there is no version {version} of {id}")
    if row.state != VersionState.BUILDING.value:
        raise Conflict(f"version {version} of {id} is {row.state}, not building")
    active = session.scalars(
        select(VersionRow).where(
            VersionRow.billable_metric_id == id, VersionRow.state == VersionState.ACTIVE.value
        )
    ).one_or_none()
    if active is None:
        raise Conflict(f"version {version} of {id} is its first: there is none to go back to")
    if _reset_since(session, merchant_id, active):
        raise Conflict(f"a reset hides what version {active.version} of {id} counts")
    retire(session, id, VersionState.BUILDING, catalog_version=begin_catalog_version(session))
    metric.version = active.version


def _reset_since(session: Session, merchant_id: str, version: VersionRow) -> bool:
    """Whether something is hidden that the version counts by."""
    later = exists().where(
        TombstoneRow.merchant_id == merchant_id, TombstoneRow.appeared_in > version.appeared_in
    )
    return session.scalars(select(later)).one()


def _droppable(log_id: str, session: Session) -> Sequence[Definition]:
    """Retired versions that nobody writes any more: every partition has planned without them since."""
    behind = exists().where(
        LogProgressRow.log_id == log_id, LogProgressRow.catalog_version < VersionRow.retired_in
    )
    pending = exists().where(
        BackfillRow.log_id == log_id,
        BackfillRow.billable_metric_id == VersionRow.billable_metric_id,
        BackfillRow.version == VersionRow.version,
        BackfillRow.pending_last.is_not(None),
    )
    statement = (
        select(MetricRow, VersionRow)
        .join(VersionRow, VersionRow.billable_metric_id == MetricRow.id)
        .where(VersionRow.state == VersionState.RETIRED.value, ~behind, ~pending)
        .order_by(VersionRow.retired_in)
    )
    return [definition_of(metric, version) for metric, version in session.execute(statement)]


def _dropped(definition: Definition, session: Session) -> None:
    session.execute(
        update(VersionRow)
        .where(
            VersionRow.billable_metric_id == definition.billable_metric_id,
            VersionRow.version == definition.version,
            VersionRow.state == VersionState.RETIRED.value,
        )
        .values(state=VersionState.DROPPED.value)
    )


def log_ids(session: Session) -> Sequence[str]:
    """Every log with progress, by how far it is counted."""
    reached = func.sum(LogProgressRow.next_offset)
    statement = select(LogProgressRow.log_id).group_by(LogProgressRow.log_id).order_by(reached)
    return session.scalars(statement).all()
