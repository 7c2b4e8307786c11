"""Aggregators join and leave all the time, in order and by crashes: nothing is lost or counted twice."""

from __future__ import annotations

import time
from random import Random
from typing import Final

import pytest

from tests.faults.load import Load
from tests.servers.distributed import Distributed

pytestmark = pytest.mark.faults

_MEMBERS: Final = ("aggregator-1", "aggregator-2", "aggregator-3", "aggregator-4")
_CHANGES: Final = 16


def test_members_that_come_and_go_lose_and_double_nothing(distributed: Distributed) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    random = Random(seed)
    with Load(distributed) as load:
        for change in range(_CHANGES):
            load.wait(random.uniform(0.5, 2.5))
            running = [name for name in _MEMBERS if distributed.runs(name)]
            absent = [name for name in _MEMBERS if name not in running]
            if change == _CHANGES // 2:
                load.create_late()
            # One at least stays, so that there is always somebody to take over.
            if len(running) > 1 and (not absent or random.random() < 0.5):
                leave = random.choice((distributed.stop, distributed.kill))
                leave(random.choice(running))
            else:
                distributed.start(random.choice(absent), ready=False)
    load.assert_exact()
    distributed.check()
