"""Which prices subscriptions are charged by, and from when until when."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.plan_versions import read_version
from meterhouse.adapters.catalog.subscription_fields import read_subscription
from meterhouse.adapters.catalog.subscription_models import SubscriptionVersionRow
from meterhouse.domain.price_interval import PriceInterval, Span, intervals_of


class CatalogPriceIntervals:
    """Implements PriceIntervalCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, merchant_id: str, id: str) -> Sequence[PriceInterval]:
        return await self._database.read(partial(_of, merchant_id, id))


def _of(merchant_id: str, id: str, session: Session) -> Sequence[PriceInterval]:
    subscription = read_subscription(merchant_id, id, session)
    rows = session.scalars(
        select(SubscriptionVersionRow)
        .where(SubscriptionVersionRow.subscription_id == id)
        .order_by(SubscriptionVersionRow.start_at)
    )
    spans = [Span(row.start_at, row.number) for row in rows]
    versions = {
        number: read_version(session, subscription.plan_id, number, subscription.created_at)
        for number in {span.number for span in spans}
    }
    return intervals_of(subscription, spans, versions)
