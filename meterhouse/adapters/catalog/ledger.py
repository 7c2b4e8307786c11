"""The exactly-once protocol's memory: plan, advance and backfills under the claimed epoch (DESIGN 4, 5).

Each write reads its row with a lock, compares it with what the caller holds, and sets it, in one
transaction; on SQLite the lock is the transaction's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import ColumnElement, case, delete, exists, insert, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import newest_catalog_version
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.models import BackfillRow, LogProgressRow, MetricRow, StateRow, VersionRow
from meterhouse.adapters.catalog.tombstones import KnownTombstones
from meterhouse.adapters.catalog.versions import (
    VersionKey,
    activate_complete,
    definition_of,
    meet,
)
from meterhouse.domain.billable_metric import VersionState
from meterhouse.domain.errors import Fenced
from meterhouse.domain.instant import Instant
from meterhouse.ports.counting import Backfill, Progress


class CatalogWatermark:
    """How far one log is counted; a partition that was never claimed is left out. Implements Watermark."""

    def __init__(self, database: Database, log_id: str) -> None:
        self._database = database
        # Waiting readers ask a hundred times a second: built once, the statement is half as much work.
        self._statement = select(LogProgressRow.partition, LogProgressRow.next_offset).where(
            LogProgressRow.log_id == log_id
        )

    async def counted(self) -> Mapping[int, int]:
        return await self._database.read(self._counted)

    def _counted(self, session: Session) -> Mapping[int, int]:
        return dict(session.execute(self._statement).all())


class CatalogLedger:
    """Implements ProgressLedger for one log with these partitions."""

    def __init__(self, database: Database, log_id: str, partitions: Sequence[int]) -> None:
        self._database = database
        self._log = _Log(log_id, frozenset(partitions))

    async def claim(self, partition: int) -> Progress:
        try:
            return await self._database.write(partial(_claim, self._log, partition))
        except IntegrityError:  # another claimed it for the first time just now
            return await self._database.write(partial(_claim, self._log, partition))

    async def plan(self, progress: Progress, last: int, received_until: Instant = 0) -> Progress:
        if progress.pending_last is not None or last < progress.next_offset:
            raise ValueError(f"cannot plan up to {last} from {progress}")
        if progress.until is None:
            return await self._database.write(partial(_plan, self._log, progress, last, received_until))
        if last >= progress.until:
            raise ValueError(f"cannot plan up to {last} from {progress}")
        return await self._database.write(partial(_plan_backfill, self._log, progress, last))

    async def confirm(self, progress: Progress) -> None:
        await self._database.read(partial(_confirm, self._log, progress))

    async def advance(self, progress: Progress) -> Progress:
        if progress.pending_last is None:
            raise ValueError(f"nothing is pending in {progress}")
        work = _advance if progress.until is None else _advance_backfill
        return await self._database.write(partial(work, self._log, progress))

    async def forget(self) -> None:
        """Begin every partition anew, under a new epoch; every metric version meets the log at its start."""
        await self._database.write(partial(_forget, self._log))

    async def backfills(self, progress: Progress) -> Sequence[Backfill]:
        found = await self._database.read(partial(_unfinished, self._log, progress))
        if found is None:
            await self._database.write(partial(_catch_up, self._log, progress))
            found = await self._database.read(partial(_unfinished, self._log, progress))
        return found or ()


@dataclass(frozen=True, slots=True)
class _Log:
    id: str
    partitions: frozenset[int]

    def row(self, partition: int) -> ColumnElement[bool]:
        return (LogProgressRow.log_id == self.id) & (LogProgressRow.partition == partition)

    def backfill_row(self, progress: Progress) -> ColumnElement[bool]:
        metric, version = version_of(progress)
        return (
            (BackfillRow.billable_metric_id == metric)
            & (BackfillRow.version == version)
            & (BackfillRow.log_id == self.id)
            & (BackfillRow.partition == progress.partition)
        )


def version_of(progress: Progress) -> VersionKey:
    """The metric and version of a backfill's stream, "partition/metric/version"."""
    _, metric, version = progress.stream.split("/")
    return metric, int(version)


