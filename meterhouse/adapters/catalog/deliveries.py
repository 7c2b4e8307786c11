"""The outbox: deliveries that are claimed, tried, given up and replayed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.ids import new_id
from meterhouse.adapters.catalog.own_rows import own_row
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.webhook_models import (
    AttemptRow,
    DeliveryRow,
    EndpointRow,
    NoticeRow,
    WebhooksRow,
)
from meterhouse.domain.instant import Instant
from meterhouse.domain.webhook import (
    Answered,
    Attempt,
    Delivery,
    DeliveryFilter,
    DeliveryState,
    Notice,
    NoticeType,
    Parcel,
    PastAttempt,
    Unanswered,
)
from meterhouse.ports.catalog import Page

EACH: Final = 8  # of one endpoint that a claim takes at most

R = TypeVar("R", EndpointRow, NoticeRow)

_AGAIN: Final = {"state": DeliveryState.PENDING, "attempts": 0}


class CatalogDeliveries:
    """Implements DeliveryCatalog, DeadDeliveries and Outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, merchant_id: str, id: str) -> Delivery:
        return await self._database.read(partial(_get, merchant_id, id))

    async def page(self, merchant_id: str, wanted: DeliveryFilter, limit: int, offset: int) -> Page[Delivery]:
        return await self._database.read(partial(_page, _chosen(merchant_id, wanted), limit, offset))

    async def attempts(self, merchant_id: str, id: str, limit: int) -> Sequence[PastAttempt]:
        return await self._database.read(partial(_attempts, merchant_id, id, limit))

    async def replay(self, merchant_id: str, id: str, at: Instant) -> Delivery:
        def write(session: Session) -> Delivery:
            hold_catalog(session)
            _get(merchant_id, id, session)
            session.execute(update(DeliveryRow).where(DeliveryRow.id == id).values(next_at=at, **_AGAIN))
            return _get(merchant_id, id, session)

        return await self._database.write(write)

    async def dead(self, merchant_id: str | None, limit: int) -> Sequence[Delivery]:
        chosen = _chosen(merchant_id, DeliveryFilter(state=DeliveryState.DEAD))
        return (await self._database.read(partial(_page, chosen, limit, 0))).items

    async def revive(self, ids: Collection[str] | None, merchant_id: str | None, at: Instant) -> int:
        return await self._database.write(partial(_revive, ids, merchant_id, at))

    async def claim(
        self, now: Instant, lease: Instant, limit: int, crowded: Collection[str]
    ) -> Sequence[Parcel]:
        waiting = _waiting(now, crowded).limit(limit)
        endpoints = await self._database.read(lambda session: session.scalars(waiting).all())
        if not endpoints:
            return ()
        return await self._database.write(partial(_claim, now, lease, limit, endpoints))

    async def settle(self, parcel: Parcel, attempt: Attempt) -> None:
        await self._database.write(partial(_settle, parcel, attempt))

    async def prune(self, before: Instant, limit: int) -> int:
        return await self._database.write(partial(_prune, before, limit))


def _waiting(now: Instant, crowded: Collection[str]) -> Select[str]:
    """The endpoints that something is due for, by how long it has been.

    Each is asked by an index of its own, so that what waits for one that is paused costs nothing.
    """
    due_at = (
        select(func.min(DeliveryRow.next_at))
        .where(DeliveryRow.endpoint_id == EndpointRow.id)
        .scalar_subquery()
    )
    return (
        select(EndpointRow.id)
        .join(WebhooksRow, WebhooksRow.merchant_id == EndpointRow.merchant_id)
        .where(EndpointRow.enabled, WebhooksRow.enabled, EndpointRow.id.not_in(crowded), due_at <= now)
        .order_by(due_at, EndpointRow.id)
    )


def _claim(
    now: Instant, lease: Instant, limit: int, endpoints: Sequence[str], session: Session
) -> Sequence[Parcel]:
    rows: list[DeliveryRow] = []
    for id in endpoints:
        rows += session.scalars(_due(now, id).limit(min(EACH, limit - len(rows))))
        if len(rows) == limit:
            break
    by_id = _by_id(session, EndpointRow, {row.endpoint_id for row in rows})
    notices = _by_id(session, NoticeRow, {row.notice_id for row in rows})
    for row in rows:
        row.next_at = lease
    return [_parcel(row, by_id[row.endpoint_id], notices[row.notice_id], now) for row in rows]


def _due(now: Instant, endpoint_id: str) -> Select[DeliveryRow]:
    """What may be tried now. Whoever claims at the same time passes over these rows instead of waiting."""
    return (
        select(DeliveryRow)
        .where(DeliveryRow.endpoint_id == endpoint_id, DeliveryRow.next_at <= now)
        .order_by(DeliveryRow.next_at, DeliveryRow.id)
        .with_for_update(skip_locked=True)
    )


def _by_id(session: Session, kind: type[R], ids: Collection[str]) -> dict[str, R]:
    return {row.id: row for row in session.scalars(select(kind).where(kind.id.in_(ids)))}


