"""Operations of the contract that meterhouse has not."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import AsyncIterator

import paygentic_sdk
import pytest

from query.contract import OPERATIONS, Operation
from query.not_offered import offered
from query.routes import ROUTERS
from tests.shop import Shop

_EVERY = [one for operations in OPERATIONS.values() for one in operations]
_REFUSED = [one for _, one, is_offered in offered(ROUTERS) if not is_offered]

# The ingest service has a route of its own, and tests of it.
_ANSWERED = [one for one in _EVERY if one not in _REFUSED and one.accessor != "events.ingest"]


@pytest.fixture
async def shop(sqlite_url: str) -> AsyncIterator[Shop]:
    async with Shop.open(sqlite_url) as shop:
        yield shop


def test_the_published_client_has_exactly_these_operations() -> None:
    found = set()
    for module in pkgutil.iter_modules(paygentic_sdk.__path__, "paygentic_sdk."):
        source = inspect.getsource(importlib.import_module(module.name)) if not module.ispkg else ""
        found |= set(re.findall(r'method="([A-Z]+)",\s*path="([^"]+)"', source))
    assert found == {(one.method, one.path) for one in _EVERY}


@pytest.mark.anyio
async def test_what_is_not_offered_says_so_to_who_has_a_key(shop: Shop) -> None:
    for one in _REFUSED:
        path = re.sub(r"\{[^}]*\}", "x_1", one.path)
        response = await shop.client.request(one.method, path)
        assert response.status_code == 501, (one, response.text)
        body = response.json()
        assert (body["error"], one.accessor in body["message"]) == ("not_implemented", True)
        assert "not offered by meterhouse" in body["message"]
        nobody = await shop.client.request(one.method, path, headers={"authorization": "Bearer no"})
        assert nobody.status_code == 401


@pytest.mark.anyio
@pytest.mark.parametrize("one", _ANSWERED, ids=lambda one: one.accessor)
async def test_what_is_offered_is_answered(shop: Shop, one: Operation) -> None:
    response = await shop.client.request(one.method, re.sub(r"\{[^}]*\}", "x_1", one.path), json={})
    assert response.status_code in (200, 201, 400, 404), response.text
