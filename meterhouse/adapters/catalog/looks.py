"""Which entitlements are to be looked at, and how far usage is heard of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.entitlement_models import EntitlementRow
from meterhouse.adapters.catalog.entitlements import holdings_of
from meterhouse.adapters.catalog.models import CustomerRow
from meterhouse.adapters.catalog.notices import tell
from meterhouse.adapters.catalog.webhook_models import EndpointRow, HeardRow, WebhooksRow
from meterhouse.domain.holding import Holding
from meterhouse.domain.instant import Instant
from meterhouse.ports.usage import Changed
from meterhouse.ports.webhooks import LogSpan, Look, Looked

_MOST_NAMED: Final = 1_000  # subjects in one statement


class CatalogLooks:
    """Implements LookCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listening(self) -> frozenset[str]:
        return frozenset(await self._database.read(lambda session: session.scalars(_listening()).all()))

    async def due(self, now: Instant, lease: Instant, limit: int) -> Sequence[Look]:
        waiting = _listening().where(_is_due(now, EntitlementRow.merchant_id == WebhooksRow.merchant_id))
        merchants = await self._database.read(lambda session: session.scalars(waiting).all())
        if not merchants:
            return ()
        each = max(1, limit // len(merchants))
        return await self._database.write(partial(_claim, merchants[:limit], now, lease, each))

    async def looked(self, results: Sequence[Looked], at: Instant) -> int:
        return await self._database.write(partial(_looked, results, at)) if results else 0

    async def heard(self, log_id: str) -> Mapping[int, int]:
        known = select(HeardRow.partition, HeardRow.next_offset).where(HeardRow.log_id == log_id)
        return await self._database.read(lambda session: dict(session.execute(known).all()))

    async def hear(self, span: LogSpan, changed: Sequence[Changed], now: Instant) -> bool:
        return await self._database.write(partial(_hear, span, changed, now))


def _listening() -> Select[str]:
    """The merchants that are told, as far as they have an endpoint."""
    has_endpoint = select(EndpointRow.id).where(
        EndpointRow.merchant_id == WebhooksRow.merchant_id, EndpointRow.enabled
    )
    return select(WebhooksRow.merchant_id).where(WebhooksRow.enabled, has_endpoint.exists())


def _is_due(now: Instant, whose: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(EntitlementRow.id).where(whose, EntitlementRow.look_at <= now).exists()


def _claim(
    merchants: Sequence[str], now: Instant, lease: Instant, each: int, session: Session
) -> Sequence[Look]:
    looks: list[Look] = []
    for merchant_id in merchants:
        due = (
            select(EntitlementRow)
            .where(EntitlementRow.merchant_id == merchant_id, EntitlementRow.look_at <= now)
            .order_by(EntitlementRow.look_at, EntitlementRow.id)
            .limit(each)
            .with_for_update(skip_locked=True)
        )
        rows = session.scalars(due).all()
        began = _began(session, merchant_id)
        for row, holding in zip(rows, holdings_of(session, rows), strict=True):
            looks.append(Look(holding=holding, since=_since(row, holding, began), lease=lease))
            row.look_at = lease
    return looks


def _since(row: EntitlementRow, holding: Holding, began: Instant) -> Instant:
    """From when on what came about is news. By a test clock that is what comes after the first look."""
    if holding.clock_at is not None:
        return holding.clock_at if row.looked_until is None else row.looked_until
    return max(row.created_at, began, row.looked_until or 0)


def _began(session: Session, merchant_id: str) -> Instant:
    """Since when the merchant has had somewhere to be told."""
    mine = select(func.min(EndpointRow.created_at)).where(
        EndpointRow.merchant_id == merchant_id, EndpointRow.enabled
    )
    return session.scalars(mine).one() or 0


def _looked(results: Sequence[Looked], at: Instant, session: Session) -> int:
    hold_catalog(session)
    new = 0
    looked_at = [one.look.holding.entitlement.id for one in results]
    there = set(session.scalars(select(EntitlementRow.id).where(EntitlementRow.id.in_(looked_at))))
    for one in results:
        entitlement = one.look.holding.entitlement
        if entitlement.id not in there:  # a reset came in between
            continue
        new += tell(session, entitlement.merchant_id, one.notices, at)
        # Whoever made it due meanwhile took the lease away: then what was looked at is looked at again.
        session.execute(
            update(EntitlementRow)
            .where(EntitlementRow.id == entitlement.id, EntitlementRow.look_at == one.look.lease)
            .values(look_at=one.next_at, looked_until=one.span.until)
            .execution_options(synchronize_session=False)
        )
    return new


def _hear(span: LogSpan, changed: Sequence[Changed], now: Instant, session: Session) -> bool:
    hold_catalog(session)
    row = session.get(HeardRow, (span.log_id, span.partition))
    if row is None:
        session.add(HeardRow(log_id=span.log_id, partition=span.partition, next_offset=span.end))
        session.flush()
    elif row.next_offset != span.start:
        return False
    else:
        row.next_offset = span.end
    for condition in _held_by(changed):
        due = update(EntitlementRow).where(condition, EntitlementRow.look_at > now).values(look_at=now)
        session.execute(due.execution_options(synchronize_session=False))
    return True


def _held_by(changed: Sequence[Changed]) -> Iterator[ColumnElement[bool]]:
    """What these subjects hold, now that external ones are linked as they are."""
    for merchant_id in sorted({one.namespace for one in changed}):
        own = [one for one in changed if one.namespace == merchant_id]
        for first in range(0, len(own), _MOST_NAMED):
            some = own[first : first + _MOST_NAMED]
            named = [one.subject for one in some if one.subject]
            external = [one.external_subject for one in some if not one.subject]
            linked = select(CustomerRow.id).where(
                CustomerRow.merchant_id == merchant_id, CustomerRow.external_id.in_(external)
            )
            held = or_(EntitlementRow.customer_id.in_(named), EntitlementRow.customer_id.in_(linked))
            yield (EntitlementRow.merchant_id == merchant_id) & held
