"""Catalogs behind the query service, and for tests that a fake has to pass too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.servers.catalogs import CatalogStore
from tests.shop import Shop


@pytest.fixture
async def shop(store: CatalogStore) -> AsyncIterator[Shop]:
    async with Shop.open(store.url) as shop:
        yield shop


@pytest.fixture
async def quick(sqlite_url: str) -> AsyncIterator[Shop]:
    """For what no database has a part in."""
    async with Shop.open(sqlite_url) as shop:
        yield shop


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def url_or_none(request: pytest.FixtureRequest) -> str | None:
    """Of an empty catalog's database; none for the fake, which has no database."""
    return None if request.param == "memory" else request.getfixturevalue(f"{request.param}_url")
