"""What a link's page is filled with: a customer, or one of its subscriptions, as it stands now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meterhouse.domain.errors import Invalid
from meterhouse.domain.holding import HoldingFilter
from meterhouse.domain.instant import Instant
from meterhouse.domain.signed_link import SignedLink
from meterhouse.domain.subscription import Subscription
from query.backend import Backend
from query.entitlements.balances import AsOf, Standing, standings
from query.page_words import moment
from query.portal.days import usage_by_day
from query.portal.view import Card, Heading, Portal, card_of

_MOST_CARDS: Final = 100


async def portal_of_customer(link: SignedLink, ports: Backend) -> Portal:
    """All that the customer is entitled to. Raises NotFound once it is deleted."""
    customer = await ports.customers.get(link.merchant_id, link.subject_id)
    wall = ports.clock.now()
    heading = Heading(title=customer.consumer.name, since=moment(customer.created_at))
    wanted = HoldingFilter(customer_id=customer.id, at=wall, is_now=True)
    return await _portal(heading, link, wanted, wall, ports)


async def portal_of_subscription(link: SignedLink, ports: Backend) -> Portal:
    """All that the subscription brings, at its own time. Raises NotFound."""
    subscription = await ports.subscribed.subscriptions.get(link.merchant_id, link.subject_id)
    plan = await ports.sales.plans.get(link.merchant_id, subscription.plan_id)
    wall = ports.clock.now()
    wanted = HoldingFilter(subscription_id=subscription.id, at=wall, is_now=True)
    heading = _heading(subscription, plan.name, wall)
    return await _portal(heading, link, wanted, subscription.now(wall), ports)


def _heading(subscription: Subscription, plan: str, wall: Instant) -> Heading:
    ended, ending_at = subscription.ended(wall), subscription.terms.ending_at
    ends_at = ending_at if ended is None else ended.at
    return Heading(
        title=subscription.name,
        customer=None if subscription.consumer is None else subscription.consumer.name,
        plan=plan,
        state=str(subscription.status(wall)).replace("_", " ").capitalize(),
        is_active=ended is None,
        since=moment(subscription.started_at),
        ends=None if ends_at is None else moment(ends_at),
    )


async def _portal(
    heading: Heading, link: SignedLink, wanted: HoldingFilter, at: Instant, ports: Backend
) -> Portal:
    found = await ports.holdings.entitlements.page(link.merchant_id, wanted, _MOST_CARDS, 0)
    stands = await standings(ports, link.merchant_id, found.items, AsOf(None, wanted.at))
    return Portal(
        heading=heading,
        at=moment(at),
        link_ends=moment(link.expires_at),
        cards=await _cards(stands, link.merchant_id, ports),
        more=found.total - len(found.items),
    )


async def _cards(stands: Sequence[Standing], merchant: str, ports: Backend) -> tuple[Card, ...]:
    """The days are left out where there is more to read than a question may: what is left matters more."""
    try:
        days = await usage_by_day(ports, merchant, stands)
    except Invalid:
        days = {}
    return tuple([card_of(one, days) for one in stands])
