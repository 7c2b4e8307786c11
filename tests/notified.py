"""A merchant that is told: a shop with webhooks, whoever finds what there is to tell, and receivers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from prometheus_client import CollectorRegistry

from meterhouse.domain.instant import HOUR
from meterhouse.domain.rollup import Reading
from meterhouse.domain.webhook import Answer, Answered
from meterhouse.ports.usage import Changed
from meterhouse.telemetry.instruments import NotifierInstruments
from notifier.delivery import Courier
from notifier.watch import Watch
from query.entitlements.sightings import BalanceObserver
from tests.api import decode
from tests.fakes_query import MERCHANT
from tests.shop import Json, Shop


@dataclass
class News:
    """Implements UsageNews and Watermark over subjects in the order of the log of one partition."""

    subjects: list[Changed] = field(default_factory=list)

    def add(self, subject: str, namespace: str = MERCHANT) -> None:
        self.subjects.append(Changed(namespace, subject, ""))

    async def changed(
        self, partition: int, start: int, end: int, namespaces: Collection[str]
    ) -> Sequence[Changed]:
        assert partition == 0
        found = self.subjects[start:end]
        return sorted({one for one in found if one.namespace in namespaces})

    async def counted(self) -> Mapping[int, int]:
        return {0: len(self.subjects)}


@dataclass
class Receiver:
    """Implements Carrier: remembers what it got, and answers what `answers` says next, else 200."""

    got: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    answers: list[Answer | Exception] = field(default_factory=list)

    async def carry(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.got.append((url, headers, body))
        answer = self.answers.pop(0) if self.answers else Answered(200)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def types(self) -> list[str]:
        return [decode(body)["type"] for _, _, body in self.got]


def watch_of(shop: Shop, news: News) -> Watch:
    """Who finds what there is to tell in that shop."""
    return Watch(
        looks=shop.catalog.looks,
        news=news,
        watermark=news,
        observer=BalanceObserver(shop.holdings, shop.catalog.metrics),
        clock=shop.clock,
        log_id="log",
        instruments=NotifierInstruments(CollectorRegistry()),
        sweep=HOUR,
    )


def courier_of(shop: Shop, receiver: Receiver) -> Courier:
    """Who delivers it."""
    return Courier(
        outbox=shop.catalog.deliveries,
        carrier=receiver,
        clock=shop.clock,
        instruments=NotifierInstruments(CollectorRegistry()),
    )


async def deliver_all(courier: Courier) -> None:
    """Deliver what is due now, and what becomes due by that."""
    while True:
        async with asyncio.TaskGroup() as group:
            taken = await courier.deliver(group)
        if not taken:
            return


async def told(shop: Shop, **wanted: str) -> list[Json]:
    """What the merchant's notices say, oldest first."""
    listed = await shop.get("/api/v1/webhooks/deliveries", limit="100", **wanted)
    found: list[dict[str, Any]] = []
    for one in reversed(listed["data"]):
        whole = await shop.get(f"/api/v1/webhooks/deliveries/{one['id']}")
        found.append(decode(whole["payload"].encode()))
    return found


async def listen(shop: Shop, **fields: object) -> Json:
    """Turn webhooks on, with one endpoint."""
    assert (await shop.client.post("/v0/webhooks")).status_code == 201
    return await shop.made("/api/v1/webhooks/endpoints", {"url": "https://example.com/hooks"} | fields)


async def held(shop: Shop, **fields: object) -> Json:
    """A metered entitlement of a new customer, but for `fields`."""
    metric = await shop.metric()
    name = metric[3:].lower()
    consumer = {"name": name, "email": f"{name}@example.com", "address": {}}
    wanted: Json = {
        "customerId": await shop.customer(consumer=consumer),
        "featureId": await shop.feature(
            key=f"key-{name}", type="metered", metadata={"billableMetricId": metric}
        ),
        "template": {"type": "metered", "issueAfterReset": 100, "usagePeriod": {"interval": "P1M"}},
    }
    return await shop.made("/v1/entitlements", wanted | fields)


def used(shop: Shop, amount: int) -> None:
    """Let so much be used of everything, in its first phase."""
    shop.phases.reading = Reading(count=1, sum=Decimal(amount))
