"""What there is to tell of entitlements is found once, whatever happens in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import anyio
import pytest

from meterhouse.domain.errors import Invalid, StoreUnavailable
from meterhouse.domain.holding import Holding
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse, render
from meterhouse.domain.look import Sighting
from meterhouse.ports.usage import Changed
from notifier.watch import Watch
from tests.fakes_query import NOW
from tests.notified import News, held, listen, told, used, watch_of
from tests.shop import Json, Shop

pytestmark = pytest.mark.anyio

Asked = tuple[Holding, Instant]

MONTHLY: Final[Json] = {
    "type": "metered",
    "issueAfterReset": 100,
    "usagePeriod": {"interval": "P1M", "anchor": "2026-05-01T00:00:00Z"},
}


class World:
    """A shop that tells of everything, but for grants that are made."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.news = News()
        self.watch = watch_of(shop, self.news)

    async def round(self) -> list[str]:
        """Watch until nothing is due; what was told by then, in short."""
        await self.watch.hear()
        while await self.watch.look():
            pass
        return [_short(one) for one in await told(self.shop)]


def _short(notice: Json) -> str:
    return " ".join(filter(None, (notice["type"], notice["data"].get("threshold"))))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Shop.open(f"sqlite:///{tmp_path}/catalog.sqlite3") as shop:
        await listen(
            shop,
            eventTypes=[
                "entitlement.balance_threshold",
                "entitlement.balance_exhausted",
                "entitlement.reset",
                "grant.expired",
            ],
        )
        yield World(shop)


async def test_a_threshold_is_told_when_usage_reaches_it(world: World) -> None:
    one = await held(world.shop, template=MONTHLY, metadata={"balanceThresholds": "80%,95%,10"})
    assert await world.round() == []
    used(world.shop, 79)
    world.news.add(one["customerId"])
    assert await world.round() == []
    used(world.shop, 85)
    assert await world.round() == [], "nobody said that usage changed"
    world.news.add(one["customerId"])
    assert await world.round() == ["entitlement.balance_threshold 80%"]
    [notice] = await told(world.shop)
    shown = await world.shop.get(f"/v1/entitlements/{one['id']}", at=notice["timestamp"])
    assert notice["data"] == {"threshold": "80%", "entitlement": shown}
    assert (shown["balance"], shown["usageInPeriod"]) == (15, 85)


async def test_each_threshold_is_told_once_in_a_period(world: World) -> None:
    one = await held(world.shop, template=MONTHLY, metadata={"balanceThresholds": "80%,10"})
    for amount in (95, 100, 50, 97):
        used(world.shop, amount)
        world.news.add(one["customerId"])
        await world.round()
    assert await world.round() == [
        "entitlement.balance_threshold 80%",
        "entitlement.balance_threshold 10",
        "entitlement.balance_exhausted",
    ]


async def test_a_grant_that_begins_makes_a_threshold_news_again(world: World) -> None:
    one = await held(world.shop, template=MONTHLY, metadata={"balanceThresholds": "50%"})
    used(world.shop, 60)
    assert await world.round() == ["entitlement.balance_threshold 50%"]
    path = f"/v1/entitlements/{one['id']}/grants"
    grant = await world.shop.made(path, {"amount": 100, "idempotencyKey": "k"})
    assert len(await world.round()) == 1, "60 of 200 is not half"
    await world.shop.client.delete(f"{path}/{grant['id']}")
    assert await world.round() == ["entitlement.balance_threshold 50%"] * 2
    await world.round()
    assert len(await world.round()) == 2


async def test_a_feature_s_thresholds_are_those_of_its_entitlements(world: World) -> None:
    metric = await world.shop.metric()
    metadata = {"billableMetricId": metric, "balanceThresholds": "50%"}
    feature = await world.shop.feature(key="k", type="metered", metadata=metadata)
    await held(world.shop, featureId=feature, template=MONTHLY)
    used(world.shop, 50)
    assert await world.round() == ["entitlement.balance_threshold 50%"]


async def test_what_nothing_was_granted_for_is_not_exhausted(world: World) -> None:
    await held(world.shop, template={"type": "metered"}, metadata={"balanceThresholds": "80%,10"})
    assert await world.round() == []


