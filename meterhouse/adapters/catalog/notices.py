"""Notices beside what they tell: written in the same transaction, so that neither is there without the other.

Everything here runs inside a transaction of the caller's, which holds the catalog.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.entitlement_models import EntitlementRow
from meterhouse.adapters.catalog.ids import new_id
from meterhouse.adapters.catalog.webhook_models import (
    DeliveryRow,
    EndpointRow,
    MarkRow,
    NoticeRow,
)
from meterhouse.adapters.notice_payloads import grant_data, payload_of
from meterhouse.domain.holding import GivenGrant
from meterhouse.domain.instant import Instant
from meterhouse.domain.webhook import DeliveryState, Mark, Notice, NoticeType


def tell_of_grant(
    session: Session, entitlement: EntitlementRow, given: GivenGrant, type: NoticeType, at: Instant
) -> None:
    """Tell what became of the grant, and let what it changes of the balance be looked at."""
    make_due(session, EntitlementRow.id == entitlement.id)
    data = grant_data(given, entitlement.customer_id, entitlement.feature_id)
    notice = Notice(
        id=new_id("msg"),
        merchant_id=entitlement.merchant_id,
        type=type,
        at=at,
        payload=payload_of(type, at, data),
    )
    tell(session, entitlement.merchant_id, [notice], at)


def make_due(session: Session, which: ColumnElement[bool]) -> None:
    """Let entitlements be looked at, whatever this session has read of them: a look may have claimed them."""
    due = update(EntitlementRow).where(which).values(look_at=0)
    session.execute(due.execution_options(synchronize_session=False))


def tell(session: Session, merchant_id: str, notices: Sequence[Notice], at: Instant) -> int:
    """Keep the notices of a merchant for whoever wants them; how many there are whose marks are new.

    While webhooks are paused they wait. What no endpoint wants is told to nobody, later ones either.
    """
    fresh = list(_unmarked(session, notices, at))
    endpoints = _endpoints(session, merchant_id) if fresh else []
    # Each a microsecond after the one before, so that they are listed, and go out, in their order.
    for made_at, notice in enumerate(fresh, at):
        wanting = [one for one in endpoints if not one.types or notice.type in one.types]
        if wanting:
            session.add(_notice_row(notice, made_at))
            session.flush()
            session.add_all([_delivery_row(notice, endpoint, made_at) for endpoint in wanting])
    session.flush()
    return len(fresh)


def _unmarked(session: Session, notices: Sequence[Notice], at: Instant) -> Iterator[Notice]:
    """Those whose marks are not there; they are then."""
    marks = {one.mark for one in notices if one.mark is not None}
    known = _known(session, marks)
    for one in notices:
        if one.mark is None:
            yield one
        elif one.mark not in known:
            known.add(one.mark)
            session.add(MarkRow(entitlement_id=one.mark.entitlement_id, mark=one.mark.text, created_at=at))
            yield one


def _known(session: Session, marks: set[Mark]) -> set[Mark]:
    found = select(MarkRow.entitlement_id, MarkRow.mark).where(
        MarkRow.entitlement_id.in_({one.entitlement_id for one in marks}),
        MarkRow.mark.in_({one.text for one in marks}),
    )
    return {Mark(id, text) for id, text in session.execute(found)} if marks else set()


def _endpoints(session: Session, merchant_id: str) -> Sequence[EndpointRow]:
    mine = select(EndpointRow).where(EndpointRow.merchant_id == merchant_id, EndpointRow.enabled)
    return session.scalars(mine.order_by(EndpointRow.created_at, EndpointRow.id)).all()


def _notice_row(notice: Notice, at: Instant) -> NoticeRow:
    return NoticeRow(
        id=notice.id,
        merchant_id=notice.merchant_id,
        type=notice.type,
        at=notice.at,
        payload=notice.payload,
        created_at=at,
    )


def _delivery_row(notice: Notice, endpoint: EndpointRow, at: Instant) -> DeliveryRow:
    return DeliveryRow(
        id=new_id("dlv"),
        notice_id=notice.id,
        endpoint_id=endpoint.id,
        merchant_id=notice.merchant_id,
        state=DeliveryState.PENDING,
        attempts=0,
        next_at=at,
        created_at=at,
    )
