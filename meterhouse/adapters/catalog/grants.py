"""Grants of entitlements, and purchases of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.entitlement_models import EntitlementRow, GrantRow, PurchaseRow
from meterhouse.adapters.catalog.notices import tell_of_grant
from meterhouse.adapters.catalog.own_rows import find_own, own_row
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.sales_models import PlanRow
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow
from meterhouse.adapters.catalog.subscription_rows import now_for
from meterhouse.domain.duration import Duration
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.domain.grant import Grant
from meterhouse.domain.holding import GivenGrant, Purchase
from meterhouse.domain.instant import Instant
from meterhouse.domain.invoice import Invoice
from meterhouse.domain.matching import plain
from meterhouse.domain.recurrence import Recurrence
from meterhouse.domain.webhook import NoticeType
from meterhouse.domain.window import Window
from meterhouse.ports.catalog import Page

Keyed = TypeVar("Keyed", GrantRow, PurchaseRow)

# What a Grant has, and nothing of how it was asked for: a balance reads every grant there ever was.
_OF_GRANT: Final = (
    GrantRow.entitlement_id,
    GrantRow.id,
    GrantRow.amount,
    GrantRow.effective_at,
    GrantRow.created_at,
    GrantRow.priority,
    GrantRow.expires_at,
    GrantRow.voided_at,
    GrantRow.reset_max_rollover,
    GrantRow.reset_min_rollover,
    GrantRow.recurrence_anchor,
    GrantRow.recurrence_interval,
)


class CatalogGrants:
    """Implements GrantCatalog and PurchaseCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, merchant_id: str, given: GivenGrant) -> GivenGrant:
        return await self._database.write(partial(_create, merchant_id, given))

    async def get(self, merchant_id: str, entitlement_id: str, id: str) -> GivenGrant:
        return await self._database.read(
            lambda session: given_of(_grant_row(session, merchant_id, entitlement_id, id))
        )

    async def page(
        self, merchant_id: str, entitlement_id: str, *, voided: bool, limit: int, offset: int
    ) -> Page[GivenGrant]:
        def read(session: Session) -> Page[GivenGrant]:
            entitlement_row(session, merchant_id, entitlement_id)
            chosen = select(GrantRow).where(GrantRow.entitlement_id == entitlement_id)
            if not voided:
                chosen = chosen.where(GrantRow.voided_at.is_(None))
            rows, total = read_page(session, chosen.order_by(GrantRow.created_at, GrantRow.id), limit, offset)
            return Page(tuple(map(given_of, rows)), total)

        return await self._database.read(read)

    async def void(self, merchant_id: str, entitlement_id: str, id: str, at: Instant) -> GivenGrant:
        def write(session: Session) -> GivenGrant:
            hold_catalog(session)
            row = _grant_row(session, merchant_id, entitlement_id, id)
            if row.voided_at is None:
                held = entitlement_row(session, merchant_id, entitlement_id)
                row.voided_at = now_for(session, held, at)
                tell_of_grant(session, held, given_of(row), NoticeType.GRANT_VOIDED, at)
            return given_of(row)

        return await self._database.write(write)

    async def order(self, merchant_id: str, purchase: Purchase) -> Purchase:
        return await self._database.write(partial(_order, merchant_id, purchase))

    async def pay(
        self, merchant_id: str, invoice_id: str, grant: Callable[[Purchase, Instant], Grant], at: Instant
    ) -> GivenGrant:
        return await self._database.write(partial(_pay, merchant_id, invoice_id, grant, at))

    async def invoices(self, merchant_id: str, period: Window) -> Sequence[Invoice]:
        return await self._database.read(partial(_invoices, merchant_id, period))


def _invoices(merchant_id: str, period: Window, session: Session) -> Sequence[Invoice]:
    rows = session.execute(
        select(PurchaseRow, EntitlementRow, PlanRow)
        .join(EntitlementRow, EntitlementRow.id == PurchaseRow.entitlement_id)
        .outerjoin(SubscriptionRow, SubscriptionRow.id == EntitlementRow.subscription_id)
        .outerjoin(PlanRow, PlanRow.id == SubscriptionRow.plan_id)
        .where(
            EntitlementRow.merchant_id == merchant_id,
            PurchaseRow.created_at >= period.start,
            PurchaseRow.created_at < period.end,
        )
        .order_by(PurchaseRow.created_at, PurchaseRow.invoice_id)
    )
    return [
        Invoice(
            id=purchase.invoice_id,
            customer_id=entitlement.customer_id,
            subscription_id=entitlement.subscription_id,
            plan_id=None if plan is None else plan.id,
            plan_name=None if plan is None else plan.name,
            currency="USD",
            amount=Decimal(purchase.asked["price"]),
            issued_at=purchase.created_at,
            paid_at=purchase.paid_at,
        )
        for purchase, entitlement, plan in rows
    ]


def _create(merchant_id: str, given: GivenGrant, session: Session) -> GivenGrant:
    hold_catalog(session)
    held = entitlement_row(session, merchant_id, given.entitlement_id)
    known = _known(session, GrantRow, given)
    if known is not None:
        return given_of(known)
    session.add(grant_row(given))
    tell_of_grant(session, held, given, NoticeType.GRANT_CREATED, given.grant.created_at)
    return given


