"""How the writer's thread answers coroutines: all answers of one commit with one wake-up an event loop.

A wake-up costs a system call, and an event loop that is woken once a caller spends its time waking up.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import AbstractEventLoop, Future
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What a waiting future gets: a result, or the error that its caller shall see."""

    future: Future[Any]
    result: object = None
    error: BaseException | None = None


def deliver(answers: Iterable[Answer]) -> None:
    """Hand every answer to its future in the future's own event loop. Callable from any thread."""
    loops: dict[AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        loops.setdefault(answer.future.get_loop(), []).append(answer)
    for loop, its_own in loops.items():
        # A closed loop has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, its_own)


def _settle(answers: list[Answer]) -> None:
    for answer in answers:
        if answer.future.done():  # its caller was cancelled
            continue
        if answer.error is None:
            answer.future.set_result(answer.result)
        else:
            answer.future.set_exception(answer.error)


def expect() -> Future[Any]:
    """A future of the running event loop."""
    return asyncio.get_running_loop().create_future()
