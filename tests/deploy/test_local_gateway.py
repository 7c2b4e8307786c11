"""The gateway of a local start passes on whatever arrives, as it arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import httpx
import pytest

from deploy.local.gateway import create_app
from tests.deploy.gateway import Upstream

_NOBODY: Final = "http://127.0.0.1:1"


@asynccontextmanager
async def _gateway(*, ingest: Sequence[str], query: Sequence[str]) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as behind:
        app = create_app(behind, ingest, query)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            yield client


@pytest.mark.anyio
@pytest.mark.parametrize(
    "target",
    ["/v0/prices/price_1?limit=2&x=%0A", "/v0/prices/a%0Ab", "/v0/prices/%0A", "/a%2Fb//c", "/"],
)
async def test_any_path_reaches_the_query_process_unchanged(target: str) -> None:
    with Upstream().serving() as query:
        async with _gateway(ingest=[_NOBODY], query=[f"http://{query.address}"]) as client:
            answer = await client.get(target)
    assert answer.status_code == 200
    assert [one.target for one in query.arrived] == [target]


@pytest.mark.anyio
async def test_a_process_that_is_away_is_passed_over() -> None:
    with Upstream().serving() as ingest:
        async with _gateway(ingest=[_NOBODY, f"http://{ingest.address}"], query=[_NOBODY]) as client:
            answers = [await client.post("/v0/events", content=b"{}") for _ in range(4)]
            unanswered = await client.get("/v0/products")
    assert [one.status_code for one in answers] == [200] * 4
    assert unanswered.status_code == 503
    assert unanswered.json()["error"] == "unavailable"