async def test_a_reset_is_told_with_what_there_is_at_it(world: World) -> None:
    one = await held(world.shop, template=MONTHLY)
    used(world.shop, 30)
    assert await world.round() == []
    world.shop.clock.advance(31 * DAY)
    assert await world.round() == ["entitlement.reset"]
    [notice] = await told(world.shop)
    assert notice["timestamp"] == "2026-06-01T00:00:00Z"
    shown = notice["data"]["entitlement"]
    assert (shown["id"], shown["balance"], shown["usageInPeriod"]) == (one["id"], 100, 0)
    assert shown["currentPeriodStart"] == "2026-06-01T00:00:00Z"
    assert await world.round() == ["entitlement.reset"]


async def test_what_came_about_while_nobody_watched_is_told_in_its_order(world: World) -> None:
    daily = {"type": "metered", "issueAfterReset": 10, "usagePeriod": {"interval": "P1D"}}
    await held(world.shop, template=daily, metadata={"balanceThresholds": "50%"})
    used(world.shop, 10)  # in the first phase of each look, which is the first day
    world.shop.clock.advance(25 * DAY + HOUR)
    assert await world.round() == [
        "entitlement.balance_threshold 50%",
        "entitlement.balance_exhausted",
        *["entitlement.reset"] * 25,
    ]
    instants = [parse(one["timestamp"]) for one in await told(world.shop)]
    assert instants == sorted(instants)


async def test_nothing_from_before_there_was_somebody_to_tell(tmp_path: Path) -> None:
    async with Shop.open(f"sqlite:///{tmp_path}/catalog.sqlite3") as shop:
        world = World(shop)
        await held(shop, template=MONTHLY, activeFrom=render(NOW - 400 * DAY))
        shop.clock.advance(40 * DAY)
        await listen(shop)
        assert await world.round() == []


async def test_a_grant_that_expires_is_told(world: World) -> None:
    one = await held(world.shop, template={"type": "metered"})
    ends = render(NOW + HOUR)
    body = {"amount": 5, "idempotencyKey": "k", "expiresAt": ends}
    grant = await world.shop.made(f"/v1/entitlements/{one['id']}/grants", body)
    voided = await world.shop.made(f"/v1/entitlements/{one['id']}/grants", body | {"idempotencyKey": "v"})
    await world.shop.client.delete(f"/v1/entitlements/{one['id']}/grants/{voided['id']}")
    assert await world.round() == []
    world.shop.clock.advance(HOUR)
    assert await world.round() == ["grant.expired"]
    [notice] = await told(world.shop)
    assert (notice["timestamp"], notice["data"]["grant"]) == (ends, grant)


async def test_time_alone_makes_an_entitlement_due(world: World) -> None:
    world.watch = replace(world.watch, sweep=400 * DAY)
    await held(world.shop, template=MONTHLY)
    await world.round()
    world.shop.clock.advance(HOUR)
    assert await world.watch.look() == 0, "nothing can have changed"
    world.shop.clock.advance(31 * DAY)
    assert await world.watch.look() == 1


async def test_what_changed_in_an_unknown_way_is_found_by_the_sweep(world: World) -> None:
    once = {"type": "metered", "issueAfterReset": 100}
    await held(world.shop, template=once, metadata={"balanceThresholds": "50%"})
    assert await world.round() == []
    used(world.shop, 50)
    world.shop.clock.advance(HOUR + MINUTE)
    assert await world.round() == ["entitlement.balance_threshold 50%"]


async def test_nothing_is_told_of_what_has_ended_or_not_begun(world: World) -> None:
    later = render(NOW + DAY)
    await held(world.shop, template=MONTHLY, activeTo=later, metadata={"balanceThresholds": "1%"})
    await held(world.shop, template=MONTHLY, activeFrom=render(NOW + 2 * DAY))
    used(world.shop, 100)
    world.shop.clock.advance(DAY + HOUR)
    assert await world.round() == []


async def test_a_pause_puts_off_what_there_is_to_tell(world: World) -> None:
    await held(world.shop, template=MONTHLY)
    await world.round()
    await world.shop.changed("/v0/webhooks", enabled=False)
    world.shop.clock.advance(31 * DAY)
    assert await world.round() == []
    await world.shop.changed("/v0/webhooks", enabled=True)
    assert await world.round() == ["entitlement.reset"]


