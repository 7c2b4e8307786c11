"""Faults that a process places in itself, for tests."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable

Fault = Callable[[str], None]


def no_fault(point: str) -> None:
    """The fault hook of every worker that is not being tested."""


def fault_of(text: str) -> Fault:
    """Kill this process at the n-th passing of a point ("planned:3"); without text, never."""
    name, _, number = text.rpartition(":")
    passed: Counter[str] = Counter()

    def pass_by(point: str) -> None:
        passed[point] += 1
        if point == name and passed[point] == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    return pass_by if text else no_fault
