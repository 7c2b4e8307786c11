"""Notices reach their endpoints: signed, again after a failure, and no endpoint waits for another."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from meterhouse.adapters.clock import SystemClock
from meterhouse.domain.delivery_schedule import WAITS, attempted
from meterhouse.domain.errors import CatalogUnavailable
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, parse
from meterhouse.domain.webhook import Answer, Answered, Attempt, Parcel, Unanswered
from notifier.delivery import CROWD
from tests.notified import Receiver, courier_of, deliver_all, held, listen
from tests.shop import Json, Shop

pytestmark = pytest.mark.anyio

ENDPOINTS = "/api/v1/webhooks/endpoints"
DELIVERIES = "/api/v1/webhooks/deliveries"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with Shop.open(f"sqlite:///{tmp_path}/catalog.sqlite3") as shop:
        yield shop


async def only(shop: Shop) -> Json:
    [delivery] = (await shop.get(DELIVERIES))["data"]
    return await shop.get(f"{DELIVERIES}/{delivery['id']}")


async def test_a_receiver_can_verify_what_it_gets(shop: Shop) -> None:
    endpoint = await listen(shop)
    await held(shop)
    receiver, courier = Receiver(), courier_of(shop, Receiver())
    courier.carrier, courier.clock = receiver, SystemClock()  # the library looks at the time
    await deliver_all(courier)
    [(url, headers, body)] = receiver.got
    assert url == endpoint["url"]
    assert headers["content-type"] == "application/json"
    assert Webhook(endpoint["secret"]).verify(body, dict(headers))["type"] == "grant.created"
    delivery = await only(shop)
    assert (headers["webhook-id"], body.decode()) == (delivery["webhookId"], delivery["payload"])


async def test_both_secrets_sign_for_a_day(shop: Shop) -> None:
    endpoint = await listen(shop)
    await shop.client.post(f"{ENDPOINTS}/{endpoint['id']}/secret")
    signatures = []
    for _ in range(2):
        await held(shop)
        receiver = Receiver()
        await deliver_all(courier_of(shop, receiver))
        signatures.append(len(receiver.got[0][1]["webhook-signature"].split()))
        shop.clock.advance(DAY)
    assert signatures == [2, 1]


async def test_a_failure_is_tried_again_until_it_is_dead(shop: Shop) -> None:
    await listen(shop)
    await held(shop)
    receiver = Receiver(answers=[Answered(500), Unanswered("no answer within 15 s")] * 4)
    courier = courier_of(shop, receiver)
    for tried, wait in enumerate(WAITS):
        await deliver_all(courier)
        delivery = await only(shop)
        assert (delivery["state"], delivery["attempts"]) == ("pending", tried + 1)
        left = parse(delivery["nextAttemptAt"]) - parse(delivery["lastAttemptAt"])
        assert wait <= left <= wait * 12 // 10
        await deliver_all(courier)
        assert len(receiver.got) == tried + 1, "not before its time"
        shop.clock.advance(wait * 12 // 10 + SECOND)
    await deliver_all(courier)
    delivery = await only(shop)
    assert (delivery["state"], delivery["attempts"]) == ("dead", len(WAITS) + 1)
    assert delivery["lastError"] == "no answer within 15 s"
    assert "nextAttemptAt" not in delivery
    assert "lastStatus" not in delivery
    assert {headers["webhook-id"] for _, headers, _ in receiver.got} == {delivery["webhookId"]}
    assert len({body for _, _, body in receiver.got}) == 1


async def test_a_bug_on_the_way_is_a_failure_as_any_other(shop: Shop) -> None:
    await listen(shop)
    await held(shop)
    await deliver_all(courier_of(shop, Receiver(answers=[RuntimeError("bug")])))
    delivery = await only(shop)
    assert (delivery["state"], delivery["lastError"]) == ("pending", "something went wrong on our side")


async def test_an_endpoint_that_is_gone_is_disabled_until_somebody_enables_it(shop: Shop) -> None:
    endpoint = await listen(shop)
    await held(shop)
    await deliver_all(courier_of(shop, Receiver(answers=[Answered(410)])))
    shown = await shop.get(f"{ENDPOINTS}/{endpoint['id']}")
    assert (shown["enabled"], shown["gone"]) == (False, True)
    assert (await only(shop))["state"] == "dead"
    await held(shop)
    assert len((await shop.get(DELIVERIES))["data"]) == 1
    shown = await shop.changed(f"{ENDPOINTS}/{endpoint['id']}", enabled=True)
    assert (shown["enabled"], shown["gone"]) == (True, False)


async def test_what_is_paused_waits(shop: Shop) -> None:
    endpoint = await listen(shop)
    await held(shop)
    receiver = Receiver()
    for switch in ("/v0/webhooks", f"{ENDPOINTS}/{endpoint['id']}"):
        await shop.patched(switch, {"enabled": False})
        receiver.got.clear()
        await deliver_all(courier_of(shop, receiver))
        assert receiver.got == []
        await shop.patched(switch, {"enabled": True})
        await deliver_all(courier_of(shop, receiver))
        assert len(receiver.got) == 1
        await shop.client.post(f"{DELIVERIES}/{(await only(shop))['id']}/replay")


async def test_a_claim_that_nobody_settles_is_made_again_and_the_first_settles_nothing(shop: Shop) -> None:
    await listen(shop)
    await held(shop)
    outbox = shop.catalog.deliveries
    now = shop.clock.now()
    [lost] = await outbox.claim(now, now + MINUTE, 9, ())
    assert await outbox.claim(now, now + MINUTE, 9, ()) == ()
    shop.clock.advance(2 * MINUTE)
    receiver = Receiver(answers=[Answered(500)])
    await deliver_all(courier_of(shop, receiver))
    assert len(receiver.got) == 1
    await outbox.settle(lost, attempted(Answered(200), at=now, before=0, jitter=0))
    assert (await only(shop))["state"] == "pending"


@dataclass
class Stuck:
    """Implements Carrier: one host answers nothing until it is let go."""

    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    begun: Counter[str] = field(default_factory=Counter)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, name: str, count: int) -> None:
        """Return once so many have begun at that URL."""
        async with self._news:
            await self._news.wait_for(lambda: self.begun[f"https://example.com/{name}"] >= count)

    async def carry(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.begun[url] += 1
        async with self._news:
            self._news.notify_all()
        if "stuck" in url:
            await self.let_go.wait()
        return Answered(200)


async def test_an_endpoint_that_hangs_does_not_hold_up_the_others(shop: Shop) -> None:
    await listen(shop, url="https://example.com/stuck")
    await shop.made(ENDPOINTS, {"url": "https://example.com/quick"})
    for _ in range(3 * CROWD):
        await held(shop)
    carrier = Stuck()
    courier = courier_of(shop, Receiver())
    courier.carrier, courier.every_seconds = carrier, 0.01
    stop = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(courier.run(stop))
        await carrier.until("quick", 3 * CROWD)
        assert carrier.begun["https://example.com/stuck"] <= 2 * CROWD
        carrier.let_go.set()
        await carrier.until("stuck", 3 * CROWD)
        stop.set()
        await running
    assert (await shop.get(DELIVERIES, state="delivered"))["pagination"]["total"] == 6 * CROWD


async def test_a_stop_leaves_what_hangs_to_the_next_process(shop: Shop) -> None:
    await listen(shop, url="https://example.com/stuck")
    await held(shop)
    carrier, stop = Stuck(), asyncio.Event()
    courier = courier_of(shop, Receiver())
    courier.carrier, courier.every_seconds, courier.last_seconds = carrier, 0.01, 0.05
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(courier.run(stop))
        await carrier.until("stuck", 1)
        stop.set()
        await running
    shop.clock.advance(HOUR)
    receiver = Receiver()
    await deliver_all(courier_of(shop, receiver))
    assert len(receiver.got) == 1


async def test_a_catalog_that_is_away_for_a_moment_is_waited_for(shop: Shop) -> None:
    await listen(shop)
    await held(shop)
    outbox, failures = shop.catalog.deliveries, [CatalogUnavailable("away")]

    class Flaky:
        claim, prune = outbox.claim, outbox.prune

        async def settle(self, parcel: Parcel, attempt: Attempt) -> None:
            if failures:
                raise failures.pop()
            await outbox.settle(parcel, attempt)

    courier = courier_of(shop, Receiver())
    courier.outbox = Flaky()
    await deliver_all(courier)
    assert (await only(shop))["state"] == "delivered"


async def test_what_is_old_is_forgotten_and_is_not_told_again(shop: Shop) -> None:
    await listen(shop)
    await held(shop)
    shop.clock.advance(31 * DAY)
    await held(shop)
    courier = courier_of(shop, Receiver())
    await courier._prune()
    assert len((await shop.get(DELIVERIES))["data"]) == 1


async def test_what_is_deleted_meanwhile_is_no_failure(shop: Shop) -> None:
    endpoint = await listen(shop)
    await held(shop)

    class Deleting(Receiver):
        async def carry(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
            await shop.client.delete(f"{ENDPOINTS}/{endpoint['id']}")
            return await Receiver.carry(self, url, headers, body)

    await deliver_all(courier_of(shop, Deleting()))
    assert (await shop.get(DELIVERIES))["data"] == []