def _parcel(row: DeliveryRow, endpoint: EndpointRow, notice: NoticeRow, now: Instant) -> Parcel:
    until, old = endpoint.old_secret_until, endpoint.old_secret
    is_old_good = old is not None and until is not None and now < until
    assert row.next_at is not None, "it is claimed"
    return Parcel(
        delivery_id=row.id,
        endpoint_id=endpoint.id,
        notice_id=notice.id,
        url=endpoint.url,
        secrets=(endpoint.secret, *([old] if is_old_good and old is not None else [])),
        payload=notice.payload,
        attempts=row.attempts,
        lease=row.next_at,
    )


def _settle(parcel: Parcel, attempt: Attempt, session: Session) -> None:
    """By compare-and-set: a lease is known by its end, which nobody else was given for this delivery."""
    answer = attempt.answer
    said = {
        "status": answer.status if isinstance(answer, Answered) else None,
        "error": answer.reason if isinstance(answer, Unanswered) else None,
    }
    settled = (
        update(DeliveryRow)
        .where(
            DeliveryRow.id == parcel.delivery_id,
            DeliveryRow.next_at == parcel.lease,
            DeliveryRow.attempts == parcel.attempts,
        )
        .values(
            state=attempt.state,
            attempts=parcel.attempts + 1,
            next_at=attempt.next_at,
            last_attempt_at=attempt.at,
            last_status=said["status"],
            last_error=said["error"],
        )
        .returning(DeliveryRow.id)
    )
    if attempt.gone:
        hold_catalog(session)
    is_ours = session.scalars(settled).one_or_none() is not None
    if is_ours:
        session.add(AttemptRow(id=new_id("att"), delivery_id=parcel.delivery_id, at=attempt.at, **said))
    if is_ours and attempt.gone:
        gone = update(EndpointRow).where(EndpointRow.id == parcel.endpoint_id)
        session.execute(gone.values(enabled=False, gone=True, updated_at=attempt.at))


def _prune(before: Instant, limit: int, session: Session) -> int:
    hold_catalog(session)
    old = select(NoticeRow.id).where(NoticeRow.created_at < before).order_by(NoticeRow.created_at)
    ids = session.scalars(old.limit(limit)).all()
    session.execute(delete(DeliveryRow).where(DeliveryRow.notice_id.in_(ids)))
    session.execute(delete(NoticeRow).where(NoticeRow.id.in_(ids)))
    return len(ids)


def _revive(ids: Collection[str] | None, merchant_id: str | None, at: Instant, session: Session) -> int:
    hold_catalog(session)
    conditions: list[ColumnElement[bool]] = [DeliveryRow.state == DeliveryState.DEAD]
    if ids is not None:
        conditions.append(DeliveryRow.id.in_(ids))
    if merchant_id is not None:
        conditions.append(DeliveryRow.merchant_id == merchant_id)
    revived = update(DeliveryRow).where(*conditions).values(next_at=at, **_AGAIN)
    return len(session.scalars(revived.returning(DeliveryRow.id)).all())


def _chosen(merchant_id: str | None, wanted: DeliveryFilter) -> Select[DeliveryRow]:
    conditions: list[ColumnElement[bool]] = []
    if merchant_id is not None:
        conditions.append(DeliveryRow.merchant_id == merchant_id)
    if wanted.endpoint_id is not None:
        conditions.append(DeliveryRow.endpoint_id == wanted.endpoint_id)
    if wanted.notice_id is not None:
        conditions.append(DeliveryRow.notice_id == wanted.notice_id)
    if wanted.state is not None:
        conditions.append(DeliveryRow.state == wanted.state)
    newest_first = (DeliveryRow.created_at.desc(), DeliveryRow.id.desc())
    return select(DeliveryRow).where(*conditions).order_by(*newest_first)


def _page(chosen: Select[DeliveryRow], limit: int, offset: int, session: Session) -> Page[Delivery]:
    rows, total = read_page(session, chosen, limit, offset)
    notices = _by_id(session, NoticeRow, {row.notice_id for row in rows})
    return Page(tuple([_delivery_of(row, notices[row.notice_id]) for row in rows]), total)


def _get(merchant_id: str, id: str, session: Session) -> Delivery:
    row = own_row(session, DeliveryRow, merchant_id, id, called="webhook delivery", populate_existing=True)
    return _delivery_of(row, session.get_one(NoticeRow, row.notice_id))


def _attempts(merchant_id: str, id: str, limit: int, session: Session) -> Sequence[PastAttempt]:
    _get(merchant_id, id, session)
    newest_first = (AttemptRow.at.desc(), AttemptRow.id.desc())
    made = select(AttemptRow).where(AttemptRow.delivery_id == id).order_by(*newest_first).limit(limit)
    return [PastAttempt(at=row.at, status=row.status, error=row.error) for row in session.scalars(made)]


def _delivery_of(row: DeliveryRow, notice: NoticeRow) -> Delivery:
    return Delivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        notice=Notice(
            id=notice.id,
            merchant_id=notice.merchant_id,
            type=NoticeType(notice.type),
            at=notice.at,
            payload=notice.payload,
        ),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_at=row.next_at,
        last_attempt_at=row.last_attempt_at,
        last_status=row.last_status,
        last_error=row.last_error,
        created_at=row.created_at,
    )
