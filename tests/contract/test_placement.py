"""Which shard a partition lies on: decided once, evenly, and the same for whoever asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from meterhouse.adapters.catalog.store import Catalog
from tests.servers.catalogs import CatalogStore

pytestmark = pytest.mark.anyio

LOG = "log-1"


@pytest.fixture
async def catalog(store: CatalogStore) -> AsyncIterator[Catalog]:
    async with Catalog.open(store.url) as catalog:
        yield catalog


async def test_partitions_are_spread_evenly(catalog: Catalog) -> None:
    placement = catalog.placement(LOG)
    given = [await placement.shard_of(partition, [1, 2, 3]) for partition in range(12)]
    assert Counter(given) == {1: 4, 2: 4, 3: 4}


async def test_a_partition_stays_where_it_is_when_shards_come_and_go(catalog: Catalog) -> None:
    placement = catalog.placement(LOG)
    before = [await placement.shard_of(partition, [1, 2]) for partition in range(4)]
    assert [await placement.shard_of(partition, [2, 3]) for partition in range(4)] == before
    assert [await placement.shard_of(partition, [1, 2, 3]) for partition in (4, 5)] == [3, 3]


async def test_another_log_has_places_of_its_own(catalog: Catalog) -> None:
    assert await catalog.placement(LOG).shard_of(0, [2]) == 2
    assert await catalog.placement("log-2").shard_of(0, [1]) == 1


async def test_all_who_ask_at_once_get_the_same_answer(catalog: Catalog, store: CatalogStore) -> None:
    async with Catalog.connect(store.url) as other:
        placements = [one.placement(LOG) for one in (catalog, other)]
        asked = [one.shard_of(partition, [1, 2]) for partition in range(8) for one in placements]
        answers = await asyncio.gather(*asked)
    assert answers[::2] == answers[1::2]
    assert Counter(answers[::2]) == {1: 4, 2: 4}
