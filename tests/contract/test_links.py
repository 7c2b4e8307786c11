"""What every catalog must do for signed links."""

from __future__ import annotations

import asyncio

import pytest

from meterhouse.adapters.catalog.store import Catalog
from tests.servers.catalogs import CatalogStore

pytestmark = pytest.mark.anyio


async def test_there_is_one_key_for_all_processes_and_for_ever(store: CatalogStore) -> None:
    async with Catalog.open(store.url) as one, Catalog.open(store.url) as other:
        keys = await asyncio.gather(*[catalog.links.key() for catalog in (one, other) * 4])
    async with Catalog.open(store.url) as later:
        keys.append(await later.links.key())
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32


async def test_a_merchant_is_served_while_a_key_of_it_works(store: CatalogStore) -> None:
    async with Catalog.open(store.url) as catalog:
        await catalog.ensure_merchant("org_none")
        first, _ = await catalog.create_key("org_a", "")
        second, _ = await catalog.create_key("org_a", "")
        assert not await catalog.links.is_served("org_none")
        await catalog.revoke_key(first.id)
        assert await catalog.links.is_served("org_a")
        await catalog.revoke_key(second.id)
        assert not await catalog.links.is_served("org_a")
