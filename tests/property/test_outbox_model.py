"""Whatever is done in whatever order, wherever it crashes: all is told that is to be, and nothing else."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterhouse.domain.instant import DAY, HOUR, MINUTE
from meterhouse.domain.webhook import Answered, Unanswered
from tests.api import decode
from tests.notified import News, Receiver, courier_of, held, listen, told, used, watch_of
from tests.shop import Json, Shop

_POINTS: Final = ("changed", "found", "told", "claimed", "carried", "settled")
_ACTIONS: Final = ("use", "grant", "void", "look", "deliver", "refuse", "day")

Crash = tuple[str, int]


class Crashed(Exception):
    """The process is gone."""


class World:
    """A merchant with one entitlement, and processes that may die at any of their points."""

    def __init__(self, shop: Shop, crashes: Sequence[Crash]) -> None:
        self.shop = shop
        self.crashes = Counter(dict(crashes))
        self.passed: Counter[str] = Counter()
        self.news, self.receiver = News(), Receiver()
        self.entitlement: Json = {}
        self.grants: list[str] = []
        self.acts: Counter[str] = Counter()
        self.used = 0

    def fault(self, point: str) -> None:
        self.passed[point] += 1
        if self.crashes[point] == self.passed[point]:
            raise Crashed(point)

    async def begin(self) -> None:
        await listen(self.shop)
        template = {"type": "metered", "issueAfterReset": 100, "usagePeriod": {"interval": "P1D"}}
        metadata = {"balanceThresholds": "50%,10"}
        self.entitlement = await held(self.shop, template=template, metadata=metadata)
        self.acts["grant.created"] += 1

    async def act(self, action: str) -> None:
        path = f"/v1/entitlements/{self.entitlement['id']}/grants"
        match action:
            case "use":
                self.used += 30
                used(self.shop, self.used)
                self.news.add(self.entitlement["customerId"])
            case "grant":
                body = {"amount": 20, "idempotencyKey": str(self.acts["grant.created"])}
                self.grants.append((await self.shop.made(path, body))["id"])
                self.acts["grant.created"] += 1
            case "void" if self.grants:
                await self.shop.client.delete(f"{path}/{self.grants.pop()}")
                self.acts["grant.voided"] += 1
            case "look":
                await self.look()
            case "deliver" | "refuse":
                self.receiver.answers = [Answered(500), Unanswered("x")] if action == "refuse" else []
                await self.deliver()
            case "day":
                self.shop.clock.advance(DAY)

    async def look(self) -> None:
        """A process that watches for a while; it may die."""
        watch = replace(watch_of(self.shop, self.news), fault=self.fault)
        try:
            await watch.hear()
            while await watch.look():
                pass
        except Crashed:
            self.shop.clock.advance(MINUTE)  # its claims lapse

    async def deliver(self) -> None:
        """A process that delivers for a while; it may die."""
        courier = courier_of(self.shop, self.receiver)
        courier.fault = self.fault
        try:
            while True:
                async with asyncio.TaskGroup() as group:
                    if not await courier.deliver(group):
                        return
        except* Crashed:
            self.shop.clock.advance(MINUTE)

    async def finish(self) -> None:
        """Everything runs without a crash until nothing is left to do."""
        self.crashes.clear()
        self.receiver.answers = []
        self.shop.clock.advance(HOUR)
        await self.look()
        for _ in range(9):
            await self.deliver()
            self.shop.clock.advance(DAY)

    async def check(self) -> None:
        notices = await told(self.shop)
        types = Counter(one["type"] for one in notices)
        assert {name: types[name] for name in self.acts} == self.acts, "acts are told once each"
        resets = [one["timestamp"] for one in notices if one["type"] == "entitlement.reset"]
        assert len(set(resets)) == len(resets), "a reset is told once"
        marks = [_mark(one) for one in notices if "balance" in one["type"]]
        begun = 1 + self.acts["grant.created"]
        assert max(Counter(marks).values(), default=0) <= begun, "once for so many grants as there were"
        known = {decode(body)["timestamp"] for _, _, body in self.receiver.got}
        assert known == {one["timestamp"] for one in notices}, "all is delivered, and nothing else"
        got = {headers["webhook-id"]: body for _, headers, body in self.receiver.got}
        assert Counter(map(_short, map(decode, got.values()))) == Counter(map(_short, notices))
        assert {headers["webhook-id"] for _, headers, _ in self.receiver.got} == set(got)


def _mark(notice: Json) -> tuple[str, str, str]:
    entitlement = notice["data"]["entitlement"]
    return notice["type"], notice["data"].get("threshold", ""), entitlement["currentPeriodStart"]


def _short(notice: Json) -> tuple[str, str, str]:
    return notice["type"], notice["timestamp"], str(notice["data"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    actions=st.lists(st.sampled_from(_ACTIONS), min_size=3, max_size=12),
    crashes=st.lists(st.tuples(st.sampled_from(_POINTS), st.integers(1, 4)), max_size=4),
)
def test_all_is_told_and_nothing_else(actions: list[str], crashes: list[Crash]) -> None:
    asyncio.run(_run(actions, crashes))


async def _run(actions: list[str], crashes: list[Crash]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Shop.open(f"sqlite:///{folder}/catalog.sqlite3") as shop:
            world = World(shop, crashes)
            await world.begin()
            for action in actions:
                await world.act(action)
            await world.finish()
            await world.check()