def _claim(log: _Log, partition: int, session: Session) -> Progress:
    statement = (
        update(LogProgressRow)
        .where(log.row(partition))
        .values(epoch=LogProgressRow.epoch + 1)
        .returning(
            LogProgressRow.epoch,
            LogProgressRow.next_offset,
            LogProgressRow.pending_last,
            LogProgressRow.catalog_version,
        )
    )
    raised = session.execute(statement).one_or_none()
    if raised is None:
        session.execute(
            insert(LogProgressRow).values(log_id=log.id, partition=partition, epoch=1, next_offset=0)
        )
        return Progress(stream=str(partition), partition=partition, epoch=1, next_offset=0)
    epoch, next_offset, pending_last, catalog_version = raised
    _let_go(log, partition, session)
    return Progress(
        stream=str(partition),
        partition=partition,
        epoch=epoch,
        next_offset=next_offset,
        pending_last=pending_last,
        catalog_version=None if pending_last is None else catalog_version,
    )


def _let_go(log: _Log, partition: int, session: Session) -> None:
    """Nothing of a backfill is pending whose version is wanted no more: nobody will go on with it."""
    building = exists().where(
        VersionRow.billable_metric_id == BackfillRow.billable_metric_id,
        VersionRow.version == BackfillRow.version,
        VersionRow.state == VersionState.BUILDING.value,
    )
    session.execute(
        update(BackfillRow)
        .where(
            BackfillRow.log_id == log.id,
            BackfillRow.partition == partition,
            BackfillRow.pending_last.is_not(None),
            ~building,
        )
        .values(pending_last=None)
    )


def _plan(log: _Log, progress: Progress, last: int, received_until: Instant, session: Session) -> Progress:
    newest = _meet_newest(log, progress, session)
    known = LogProgressRow.received_until
    latest = case((known < received_until, received_until), else_=known)
    planned = update(LogProgressRow).where(log.row(progress.partition))
    session.execute(planned.values(pending_last=last, received_until=latest))
    return replace(progress, pending_last=last, catalog_version=newest)


def _catch_up(log: _Log, progress: Progress, session: Session) -> None:
    _meet_newest(log, progress, session)


def _meet_newest(log: _Log, progress: Progress, session: Session) -> int:
    """Let the partition meet the newest catalog version at its next offset, between batches."""
    met = _hold(log, progress, session)
    newest = newest_catalog_version(session)
    if met != newest:
        partition = progress.partition
        session.execute(update(LogProgressRow).where(log.row(partition)).values(catalog_version=newest))
        complete = meet(session, log.id, partition, next_offset=progress.next_offset, catalog_version=newest)
        # What this retires is part of `newest` still, which only the next batch will notice.
        activate_complete(session, log.id, log.partitions, complete)
    return newest


def _plan_backfill(log: _Log, progress: Progress, last: int, session: Session) -> Progress:
    _hold_backfill(log, progress, session)
    newest = newest_catalog_version(session)
    session.execute(
        update(BackfillRow)
        .where(log.backfill_row(progress))
        .values(pending_last=last, catalog_version=newest)
    )
    return replace(progress, pending_last=last, catalog_version=newest)


def _confirm(log: _Log, progress: Progress, session: Session) -> None:
    epoch = select(LogProgressRow.epoch).where(log.row(progress.partition))
    if session.scalars(epoch).one_or_none() != progress.epoch:
        raise Fenced(f"partition {progress.partition} was claimed after epoch {progress.epoch}")


def _advance(log: _Log, progress: Progress, session: Session) -> Progress:
    _hold(log, progress, session)
    advanced = _advanced(progress)
    session.execute(
        update(LogProgressRow)
        .where(log.row(progress.partition))
        .values(next_offset=advanced.next_offset, pending_last=None)
    )
    return advanced


def _advance_backfill(log: _Log, progress: Progress, session: Session) -> Progress:
    _hold_backfill(log, progress, session)
    advanced = _advanced(progress)
    done = advanced.next_offset == progress.until
    session.execute(
        update(BackfillRow)
        .where(log.backfill_row(progress))
        .values(next_offset=advanced.next_offset, pending_last=None, done=done)
    )
    if done:
        activate_complete(session, log.id, log.partitions, [version_of(progress)])
    return advanced


