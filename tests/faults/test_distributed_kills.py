"""Aggregators and ingest processes of the distributed form are killed at random moments under load.

Kafka, PostgreSQL and ClickHouse go on; what is killed is started again. Nothing is lost and nothing counts
twice.
"""

from __future__ import annotations

import time
from random import Random
from typing import Final

import pytest

from tests.faults.load import Load
from tests.faults.posting import create, metrics_of
from tests.running import PATIENCE
from tests.servers.distributed import PARTITIONS, Distributed, ctl

pytestmark = pytest.mark.faults

_KILLS: Final = 30
_VICTIMS: Final = ("aggregator-1", "aggregator-2", "aggregator-1", "aggregator-2", "ingest-1", "ingest-2")


def test_killed_processes_lose_and_double_nothing(distributed: Distributed) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    random = Random(seed)
    with Load(distributed) as load:
        for kill in range(_KILLS):
            load.wait(random.uniform(0.0, 1.0))
            victim = random.choice(_VICTIMS)
            distributed.kill(victim)
            if kill == _KILLS // 2:
                load.create_late()
            distributed.start(victim, ready=False)  # killed while it starts, too
    print(f"{load.acknowledged} acknowledged")
    load.assert_exact()
    distributed.check()


def test_the_partitions_of_a_dead_aggregator_are_counted_by_another(distributed: Distributed) -> None:
    with distributed.api() as api:
        metric = create(api, metrics_of("fault.takeover")["COUNT"])
        ctl("kill", "aggregator-1", folder=distributed.folder)
        try:
            api.ingest(*_events(100))  # enough to meet every partition, those of the dead one among them
            assert len(api.positions) == PARTITIONS
            period = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "after": api.position}
            deadline = time.monotonic() + PATIENCE  # benchmarks say how long it takes
            status = 504
            while status == 504 and time.monotonic() < deadline:
                status = api.client.get(f"/v0/billableMetrics/{metric}/meter", params=period).status_code
            assert status == 200
        finally:
            ctl("start", "aggregator-1", folder=distributed.folder)


def _events(count: int) -> list[dict[str, object]]:
    return [
        {
            "specversion": "1.0",
            "id": f"takeover-{number}",
            "source": "/faults",
            "type": "fault.takeover",
            "subject": "cus_1",
            "time": "2026-01-01T00:00:00Z",
            "data": {},
        }
        for number in range(count)
    ]
