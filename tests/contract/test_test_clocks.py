"""Test clocks over HTTP and a real catalog (contract 3.8)."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.fakes_query import MERCHANT, OTHER_MERCHANT
from tests.shop import Json, Shop, fields_of

pytestmark = pytest.mark.anyio

PATH = "/v0/testClocks"


async def refusal(shop: Shop, id: str, body: Json) -> list[str]:
    response = await shop.patched(f"{PATH}/{id}", body)
    return fields_of(response)


async def test_a_clock_stands_where_it_is_put_also_in_the_past(shop: Shop) -> None:
    asked = {"currentTime": "1999-12-31T23:59:59.999999Z", "name": "n", "description": "d"}
    made = await shop.made(PATH, asked | {"merchantId": MERCHANT})
    assert re.fullmatch(r"tc_[A-Za-z0-9]{16}", made["id"])
    assert made == asked | {
        "id": made["id"],
        "merchantId": MERCHANT,
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
        "deletedAt": None,
    }
    assert await shop.get(f"{PATH}/{made['id']}") == made


async def test_a_clock_stands_at_now_unless_it_is_told(shop: Shop) -> None:
    made = await shop.made(PATH, {})
    assert made["currentTime"] == made["createdAt"]
    assert (made["name"], made["description"]) == (None, None)


async def test_a_clock_advances_to_an_instant_or_by_a_duration(shop: Shop) -> None:
    made = await shop.made(PATH, {"currentTime": "2024-01-31T12:00:00Z"})
    path = f"{PATH}/{made['id']}"
    leap = await shop.changed(path, advanceBy="P1M")
    assert leap["currentTime"] == "2024-02-29T12:00:00Z"
    assert leap["updatedAt"] > made["updatedAt"]
    assert (await shop.changed(path, advanceBy="P1DT2H3M4S"))["currentTime"] == "2024-03-01T14:03:04Z"
    told = await shop.changed(path, currentTime="2024-03-01T14:03:04.000001Z")
    assert told["currentTime"] == "2024-03-01T14:03:04.000001Z"
    assert (await shop.changed(path, advanceBy="P10Y"))["currentTime"] == "2034-03-01T14:03:04.000001Z"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"currentTime": "2026-05-01T00:00:00Z"}, "currentTime"),  # where it stands
        ({"currentTime": "2026-04-30T23:59:59.999999Z"}, "currentTime"),
        ({"currentTime": "2036-05-01T00:00:00.000001Z"}, "currentTime"),
        ({"currentTime": "2200-01-01T00:00:00Z"}, "currentTime"),
        ({"currentTime": 1_800_000_000}, "currentTime"),
        ({"advanceBy": "P10YT1S"}, "advanceBy"),
        ({"advanceBy": "P999999999Y"}, "advanceBy"),
        ({"advanceBy": "P0D"}, "advanceBy"),
        ({"advanceBy": "P"}, "advanceBy"),
        ({"advanceBy": "-P1D"}, "advanceBy"),
        ({"advanceBy": "1 month"}, "advanceBy"),
        ({"advanceBy": 5}, "advanceBy"),
        ({}, "currentTime"),
        ({"currentTime": "2026-06-01T00:00:00Z", "advanceBy": "P1M"}, "currentTime"),
    ],
)
async def test_a_clock_that_cannot_advance_so_stays(shop: Shop, body: Json, field: str) -> None:
    made = await shop.made(PATH, {"currentTime": "2026-05-01T00:00:00Z"})
    assert await refusal(shop, made["id"], body) == [field]
    assert await shop.get(f"{PATH}/{made['id']}") == made


async def test_no_clock_goes_beyond_the_instants_that_there_are(shop: Shop) -> None:
    made = await shop.made(PATH, {"currentTime": "2199-12-31T23:59:59Z"})
    assert await refusal(shop, made["id"], {"advanceBy": "PT1S"}) == ["advanceBy"]


async def test_advances_at_once_all_count(shop: Shop) -> None:
    made = await shop.made(PATH, {"currentTime": "2026-05-01T00:00:00Z"})
    path = f"{PATH}/{made['id']}"
    await asyncio.gather(*[shop.changed(path, advanceBy="P1D") for _ in range(5)])
    assert (await shop.get(path))["currentTime"] == "2026-05-06T00:00:00Z"


async def test_a_deleted_clock_can_be_read_and_nothing_else(shop: Shop) -> None:
    made = await shop.made(PATH, {"currentTime": "2026-05-01T00:00:00Z"})
    kept = await shop.made(PATH, {})
    path = f"{PATH}/{made['id']}"
    response = await shop.client.delete(path)
    assert response.status_code == 200, response.text
    deleted = response.json()
    assert deleted == made | {"deletedAt": deleted["deletedAt"], "updatedAt": deleted["deletedAt"]}
    assert deleted["deletedAt"] is not None
    assert await shop.get(path) == deleted
    assert (await shop.client.delete(path)).status_code == 404
    assert (await shop.patched(path, {"advanceBy": "P1D"})).status_code == 404
    listed = await shop.get(PATH)
    assert listed["data"] == [kept]
    assert listed["pagination"] == {"limit": 10, "offset": 0, "total": 1}


async def test_clocks_are_listed_oldest_first_and_page_by_page(shop: Shop) -> None:
    made = [await shop.made(PATH, {"name": str(one)}) for one in range(3)]
    listed = await shop.get(PATH, merchantId=MERCHANT, limit="2", offset="1")
    assert listed["data"] == made[1:]
    assert listed["pagination"] == {"limit": 2, "offset": 1, "total": 3}
    for limit in ("0", "101"):
        assert (await shop.client.get(PATH, params={"limit": limit})).status_code == 400


async def test_another_merchant_s_clocks_are_not_there(shop: Shop) -> None:
    made = await shop.made(PATH, {"currentTime": "2026-05-01T00:00:00Z"})
    path = f"{PATH}/{made['id']}"
    assert (await shop.stranger.get(path)).status_code == 404
    assert (await shop.stranger.patch(path, json={"advanceBy": "P1D"})).status_code == 404
    assert (await shop.stranger.delete(path)).status_code == 404
    assert (await shop.stranger.get(PATH)).json()["data"] == []
    for asked in (
        shop.posted(PATH, {"merchantId": OTHER_MERCHANT}),
        shop.client.get(PATH, params={"merchantId": OTHER_MERCHANT}),
    ):
        assert (await asked).status_code == 403
    assert await shop.get(path) == made


async def test_a_clock_of_nonsense_is_refused_by_field(shop: Shop) -> None:
    for body, field in (
        ({"currentTime": "1969-12-31T23:59:59Z"}, "currentTime"),
        ({"name": "a\nb"}, "name"),
        ({"name": 1}, "name"),
        ({"description": "\x00"}, "description"),
        ({"merchantId": "nobody"}, "merchantId"),
    ):
        response = await shop.posted(PATH, body)
        assert response.status_code == 400, response.text
        assert [one["field"] for one in response.json()["errors"]] == [field]
    assert (await shop.client.get(f"{PATH}/tc_ä")).status_code == 404