async def test_usage_under_an_external_id_is_heard_of(world: World) -> None:
    consumer = {"name": "n", "email": "n@example.com", "address": {}}
    customer = await world.shop.customer(consumer=consumer, externalId="acme")
    await held(world.shop, customerId=customer, template=MONTHLY, metadata={"balanceThresholds": "50%"})
    await world.round()
    used(world.shop, 50)
    world.news.subjects.append(Changed("org_a", "", "acme"))
    assert await world.round() == ["entitlement.balance_threshold 50%"]


async def test_two_who_watch_tell_once(world: World) -> None:
    for _ in range(5):
        await held(world.shop, template=MONTHLY, metadata={"balanceThresholds": "50%"})
    used(world.shop, 60)
    others = [watch_of(world.shop, world.news) for _ in range(4)]

    async def look(watch: Watch) -> None:
        await watch.hear()
        await watch.look()

    async with anyio.create_task_group() as group:
        for one in others:
            group.start_soon(look, one)
    assert await world.round() == ["entitlement.balance_threshold 50%"] * 5


async def test_a_look_that_is_not_finished_is_made_again(world: World) -> None:
    await held(world.shop, template=MONTHLY, metadata={"balanceThresholds": "50%"})
    used(world.shop, 60)
    world.shop.phases.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await world.watch.look()
    world.shop.phases.failure = None
    assert await world.watch.look() == 0, "it is claimed still"
    world.shop.clock.advance(2 * MINUTE)
    assert await world.round() == ["entitlement.balance_threshold 50%"]


async def test_what_changes_during_a_look_is_looked_at_again(world: World) -> None:
    one = await held(world.shop, template=MONTHLY, metadata={"balanceThresholds": "50%,90%"})
    used(world.shop, 60)
    await world.watch.hear()
    observer = world.watch.observer

    @dataclass
    class Slow:
        """Sees what was, while more is used."""

        given = observer.given

        async def sight(self, merchant_id: str, asked: Sequence[Asked]) -> Sequence[Sighting]:
            seen = await observer.sight(merchant_id, asked)
            used(world.shop, 95)
            world.news.add(one["customerId"])
            await world.watch.hear()
            return seen

    await replace(world.watch, observer=Slow()).look()
    assert [_short(notice) for notice in await told(world.shop)] == ["entitlement.balance_threshold 50%"]
    assert await world.watch.look() == 1
    assert len(await told(world.shop)) == 2


async def test_one_that_cannot_be_seen_leaves_the_others(world: World) -> None:
    first = await held(world.shop, template=MONTHLY, metadata={"balanceThresholds": "50%"})
    await held(world.shop, template=MONTHLY, metadata={"balanceThresholds": "50%"})
    used(world.shop, 60)
    observer = world.watch.observer

    class Blind:
        """Cannot see the first."""

        given = observer.given

        async def sight(self, merchant_id: str, asked: Sequence[Asked]) -> Sequence[Sighting]:
            if any(holding.entitlement.id == first["id"] for holding, _ in asked):
                raise Invalid("too much")
            return await observer.sight(merchant_id, asked)

    world.watch = replace(world.watch, observer=Blind())
    assert await world.round() == ["entitlement.balance_threshold 50%"]
    world.watch = replace(world.watch, observer=observer)
    world.shop.clock.advance(HOUR + MINUTE)
    assert await world.round() == ["entitlement.balance_threshold 50%"] * 2


async def test_a_round_is_bounded_and_takes_who_waited_longest(world: World) -> None:
    for _ in range(5):
        await held(world.shop, template=MONTHLY, metadata={"balanceThresholds": "50%"})
    watch = replace(world.watch, at_most=2)
    assert [await watch.look() for _ in range(4)] == [2, 2, 1, 0]


async def test_numbers_are_told_to_the_last_digit(world: World) -> None:
    template = MONTHLY | {"issueAfterReset": Decimal("0.000000000000000003")}
    await held(world.shop, template=template, metadata={"balanceThresholds": "0.000000000000000003"})
    world.shop.clock.advance(SECOND)
    await world.round()
    [notice] = await told(world.shop)
    assert notice["data"]["entitlement"]["balance"] == Decimal("0.000000000000000003")
    listed = (await world.shop.get("/api/v1/webhooks/deliveries"))["data"]
    whole = await world.shop.get(f"/api/v1/webhooks/deliveries/{listed[0]['id']}")
    assert '"balance":0.000000000000000003,' in whole["payload"]
