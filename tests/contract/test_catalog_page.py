"""The requests of docs/catalog.md, in their order, and the answers that the page says they get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from tests.pages import compare, exchanges, named
from tests.servers.catalogs import CatalogStore
from tests.shop import Shop

pytestmark = pytest.mark.anyio

_PAGE: Final = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text("utf-8")


async def test_the_page_tells_what_happens(store: CatalogStore) -> None:
    names: dict[str, str] = {}
    async with Shop.open(store.url) as shop:
        for method, path, body, shown in exchanges(_PAGE):
            headers = {"content-type": "application/json"}
            response = await shop.client.request(
                method, named(path, names), content=named(body, names), headers=headers
            )
            assert response.status_code < 500, response.text
            assert (response.status_code >= 400) == ('"error"' in shown), response.text
            compare(json.loads(shown), response.json(), names)
