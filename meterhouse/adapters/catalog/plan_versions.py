"""Versions of plans. A version never changes; which one is the default does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.own_rows import own_row
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.prices import price_row, prices_of
from meterhouse.adapters.catalog.sales_models import PlanLineRow, PlanRow, PlanVersionRow, PriceRow
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow
from meterhouse.adapters.catalog.subscription_rows import is_live
from meterhouse.adapters.catalog.subscription_versions import follow_plan
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import NewVersion, PlanVersion, VersionLine, VersionSummary, key_lines
from meterhouse.ports.catalog import Page
from meterhouse.ports.clock import Clock


class CatalogPlanVersions:
    """Implements PlanVersionCatalog."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def page(self, merchant_id: str, plan_id: str, limit: int, offset: int) -> Page[VersionSummary]:
        return await self._database.read(
            partial(_page, merchant_id, plan_id, limit, offset, at=self._clock.now())
        )

    async def get(self, merchant_id: str, plan_id: str, number: int) -> PlanVersion:
        return await self._database.read(partial(_get, merchant_id, plan_id, number, at=self._clock.now()))

    async def mint(self, merchant_id: str, plan_id: str, new: NewVersion) -> PlanVersion:
        return await self._database.write(partial(_mint, merchant_id, plan_id, new))

    async def make_default(self, merchant_id: str, plan_id: str, number: int, at: Instant) -> PlanVersion:
        return await self._database.write(partial(_make_default, merchant_id, plan_id, number, at))


def _page(
    merchant_id: str, plan_id: str, limit: int, offset: int, session: Session, *, at: Instant
) -> Page[VersionSummary]:
    plan = plan_row(session, merchant_id, plan_id)
    newest_first = (
        select(PlanVersionRow).where(PlanVersionRow.plan_id == plan_id).order_by(PlanVersionRow.number.desc())
    )
    rows, total = read_page(session, newest_first, limit, offset)
    counts = _subscriptions_of(session, plan_id, at)
    summaries = [
        VersionSummary(
            id=row.id,
            number=row.number,
            is_default=row.number == plan.default_version,
            subscription_count=counts.get(row.number, 0),
            published_at=row.published_at,
        )
        for row in rows
    ]
    return Page(tuple(summaries), total)


def _get(merchant_id: str, plan_id: str, number: int, session: Session, *, at: Instant) -> PlanVersion:
    return _version(session, plan_row(session, merchant_id, plan_id), number, at)


def _mint(merchant_id: str, plan_id: str, new: NewVersion, session: Session) -> PlanVersion:
    hold_catalog(session)
    plan = plan_row(session, merchant_id, plan_id)
    current = version_row(session, plan, plan.default_version)
    if new.based_on not in (None, current.id):
        raise Conflict(f"the plan {plan_id} has moved on to its version {current.id}")
    return _version(session, plan, add_version(session, plan, new, {}), new.published_at)


def _make_default(merchant_id: str, plan_id: str, number: int, at: Instant, session: Session) -> PlanVersion:
    hold_catalog(session)
    plan = plan_row(session, merchant_id, plan_id)
    version_row(session, plan, number)
    if number != plan.default_version:
        require_live(session, plan_id, number)
        plan.default_version = number
        plan.updated_at = at
        follow_plan(session, plan.id, number, at)
    return _version(session, plan, number, at)


def require_live(session: Session, plan_id: str, number: int) -> None:
    """Raises Conflict for a version that holds prices that are deleted."""
    deleted = [line.price.id for line in lines_of(session, plan_id, number) if line.is_price_deleted]
    if deleted:
        raise Conflict(f"the version {number} holds prices that are deleted: {', '.join(deleted)}")


def add_version(session: Session, plan: PlanRow, new: NewVersion, held: Mapping[str, str]) -> int:
    """The number of the plan's new version, which is its default one now. `held` are keys by price.

    Raises NotFound for a price that is not the merchant's.
    """
    for line in new.lines:
        price_row(session, plan.merchant_id, line.price_id)
    numbers = select(func.max(PlanVersionRow.number)).where(PlanVersionRow.plan_id == plan.id)
    number = (session.scalars(numbers).one() or 0) + 1
    session.add(
        PlanVersionRow(
            plan_id=plan.id,
            number=number,
            id=new.id,
            based_on=new.based_on,
            published_at=new.published_at,
        )
    )
    session.flush()
    session.add_all(
        [
            PlanLineRow(plan_id=plan.id, number=number, position=position, key=key, price_id=price_id)
            for position, (key, price_id) in enumerate(key_lines(new.lines, held).items())
        ]
    )
    plan.default_version = number
    plan.updated_at = new.published_at
    session.flush()
    follow_plan(session, plan.id, number, new.published_at)
    return number


def lines_of(session: Session, plan_id: str, number: int) -> tuple[VersionLine, ...]:
    """The lines of a version, in order, whether their prices are still there or not."""
    return tuple(lines_of_versions(session, [(plan_id, number)]).get(plan_id, ()))


def lines_of_versions(
    session: Session, versions: Sequence[tuple[str, int]]
) -> Mapping[str, Sequence[VersionLine]]:
    """The lines of versions of different plans, by plan."""
    numbers = dict(versions)
    rows = session.execute(
        select(PlanLineRow, PriceRow)
        .join(PriceRow, PriceRow.id == PlanLineRow.price_id)
        .where(PlanLineRow.plan_id.in_(numbers), PlanLineRow.number.in_(set(numbers.values())))
        .order_by(PlanLineRow.plan_id, PlanLineRow.position)
    ).all()
    wanted = [(line, price) for line, price in rows if numbers[line.plan_id] == line.number]
    found: dict[str, list[VersionLine]] = {}
    for (line, row), price in zip(wanted, prices_of(session, [row for _, row in wanted]), strict=True):
        held = VersionLine(key=line.key, price=price, is_price_deleted=row.deleted_at is not None)
        found.setdefault(line.plan_id, []).append(held)
    return found


def plan_row(session: Session, merchant_id: str, id: str) -> PlanRow:
    """The merchant's plan. Raises NotFound, also when it is another merchant's."""
    return own_row(session, PlanRow, merchant_id, id, called="plan")


def version_row(session: Session, plan: PlanRow, number: int) -> PlanVersionRow:
    """The plan's version of that number. Raises NotFound."""
    row = session.get(PlanVersionRow, (plan.id, number))
    if row is None:
        raise NotFound(f"there is no version {number} of the plan {plan.id}")
    return row


def read_version(session: Session, plan_id: str, number: int, at: Instant) -> PlanVersion:
    """A version of a plan that is known to be there."""
    return _version(session, session.get_one(PlanRow, plan_id), number, at)


def _version(session: Session, plan: PlanRow, number: int, at: Instant) -> PlanVersion:
    row = version_row(session, plan, number)
    return PlanVersion(
        id=row.id,
        plan_id=plan.id,
        number=row.number,
        is_default=row.number == plan.default_version,
        subscription_count=_subscriptions_of(session, plan.id, at).get(number, 0),
        based_on=row.based_on,
        published_at=row.published_at,
        lines=lines_of(session, plan.id, number),
    )


def _subscriptions_of(session: Session, plan_id: str, at: Instant) -> Mapping[int, int]:
    """How many live subscriptions began with each version of the plan."""
    counted = select(SubscriptionRow.version_number, func.count()).where(
        SubscriptionRow.plan_id == plan_id, is_live(at)
    )
    return dict(session.execute(counted.group_by(SubscriptionRow.version_number)).all())
