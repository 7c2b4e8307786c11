"""Where the log ends, and who waits for it to grow."""

from __future__ import annotations

import asyncio
import threading
from asyncio import Future

from meterhouse.adapters.sqlite_log.answers import Answer, expect


class Growth:
    """The committed end of the log: the writer's thread moves it, coroutines of any loop wait for it."""

    def __init__(self, end: int) -> None:
        self._lock = threading.Lock()
        self._end = end
        self._waiting: dict[Future[None], int] = {}

    def grow_to(self, end: int) -> list[Answer]:
        """Move the end, and return the answers due to those who waited for an offset before it."""
        with self._lock:
            self._end = end
            due = [future for future, offset in self._waiting.items() if offset < end]
            for future in due:
                del self._waiting[future]
        return [Answer(future) for future in due]

    async def past(self, offset: int, seconds: float) -> bool:
        """True as soon as the end lies after `offset`, False after `seconds`."""
        with self._lock:
            if offset < self._end:
                return True
            future = expect()
            self._waiting[future] = offset
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiting.pop(future, None)
        return True