def _forget(log: _Log, session: Session) -> None:
    session.execute(
        update(LogProgressRow)
        .where(LogProgressRow.log_id == log.id)
        .values(epoch=LogProgressRow.epoch + 1, next_offset=0, pending_last=None, catalog_version=None)
    )
    session.execute(delete(BackfillRow).where(BackfillRow.log_id == log.id))


def _advanced(progress: Progress) -> Progress:
    assert progress.pending_last is not None
    return replace(progress, next_offset=progress.pending_last + 1, pending_last=None, catalog_version=None)


def _hold(log: _Log, progress: Progress, session: Session) -> int | None:
    """Lock the partition's row, which must be as `progress` says; the catalog version it has met."""
    statement = select(
        LogProgressRow.epoch,
        LogProgressRow.next_offset,
        LogProgressRow.pending_last,
        LogProgressRow.catalog_version,
    ).where(log.row(progress.partition))
    row = session.execute(statement.with_for_update()).one_or_none()
    if row is None or row[:3] != (progress.epoch, progress.next_offset, progress.pending_last):
        raise Fenced(f"the catalog holds {row} for partition {progress.partition}, not {progress}")
    return row[3]


def _hold_backfill(log: _Log, progress: Progress, session: Session) -> None:
    """Lock the backfill's row, which must be as `progress` says, and keep claims of the partition out."""
    epoch = select(LogProgressRow.epoch).where(log.row(progress.partition))
    if session.scalars(epoch.with_for_update(read=True)).one_or_none() != progress.epoch:
        raise Fenced(f"partition {progress.partition} was claimed after epoch {progress.epoch}")
    statement = select(BackfillRow.next_offset, BackfillRow.pending_last).where(log.backfill_row(progress))
    row = session.execute(statement.with_for_update()).one_or_none()
    if row != (progress.next_offset, progress.pending_last):
        raise Fenced(f"the catalog holds {row} for backfill {progress.stream}, not {progress}")


def _unfinished(log: _Log, progress: Progress, session: Session) -> Sequence[Backfill] | None:
    """What is to be done; None where the partition must first meet the newest catalog version."""
    counters = select(LogProgressRow.epoch, LogProgressRow.catalog_version, StateRow.catalog_version)
    of_partition = counters.join(StateRow, true()).where(log.row(progress.partition))
    row = session.execute(of_partition).one_or_none()
    if row is None or row[0] != progress.epoch:
        raise Fenced(f"partition {progress.partition} was claimed after epoch {progress.epoch}")
    if row[1] != row[2] and progress.pending_last is None:
        return None
    mine = (BackfillRow.log_id == log.id) & (BackfillRow.partition == progress.partition)
    undone = mine & BackfillRow.done.is_(False)
    if session.execute(select(BackfillRow.version).where(undone).limit(1)).first() is None:
        return ()
    version = (VersionRow.billable_metric_id == BackfillRow.billable_metric_id) & (
        VersionRow.version == BackfillRow.version
    )
    statement = (
        select(BackfillRow, VersionRow, MetricRow)
        .join(VersionRow, version)
        .join(MetricRow, MetricRow.id == BackfillRow.billable_metric_id)
        .where(undone, VersionRow.state == VersionState.BUILDING.value)
        .order_by(VersionRow.appeared_in, VersionRow.billable_metric_id)
    )
    known = KnownTombstones.read(session)
    return [
        Backfill(_backfill_progress(progress, row), definition_of(metric, version, known))
        for row, version, metric in session.execute(statement)
    ]


def _backfill_progress(live: Progress, row: BackfillRow) -> Progress:
    return Progress(
        stream=f"{row.partition}/{row.billable_metric_id}/{row.version}",
        partition=row.partition,
        epoch=live.epoch,
        next_offset=row.next_offset,
        pending_last=row.pending_last,
        catalog_version=None if row.pending_last is None else row.catalog_version,
        until=row.until_offset,
    )
