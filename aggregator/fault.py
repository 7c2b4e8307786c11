"""Faults that a process places in itself, for tests."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Final

Fault = Callable[[str], None]

_STOP: Final = ":stop"


def no_fault(point: str) -> None:
    """The fault hook of every worker that is not being tested."""


@cache
def fault_of(text: str) -> Fault:
    """Strike this process at the n-th passing of a point: "planned:3" kills it, "planned:3:stop" halts it.

    A halted process goes on after a SIGCONT. All workers of the process pass the same points, so the same
    text is the same hook. Without text, nothing ever happens.
    """
    name, _, number = text.removesuffix(_STOP).rpartition(":")
    strike = signal.SIGSTOP if text.endswith(_STOP) else signal.SIGKILL
    passed: Counter[str] = Counter()

    def pass_by(point: str) -> None:
        passed[point] += 1
        if point == name and passed[point] == int(number):
            os.kill(os.getpid(), strike)

    return pass_by if text else no_fault
