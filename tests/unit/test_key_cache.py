"""A key that is valid is never called unknown, however late the catalog's answer arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.engines import DatabaseLimits
from meterhouse.adapters.catalog.key_cache import KeyCache, key_hash

T = TypeVar("T")

_PATIENCE = 0.4  # seconds that the cache waits for the catalog


class SlowDatabase(Database):
    """Answers every question with one valid key, `seconds` after it was asked."""

    def __init__(self, seconds: float) -> None:
        super().__init__("sqlite:////nowhere/catalog.sqlite3", DatabaseLimits())
        self.seconds = seconds

    def start_read(self, work: Callable[[Session], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        loop.call_later(self.seconds, answer.set_result, [(key_hash("mh_a").hex(), "org_a", None, 1)])
        return answer


@pytest.mark.anyio
async def test_an_answer_in_the_very_moment_that_patience_ends_is_heard() -> None:
    asked = asyncio.create_task(KeyCache(SlowDatabase(_PATIENCE + 0.01)).merchant_of("mh_a"))
    await asyncio.sleep(0)
    time.sleep(_PATIENCE + 0.1)  # noqa: ASYNC251 # a busy machine: both are overdue when the loop goes on
    assert await asked == "org_a"
