"""A kill at every step of the protocol while two aggregators share the partitions, live and in replays.

One is killed at each point in turn that a batch or a backfill passes. What it left half done another takes
over, and replays; that one is killed at each point in turn that a replay passes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Final

import pytest

from aggregator.insertion import FAULT_POINTS, REPLAY_POINTS
from tests.faults.load import Load
from tests.running import wait_for
from tests.servers.distributed import Distributed

pytestmark = pytest.mark.faults

_FIRST: Final = "aggregator-1"
_OTHER: Final = "aggregator-2"


def test_a_kill_at_any_step_is_taken_over_without_loss(distributed: Distributed) -> None:
    live = [point for point in FAULT_POINTS if not point.startswith("backfill:")]
    backfill = [point for point in FAULT_POINTS if point.startswith("backfill:")]
    replay = [point for point in REPLAY_POINTS if not point.startswith("replay:backfill:")]
    replayed_backfill = [point for point in REPLAY_POINTS if point.startswith("replay:backfill:")]
    with Load(distributed, clients=3, pause=1.0) as load:
        _kill_at_each(distributed, live, replay, _nothing)
        _kill_at_each(distributed, backfill, replayed_backfill, load.create_late)
        distributed.put_right()
    load.assert_exact()
    distributed.check()


def _nothing() -> None:
    """The load alone brings an aggregator to every point of a batch."""


def _kill_at_each(
    distributed: Distributed, points: Sequence[str], replays: Sequence[str], act: Callable[[], object]
) -> None:
    """Kill one aggregator at each of `points`, again from the first while the other is still to be killed.

    Once the one is up and has partitions, `act` is called.
    """
    left, replays_left, around = len(points), deque(replays), cycle(points)
    for name in (_FIRST, _OTHER):
        distributed.kill(name)
    while left > 0 or replays_left:
        distributed.start(_FIRST, ready=False, METERHOUSE_FAULT=f"{next(around)}:1")
        if not distributed.runs(_OTHER):
            fault = f"{replays_left[0]}:1" if replays_left else ""
            distributed.start(_OTHER, ready=False, METERHOUSE_FAULT=fault)
        wait_for(lambda: _has_claimed(distributed) or not distributed.runs(_FIRST), "partitions are claimed")
        act()
        distributed.wait_until_killed(_FIRST)
        left -= 1
        if replays_left and not distributed.runs(_OTHER):
            distributed.wait_until_killed(_OTHER)
            replays_left.popleft()


def _has_claimed(distributed: Distributed) -> bool:
    return '"claimed"' in distributed.words(_FIRST)