def _order(merchant_id: str, purchase: Purchase, session: Session) -> Purchase:
    hold_catalog(session)
    entitlement_row(session, merchant_id, purchase.entitlement_id)
    known = _known(session, PurchaseRow, purchase)
    if known is not None:
        return _purchase_of(known)
    session.add(
        PurchaseRow(
            invoice_id=purchase.invoice_id,
            entitlement_id=purchase.entitlement_id,
            idempotency_key=purchase.idempotency_key,
            asked=dict(purchase.asked),
            grant_id=purchase.grant_id,
            created_at=purchase.created_at,
            paid_at=purchase.paid_at,
        )
    )
    return purchase


def _pay(
    merchant_id: str,
    invoice_id: str,
    grant: Callable[[Purchase, Instant], Grant],
    at: Instant,
    session: Session,
) -> GivenGrant:
    hold_catalog(session)
    row = session.get(PurchaseRow, invoice_id)
    held = None if row is None else find_own(session, EntitlementRow, merchant_id, row.entitlement_id)
    if row is None or held is None:
        raise NotFound(f"there is no purchase {invoice_id}")
    if row.paid_at is None:
        row.paid_at = now_for(session, held, at)
        made = GivenGrant(grant=grant(_purchase_of(row), row.paid_at), entitlement_id=row.entitlement_id)
        session.add(grant_row(made))
        tell_of_grant(session, held, made, NoticeType.GRANT_CREATED, at)
        session.flush()
    return given_of(session.get_one(GrantRow, row.grant_id))


def _known(session: Session, kind: type[Keyed], given: GivenGrant | Purchase) -> Keyed | None:
    """What was made under the idempotency key before. Raises Conflict where it was something else."""
    known = session.scalars(
        select(kind).where(
            kind.entitlement_id == given.entitlement_id, kind.idempotency_key == given.idempotency_key
        )
    ).one_or_none()
    if known is not None:
        _require_same(known.asked, given)
    return known


def _require_same(known: Mapping[str, Any], given: GivenGrant | Purchase) -> None:
    differing = [name for name in {*known, *given.asked} if known.get(name) != given.asked.get(name)]
    if differing:
        named = ", ".join(sorted(differing))
        raise Conflict(f"the idempotencyKey {given.idempotency_key} was used with another {named}")


def entitlement_row(session: Session, merchant_id: str, id: str) -> EntitlementRow:
    """The merchant's entitlement. Raises NotFound, also when it is another merchant's."""
    return own_row(session, EntitlementRow, merchant_id, id, called="entitlement")


def _grant_row(session: Session, merchant_id: str, entitlement_id: str, id: str) -> GrantRow:
    entitlement_row(session, merchant_id, entitlement_id)
    row = session.get(GrantRow, id)
    if row is None or row.entitlement_id != entitlement_id:
        raise NotFound(f"there is no grant {id}")
    return row


def grants_by_entitlement(session: Session, ids: Sequence[str]) -> Mapping[str, tuple[Grant, ...]]:
    """All grants of these entitlements, voided ones too; an entitlement without any is left out."""
    found: defaultdict[str, list[Grant]] = defaultdict(list)
    for row in session.execute(select(*_OF_GRANT).where(GrantRow.entitlement_id.in_(ids))):
        found[row.entitlement_id].append(grant_of(row))
    return {id: tuple(grants) for id, grants in found.items()}


def grant_row(given: GivenGrant) -> GrantRow:
    grant = given.grant
    return GrantRow(
        id=grant.id,
        entitlement_id=given.entitlement_id,
        idempotency_key=given.idempotency_key,
        asked=dict(given.asked),
        amount=plain(grant.amount),
        priority=grant.priority,
        effective_at=grant.effective_at,
        expires_at=grant.expires_at,
        voided_at=grant.voided_at,
        reset_max_rollover=plain(grant.reset_max_rollover),
        reset_min_rollover=plain(grant.reset_min_rollover),
        recurrence_anchor=grant.recurrence and grant.recurrence.anchor,
        recurrence_interval=str(grant.recurrence.interval) if grant.recurrence else None,
        created_at=grant.created_at,
    )


def given_of(row: GrantRow) -> GivenGrant:
    return GivenGrant(
        grant=grant_of(row),
        entitlement_id=row.entitlement_id,
        idempotency_key=row.idempotency_key,
        asked=row.asked,
    )


def grant_of(row: GrantRow | Row[*tuple[Any, ...]]) -> Grant:
    recurrence = None
    if row.recurrence_anchor is not None and row.recurrence_interval is not None:
        recurrence = Recurrence(row.recurrence_anchor, Duration.parse(row.recurrence_interval))
    return Grant(
        id=row.id,
        amount=Decimal(row.amount),
        effective_at=row.effective_at,
        created_at=row.created_at,
        priority=row.priority,
        expires_at=row.expires_at,
        voided_at=row.voided_at,
        reset_max_rollover=Decimal(row.reset_max_rollover),
        reset_min_rollover=Decimal(row.reset_min_rollover),
        recurrence=recurrence,
    )


def _purchase_of(row: PurchaseRow) -> Purchase:
    return Purchase(
        invoice_id=row.invoice_id,
        entitlement_id=row.entitlement_id,
        idempotency_key=row.idempotency_key,
        asked=row.asked,
        grant_id=row.grant_id,
        created_at=row.created_at,
        paid_at=row.paid_at,
    )
