"""Definitions change, changes are cancelled, and aggregators are killed while the backfills run."""

from __future__ import annotations

import time
from random import Random
from typing import Any, Final

import pytest

from tests.api import Api
from tests.faults.load import Load
from tests.servers.distributed import Distributed

pytestmark = pytest.mark.faults

_AGGREGATORS: Final = ("aggregator-1", "aggregator-2")
_KILLS: Final = 12
_STORED: Final = 3_000  # events, before the first change


def test_what_a_backfill_counts_outlives_kills_changes_and_cancels(distributed: Distributed) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    random = Random(seed)
    with Load(distributed, pause=0.2) as load, distributed.api() as api:
        while load.acknowledged < _STORED:
            load.wait(0.2)
        load.wait_until_counted()
        metrics = [load.create_late(), load.create_late()]
        cancelled = 0
        for value, name in zip(("$.v", "$.w") * (_KILLS // 2), _AGGREGATORS * (_KILLS // 2), strict=True):
            _define(api, metrics[0], value)
            load.wait(random.uniform(0.0, 1.5))
            distributed.kill(name)
            cancelled += _cancel(api, metrics[0]) if random.random() < 0.5 else 0
            distributed.start(name, ready=False)
        print(f"{cancelled} cancelled")
        _define(api, metrics[0], "$.w")
    load.assert_exact()
    with distributed.api() as api:
        for metric in metrics:
            newest, *older = _versions(api, metric)
            assert newest["state"] == "active"
            assert newest["recordsCounted"] == newest["recordsTotal"]
            assert {one["state"] for one in older} <= {"retired", "dropped"}
    distributed.check()


def _define(api: Api, metric: str, value: str) -> None:
    changed = api.client.patch(f"/v0/billableMetrics/{metric}", json={"valueProperty": value})
    assert changed.status_code == 200, changed.text


def _versions(api: Api, metric: str) -> list[dict[str, Any]]:
    """Newest first."""
    answer = api.client.get(f"/api/v1/billable-metrics/{metric}/versions")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def _cancel(api: Api, metric: str) -> bool:
    """Cancel the newest version; False where it is complete already, or the only one."""
    newest = _versions(api, metric)[0]["version"]
    answer = api.client.post(f"/api/v1/billable-metrics/{metric}/versions/{newest}/cancel")
    assert answer.status_code in (200, 409), answer.text
    return bool(answer.status_code == 200)
