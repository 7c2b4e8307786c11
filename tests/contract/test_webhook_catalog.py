"""What every catalog must do for webhooks: nothing is told twice, lost or forged, however many are at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import anyio
import pytest

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.delivery_schedule import attempted
from meterhouse.domain.errors import Conflict, Duplicate, NotFound
from meterhouse.domain.instant import DAY, MINUTE
from meterhouse.domain.look import Span
from meterhouse.domain.webhook import (
    Answer,
    Answered,
    Attempt,
    DeliveryFilter,
    DeliveryState,
    Endpoint,
    Mark,
    Notice,
    NoticeType,
    Parcel,
    Unanswered,
    Webhooks,
)
from meterhouse.ports.usage import Changed
from meterhouse.ports.webhooks import LogSpan, Look, Looked
from tests.fakes_query import MERCHANT, NOW, OTHER_MERCHANT
from tests.notified import held, listen
from tests.shop import Shop

pytestmark = pytest.mark.anyio

LEASE = NOW + DAY


async def at_once(*work: Callable[[], Awaitable[object]]) -> list[object]:
    """What each comes to, or raises, all begun together."""
    found: list[object] = []

    async def run(one: Callable[[], Awaitable[object]]) -> None:
        try:
            found.append(await one())
        except (Conflict, Duplicate) as error:
            found.append(type(error))

    async with anyio.create_task_group() as group:
        for one in work:
            group.start_soon(run, one)
    return found


def notice(number: int, entitlement_id: str, mark: str = "m") -> Notice:
    return Notice(
        id=f"msg_{number}",
        merchant_id="org_a",
        type=NoticeType.RESET,
        at=NOW,
        payload="{}",
        mark=Mark(entitlement_id, mark),
    )


async def look_of(catalog: Catalog) -> Look:
    [look] = await catalog.looks.due(NOW + DAY, LEASE + DAY, 10)
    return look


def looked(look: Look, *notices: Notice) -> Looked:
    return Looked(look, Span(look.since, NOW + DAY), notices, LEASE + 9 * DAY)


def success(parcel: Parcel) -> Attempt:
    return attempted(Answered(200), at=NOW, before=parcel.attempts, jitter=0)


async def total(shop: Shop, state: DeliveryState | None = None) -> int:
    page = await shop.catalog.deliveries.page("org_a", DeliveryFilter(state=state), 100, 0)
    assert len(page.items) == page.total
    return page.total


async def test_webhooks_begin_once_and_urls_are_told_once(shop: Shop) -> None:
    webhooks = Webhooks(
        merchant_id="org_a", application_id="app_1", enabled=True, created_at=NOW, updated_at=NOW
    )
    found = await at_once(*[lambda: shop.catalog.webhooks.enable(webhooks)] * 4)
    assert Counter(found) == {webhooks: 1, Duplicate: 3}
    assert await shop.catalog.webhooks.get("org_a") == webhooks
    endpoints = [
        Endpoint(id=f"ep_{n}", merchant_id="org_a", url="https://e.com", created_at=NOW, updated_at=NOW)
        for n in range(4)
    ]
    create = shop.catalog.endpoints.create
    made = await at_once(*[partial(create, one, "whsec_x") for one in endpoints])
    assert made.count(Conflict) == 3
    page = await shop.catalog.endpoints.page("org_a", 10, 0)
    assert (list(page.items), page.total) == ([one for one in made if one is not Conflict], 1)
    with pytest.raises(NotFound):
        await shop.catalog.endpoints.create(replace(endpoints[0], merchant_id="org_b"), "whsec_x")


async def test_a_grant_and_its_notice_are_there_together(shop: Shop) -> None:
    await listen(shop)
    one = await held(shop, template={"type": "metered"})
    body = {"amount": 5, "idempotencyKey": "k"}
    made = await at_once(*[lambda: shop.made(f"/v1/entitlements/{one['id']}/grants", body)] * 4)
    assert made == [made[0]] * 4
    assert await total(shop) == 1
    [entitlement_id, grant_id] = one["id"], made[0]["id"]  # type: ignore[index]
    void = shop.catalog.grants.void
    await at_once(*[lambda: void("org_a", entitlement_id, grant_id, NOW)] * 4)
    page = await shop.catalog.deliveries.page("org_a", DeliveryFilter(), 9, 0)
    assert sorted(one.notice.type for one in page.items) == [
        NoticeType.GRANT_CREATED,
        NoticeType.GRANT_VOIDED,
    ]


async def test_a_delivery_is_claimed_by_one(shop: Shop) -> None:
    await listen(shop)
    for _ in range(3):
        await held(shop)
    outbox, now = shop.catalog.deliveries, shop.clock.now()
    claimed = await at_once(*[lambda: outbox.claim(now, now + MINUTE, 2, ())] * 6)
    parcels = [one for some in claimed for one in some]  # type: ignore[attr-defined]
    assert len({one.delivery_id for one in parcels}) == len(parcels) == 3
    assert await outbox.claim(now, now + MINUTE, 9, ()) == ()
    again = await outbox.claim(now + MINUTE, now + 2 * MINUTE, 9, ())
    assert {one.delivery_id for one in again} == {one.delivery_id for one in parcels}
    for stale in parcels:
        await outbox.settle(stale, success(stale))
    assert await total(shop, DeliveryState.DELIVERED) == 0, "those claims are over"
    for good in (*again, *again):
        await outbox.settle(good, success(good))
    assert await total(shop, DeliveryState.DELIVERED) == 3
    [first, *_] = (await outbox.page("org_a", DeliveryFilter(), 9, 0)).items
    assert first.attempts == 1


async def test_who_is_crowded_is_passed_over(shop: Shop) -> None:
    endpoint = await listen(shop)
    await held(shop)
    outbox, now = shop.catalog.deliveries, shop.clock.now()
    assert await outbox.claim(now, now + MINUTE, 9, {endpoint["id"]}) == ()
    [parcel] = await outbox.claim(now, now + MINUTE, 9, {"ep_other"})
    assert (parcel.url, parcel.secrets) == (endpoint["url"], (endpoint["secret"],))
    assert endpoint["secret"] not in repr(parcel)


async def test_the_dead_are_listed_and_revived(shop: Shop) -> None:
    await listen(shop)
    await held(shop)
    outbox, now = shop.catalog.deliveries, shop.clock.now()
    [parcel] = await outbox.claim(now, now + MINUTE, 9, ())
    await outbox.settle(parcel, attempted(Answered(500), at=now, before=99, jitter=0))
    [dead] = await outbox.dead(None, 10)
    assert (dead.id, dead.last_status, dead.next_at) == (parcel.delivery_id, 500, None)
    assert await outbox.dead("org_b", 10) == ()
    assert await outbox.revive({"dlv_other"}, None, now) == 0
    assert await outbox.revive(None, "org_b", now) == 0
    assert sorted(map(str, await at_once(*[lambda: outbox.revive(None, None, now)] * 3))) == ["0", "0", "1"]
    assert len(await outbox.claim(now, now + MINUTE, 9, ())) == 1


async def test_a_mark_lets_one_notice_through_for_ever(shop: Shop) -> None:
    await listen(shop)
    one = await held(shop, template={"type": "metered"})
    looks, look = shop.catalog.looks, await look_of(shop.catalog)
    found = await at_once(
        *[partial(looks.looked, [looked(look, notice(n, one["id"]))], NOW) for n in range(4)]
    )
    assert sorted(map(str, found)) == ["0", "0", "0", "1"]
    assert await total(shop) == 1
    assert await shop.catalog.deliveries.prune(NOW + DAY, 10) == 1
    assert await looks.looked([looked(look, notice(9, one["id"]))], NOW) == 0
    assert await looks.looked([looked(look, notice(10, one["id"], "other"))], NOW) == 1
    assert await total(shop) == 1


async def test_an_entitlement_is_looked_at_by_one_and_not_before_its_time(shop: Shop) -> None:
    await listen(shop)
    for _ in range(3):
        await held(shop)
    looks = shop.catalog.looks
    found = await at_once(*[lambda: looks.due(NOW + DAY, LEASE + DAY, 2)] * 4)
    claimed = [one for some in found for one in some]  # type: ignore[attr-defined]
    assert len({one.holding.entitlement.id for one in claimed}) == len(claimed) == 3
    assert await looks.looked([looked(one) for one in claimed], NOW) == 0
    assert await looks.due(LEASE + 8 * DAY, LEASE + 9 * DAY, 9) == ()
    again = await looks.due(LEASE + 9 * DAY, LEASE + 10 * DAY, 9)
    assert {one.since for one in again} == {NOW + DAY}


async def test_whoever_is_not_told_is_not_looked_at(shop: Shop) -> None:
    await held(shop)
    looks = shop.catalog.looks
    assert (await looks.listening(), await looks.due(LEASE, LEASE + 1, 9)) == (frozenset(), ())
    endpoint = await listen(shop)
    assert await looks.listening() == {"org_a"}
    await shop.changed(f"/api/v1/webhooks/endpoints/{endpoint['id']}", enabled=False)
    assert (await looks.listening(), await looks.due(LEASE, LEASE + 1, 9)) == (frozenset(), ())


async def test_usage_is_heard_of_once_and_takes_a_lease_away(shop: Shop) -> None:
    await listen(shop)
    one = await held(shop)
    looks, look = shop.catalog.looks, await look_of(shop.catalog)
    first, changed = LogSpan("log", 0, 0, 5), [Changed("org_a", one["customerId"], "")]
    assert await looks.heard("log") == {}
    found = await at_once(*[lambda: looks.hear(first, changed, NOW + DAY)] * 3)
    assert sorted(map(str, found)) == ["False", "False", "True"]
    assert await looks.heard("log") == {0: 5}
    assert not await looks.hear(LogSpan("log", 0, 3, 9), changed, NOW + DAY)
    await looks.looked([looked(look)], NOW)
    assert len(await looks.due(NOW + DAY, LEASE + DAY, 9)) == 1, "what was looked at has changed since"
    assert await looks.hear(LogSpan("log", 0, 5, 9), [Changed("org_b", one["customerId"], "")], NOW)
    assert await looks.heard("log") == {0: 9}


async def test_attempts_are_kept_through_a_replay_and_go_with_their_delivery(shop: Shop) -> None:
    deliveries = shop.catalog.deliveries
    await listen(shop)
    await held(shop)
    [told] = (await deliveries.page(MERCHANT, DeliveryFilter(), 9, 0)).items
    id = told.id
    answers: list[Answer] = [Answered(500), Unanswered("no answer in time"), Answered(204)]
    for number, answer in enumerate(answers):
        at = NOW + DAY * (number + 1)
        [parcel] = await deliveries.claim(at, at + MINUTE, 1, ())
        attempt = attempted(answer, at=at, before=parcel.attempts, jitter=0)
        await deliveries.settle(parcel, attempt)
        await deliveries.settle(parcel, attempt)  # the claim is over by now
        if number == 1:
            await deliveries.replay(MERCHANT, id, at)
    made = await deliveries.attempts(MERCHANT, id, 10)
    assert [(one.at - NOW, one.status, one.error) for one in made] == [
        (3 * DAY, 204, None),
        (2 * DAY, None, "no answer in time"),
        (DAY, 500, None),
    ]
    assert await deliveries.attempts(MERCHANT, id, 1) == made[:1]
    with pytest.raises(NotFound):
        await deliveries.attempts(OTHER_MERCHANT, id, 10)
    assert await deliveries.prune(shop.clock.now() + DAY, 100) == 1
    with pytest.raises(NotFound):
        await deliveries.attempts(MERCHANT, id, 10)


async def test_a_deleted_endpoint_takes_its_deliveries_along(shop: Shop) -> None:
    endpoint = await listen(shop)
    await shop.made("/api/v1/webhooks/endpoints", {"url": "https://example.com/2"})
    await held(shop)
    assert await total(shop) == 2
    outbox, now = shop.catalog.deliveries, shop.clock.now()
    parcels = await outbox.claim(now, now + MINUTE, 9, ())
    await shop.catalog.endpoints.delete("org_a", endpoint["id"])
    for parcel in parcels:
        await outbox.settle(parcel, attempted(Answered(410), at=now, before=0, jitter=0))
    assert (await total(shop), await total(shop, DeliveryState.DEAD)) == (1, 1)
