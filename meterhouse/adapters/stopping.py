"""Waiting that a stop of the process cuts short."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol


class Stop(Protocol):
    """An `asyncio.Event`, or anything that waits like one."""

    def is_set(self) -> bool: ...

    async def wait(self) -> object: ...


async def wait_for(stop: Stop, seconds: float) -> None:
    """Wait that long, or until `stop` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
