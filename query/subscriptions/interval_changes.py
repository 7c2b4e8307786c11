"""Changes of price intervals: the records of edits, of a subscription and of all the merchant's."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query, Response
from pydantic import Field

from meterhouse.domain.instant import render
from meterhouse.domain.interval_change import IntervalChange, IntervalChangeFilter
from meterhouse.domain.subscription import ChangeReason
from query.answers import failures, model_answer
from query.backend import Backend, Merchant, Ports
from query.fields import PageAsked, Timestamp
from query.route import new_router
from query.subscriptions.price_intervals import ChargeBody
from query.subscriptions.subscriptions import checked_subscription
from query.subscriptions.wire import TagsBody, shown_tags
from query.wire import ListBody, Moment, Wire, pagination

router = new_router()


class EveryIntervalChangeAsked(PageAsked):
    since: Annotated[Timestamp | None, Field(alias="from", description="Included.")] = None
    until: Annotated[Timestamp | None, Field(alias="to", description="Not included.")] = None
    change_reason: ChangeReason | None = None


class ChargeCopyBody(ChargeBody):
    """What an interval charged; a unit of a price with several rates costs what its first one does."""

    resolved_unit_price: str


class IntervalChangeEntryBody(Wire):
    """`before` is null of what was added, `after` of what was removed."""

    interval_id: str
    before: ChargeCopyBody | None
    after: ChargeCopyBody | None


class IntervalChangeBody(Wire):
    id: str
    merchant_id: str
    subscription_id: str
    change_reason: ChangeReason
    description: str | None
    metadata: TagsBody
    created_at: Moment
    intervals: list[IntervalChangeEntryBody]

    @classmethod
    def of(cls, change: IntervalChange) -> IntervalChangeBody:
        return cls(
            id=change.id,
            merchant_id=change.merchant_id,
            subscription_id=change.subscription_id,
            change_reason=change.reason,
            description=change.description,
            metadata=shown_tags(change.metadata),
            created_at=render(change.created_at),
            intervals=[IntervalChangeEntryBody.model_validate(one) for one in change.entries],
        )


_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": ListBody[IntervalChangeBody], "description": "One page."}
}


@router.get(
    "/v0/subscriptions/{id}/intervalChanges",
    operation_id="listSubscriptionIntervalChanges",
    responses={**failures(400, 404), **_PAGE},
    response_model=None,
)
async def of_subscription(
    id: str, asked: Annotated[PageAsked, Query()], merchant: Merchant, ports: Ports
) -> Response:
    """List the changes of a subscription's price intervals, oldest first."""
    wanted = IntervalChangeFilter(subscription_id=checked_subscription(id))
    return await _page(wanted, asked, merchant, ports)


@router.get(
    "/v0/intervalChanges",
    operation_id="listIntervalChanges",
    responses={**failures(400), **_PAGE},
    response_model=None,
)
async def every(
    asked: Annotated[EveryIntervalChangeAsked, Query()], merchant: Merchant, ports: Ports
) -> Response:
    """List the changes of all price intervals by when they were recorded, oldest first."""
    wanted = IntervalChangeFilter(since=asked.since, until=asked.until, reason=asked.change_reason)
    return await _page(wanted, asked, merchant, ports)


async def _page(wanted: IntervalChangeFilter, asked: PageAsked, merchant: str, ports: Backend) -> Response:
    catalog = ports.subscribed.price_intervals
    found = await catalog.changes(merchant, wanted, asked.limit, asked.offset)
    data = [IntervalChangeBody.of(one) for one in found.items]
    return model_answer(ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset)))
