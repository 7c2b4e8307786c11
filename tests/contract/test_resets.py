"""What every catalog must do for resets: all that belongs to a sandbox goes, and nothing is counted twice."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.webhook_models import WebhooksRow
from meterhouse.domain.errors import Conflict, Forbidden, NotFound
from meterhouse.domain.instant import DAY, SECOND
from meterhouse.domain.look import Span
from meterhouse.domain.reset import OneCustomer, WholeMerchant
from meterhouse.domain.webhook import Mark, Notice, NoticeType
from meterhouse.ports.counting import Progress, ProgressLedger
from meterhouse.ports.webhooks import Looked
from tests.contract.test_interval_edits import Contract, seats
from tests.contract.test_progress_ledger import counted_to, run_backfills, versions_at
from tests.fakes_query import MERCHANT, NOW, OTHER_MERCHANT, customer_body
from tests.notified import Receiver, courier_of, deliver_all, held, listen
from tests.shop import Shop

pytestmark = pytest.mark.anyio

EVERYTHING: Final = WholeMerchant(keep_catalog=False)
USAGE: Final = WholeMerchant(keep_catalog=True)
LOG: Final = "log"

_TABLES: Final = WebhooksRow.metadata.tables

# Who it is, what it is told, what is counted for it, and how far; products and metrics are marked as deleted.
_KEPT: Final = {
    "merchants", "api_keys", "tombstones", "webhooks", "webhook_endpoints", "catalog_state", "signing_keys",
    "log_progress", "log_shards", "backfill_progress", "webhook_progress",
    "products", "billable_metrics", "billable_metric_versions", "costs",
}  # fmt: skip
_OF_CATALOG: Final = {
    "features", "items", "external_references", "fees", "prices", "plans", "plan_versions", "plan_lines",
}  # fmt: skip


@pytest.fixture
async def shop(shop: Shop) -> Shop:
    """Of a sandbox."""
    await shop.catalog.mark_merchant(MERCHANT, sandbox=True)
    return shop


async def rows(shop: Shop) -> dict[str, int]:
    """How many rows each table has, of whatever merchant."""

    def count(session: Session) -> dict[str, int]:
        counts = {name: select(func.count()).select_from(table) for name, table in _TABLES.items()}
        return {name: session.scalars(count).one() for name, count in counts.items()}

    return await shop.catalog._database.read(count)


async def furnish(shop: Shop) -> str:
    """Let the merchant have some of everything that a reset may delete; a customer of it."""
    _, customer = await _held(shop)
    metric = await shop.metric()
    item = await shop.item()
    await shop.reference(entityId=item["id"])
    fee = await shop.fee(itemId=item["id"])
    price, of_fee = await shop.price(billableMetricId=metric), await shop.price(feeId=fee["id"])
    plan = await shop.plan(prices=[price["id"], of_fee["id"]])
    await shop.subscription(planId=plan["id"], customerId=customer)
    edited = await Contract.of(shop, customerId=customer)
    await edited.edited(add=[seats(priceKey="extra", priceId=of_fee["id"])])
    await edited.edited(remove=[{"id": (await edited.one("api"))["id"]}])
    await shop.cost()
    return customer


async def _held(shop: Shop) -> tuple[str, str]:
    """An entitlement that something was granted to, bought for and told of, and its customer."""
    await listen(shop)
    made = await held(shop)
    entitlement = str(made["id"])
    path = f"/v1/entitlements/{entitlement}/grants"
    await shop.made(path, {"amount": 1, "idempotencyKey": "g"})
    await shop.made(f"{path}/purchase", {"amount": 1, "price": "5.00", "idempotencyKey": "p"})
    await tell(shop, entitlement)
    await deliver_all(courier_of(shop, Receiver()))
    return entitlement, str(made["customerId"])


async def tell(shop: Shop, entitlement: str) -> None:
    for look in await shop.catalog.looks.due(NOW + DAY, NOW + 2 * DAY, 10):
        notice = Notice(
            id=f"msg_{entitlement}", merchant_id=MERCHANT, type=NoticeType.RESET, at=NOW, payload="{}",
            mark=Mark(entitlement, "m"),
        )  # fmt: skip
        await shop.catalog.looks.looked([Looked(look, Span(NOW, NOW), (notice,), NOW)], NOW)


async def test_everything_of_the_merchant_goes_but_what_it_is(shop: Shop) -> None:
    await furnish(shop)
    before = await rows(shop)
    empty = {name for name, count in before.items() if not count} - _KEPT
    assert not empty, "furnish does not know them: let it, or keep them"
    await shop.catalog.resets.reset(MERCHANT, USAGE, NOW)
    kept = {name for name, count in (await rows(shop)).items() if count} - _KEPT
    assert kept == _OF_CATALOG
    assert {name: (await rows(shop))[name] for name in _OF_CATALOG} == {n: before[n] for n in _OF_CATALOG}
    await shop.catalog.resets.reset(MERCHANT, EVERYTHING, NOW)
    assert {name for name, count in (await rows(shop)).items() if count} <= _KEPT
    for path in ("/v0/products", "/v0/billableMetrics", "/v0/costs"):
        assert (await shop.get(path, merchantId=MERCHANT))["data"] == []
    assert await shop.catalog.products.ensure(MERCHANT, "prod_a")
    assert len((await shop.get("/v0/products"))["data"]) == 1


async def test_nothing_of_another_merchant_goes(shop: Shop) -> None:
    customer = await furnish(shop)
    before = await rows(shop)
    await shop.catalog.mark_merchant(OTHER_MERCHANT, sandbox=True)
    with pytest.raises(NotFound):
        await shop.catalog.resets.reset(OTHER_MERCHANT, OneCustomer(customer), NOW)
    await shop.catalog.resets.reset(OTHER_MERCHANT, EVERYTHING, NOW)
    after = await rows(shop)
    assert after == before | {"tombstones": 1}
    assert not await shop.catalog.resets.tombstones(MERCHANT)


async def test_a_customer_goes_with_what_is_attached_to_it(shop: Shop) -> None:
    customer = await furnish(shop)
    await shop.customer(consumer=customer_body()["consumer"] | {"email": "o@example.com"}, externalId="other")  # type: ignore[operator] # it is a dict
    before = await rows(shop)
    await shop.catalog.resets.reset(MERCHANT, OneCustomer(customer), NOW)
    after = await rows(shop)
    gone = {name for name in before if after[name] < before[name]}
    assert gone == {
        "customers", "subscriptions", "subscription_versions", "entitlements", "grants", "grant_purchases",
        "webhook_marks", "price_intervals", "price_closures", "interval_changes",
    }  # fmt: skip
    assert after["customers"] == 1
    assert (await shop.client.get(f"/v0/customers/{customer}")).status_code == 404
    await shop.catalog.resets.reset(MERCHANT, OneCustomer(customer), NOW)
    with pytest.raises(NotFound):
        await shop.catalog.resets.reset(MERCHANT, OneCustomer("cus_nobody"), NOW)


async def test_a_merchant_that_is_not_marked_is_left_alone(shop: Shop) -> None:
    await furnish(shop)
    await shop.catalog.mark_merchant(MERCHANT, sandbox=False)
    before = await rows(shop)
    for scope in (USAGE, EVERYTHING, OneCustomer("cus_nobody")):
        with pytest.raises(Forbidden, match="--sandbox"):
            await shop.catalog.resets.reset(MERCHANT, scope, NOW)
    assert await rows(shop) == before
    with pytest.raises(NotFound):
        await shop.catalog.mark_merchant("org_nobody", sandbox=True)


async def test_what_a_reset_deleted_meanwhile_is_told_no_more(shop: Shop) -> None:
    await _held(shop)
    await shop.catalog.resets.reset(MERCHANT, USAGE, NOW)
    before = await rows(shop)
    assert before["webhook_marks"] == before["webhook_deliveries"] == 0
    entitlement = (await held(shop))["id"]
    [look] = await shop.catalog.looks.due(NOW + DAY, NOW + 2 * DAY, 10)
    await shop.catalog.resets.reset(MERCHANT, USAGE, NOW)
    notice = Notice(
        id="msg_late", merchant_id=MERCHANT, type=NoticeType.RESET, at=NOW, payload="{}",
        mark=Mark(entitlement, "m"),
    )  # fmt: skip
    assert await shop.catalog.looks.looked([Looked(look, Span(NOW, NOW), (notice,), NOW)], NOW) == 0


# --- positions ---


async def test_a_tombstone_stands_after_all_that_was_planned_and_after_earlier_ones(shop: Shop) -> None:
    ledger = shop.catalog.ledger(LOG, [0, 1])
    first = await shop.catalog.resets.reset(MERCHANT, USAGE, NOW)
    assert NOW < first < NOW + SECOND
    second = await shop.catalog.resets.reset(MERCHANT, USAGE, NOW - SECOND)
    assert second > first
    await ledger.plan(await ledger.claim(0), 9, NOW + SECOND)
    planned = await ledger.plan(await ledger.claim(1), 9, NOW - DAY)
    third = await shop.catalog.resets.reset(MERCHANT, USAGE, NOW)
    assert third == NOW + SECOND + 1
    await ledger.plan(await ledger.advance(planned), 19, NOW + 9 * SECOND)
    with pytest.raises(Conflict, match="to come"):
        await shop.catalog.resets.reset(MERCHANT, USAGE, NOW)
    assert (await shop.catalog.resets.tombstones(MERCHANT)).instants() == [0, first, second, third]


async def test_nothing_that_a_tombstone_does_not_hide_is_planned_without_it(shop: Shop) -> None:
    """Each batch is received before it is planned; of the two at once, either comes first."""
    ledgers = [shop.catalog.ledger(LOG, range(4)) for _ in range(4)]
    lives = [await ledger.claim(partition) for partition, ledger in enumerate(ledgers)]
    for round in range(1, 16):
        at = NOW + round * SECOND

        async def plan(ledger: ProgressLedger, live: Progress, at: int = at) -> Progress:
            return await ledger.plan(live, live.next_offset, at)

        reset = shop.catalog.resets.reset(MERCHANT, USAGE, at - SECOND)
        position, *planned = await asyncio.gather(reset, *map(plan, ledgers, lives))
        assert isinstance(position, int)
        for one in planned:
            assert isinstance(one, Progress)
            assert one.catalog_version is not None
            known = (await shop.catalog.tombstones(one.catalog_version)).get(MERCHANT)
            assert at < position or (known is not None and known.since == position)
        lives = [await ledger.advance(one) for ledger, one in zip(ledgers, planned, strict=True)]  # type: ignore[arg-type] # they are Progress


# --- versions ---


async def test_what_was_counted_is_shown_no_more_at_once(shop: Shop) -> None:
    id, ledger = await shop.metric(), shop.catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    await run_backfills(ledger, live)
    assert await shown(shop, id) == (1, "active")
    cost = (await shop.cost())["id"]
    await shop.catalog.resets.reset(MERCHANT, USAGE, NOW)
    assert (await shown(shop, id), await shown(shop, cost)) == ((2, "building"), (2, "building"))
    await run_backfills(ledger, live)
    assert (await shown(shop, id), await shown(shop, cost)) == ((2, "active"), (2, "active"))
    await shop.catalog.resets.reset(MERCHANT, EVERYTHING, NOW)
    planned = await ledger.plan(live, 149)
    assert await versions_at(shop.catalog, planned.catalog_version) == []


async def test_what_others_used_is_shown_until_it_is_counted_anew(shop: Shop) -> None:
    id, customer = await shop.metric(), await shop.customer(externalId="acme")
    ledger = shop.catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    await run_backfills(ledger, live)
    position = await shop.catalog.resets.reset(MERCHANT, OneCustomer(customer), NOW)
    assert await shown(shop, id) == (1, "active")
    with pytest.raises(Conflict, match="a reset hides"):
        await shop.catalog.versions(LOG).cancel(MERCHANT, id, 2)
    [backfill] = await ledger.backfills(live)
    hides = partial(backfill.definition.tombstones.hidden_by, received_at=position - 1)
    assert (hides(customer, ""), hides("", "acme"), hides("cus_b", "acme")) == (position, position, None)
    await run_backfills(ledger, live)
    assert await shown(shop, id) == (2, "active")


async def test_a_version_counts_by_what_was_hidden_when_it_appeared(shop: Shop) -> None:
    id, ledger = await shop.metric(), shop.catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    await run_backfills(ledger, live)
    pending = await ledger.plan(live, 149)
    position = await shop.catalog.resets.reset(MERCHANT, USAGE, NOW)
    assert pending.catalog_version is not None
    [before] = await shop.catalog.at(pending.catalog_version)
    assert (before.version, before.tombstones.since) == (1, 0)
    assert await shop.catalog.tombstones(pending.catalog_version) == {}
    planned = await ledger.plan(await ledger.advance(pending), 199)
    assert planned.catalog_version is not None
    [after] = await shop.catalog.at(planned.catalog_version)
    assert (after.version, after.tombstones.since) == (2, position)
    assert (await shop.catalog.tombstones(planned.catalog_version))[MERCHANT].since == position
    await shop.changed(f"/v0/billableMetrics/{id}", eventType="other")
    later = await shop.catalog.at(await shop.catalog.newest())
    assert {one.version: one.tombstones.since for one in later}[3] == position


async def shown(shop: Shop, id: str) -> tuple[int, str]:
    found = (await shop.catalog.metrics.get(MERCHANT, id)).shown
    return found.definition.version, found.state.value
