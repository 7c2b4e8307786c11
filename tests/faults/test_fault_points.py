"""A kill at every step between plan and advance, and again while the step is being replayed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from aggregator.insertion import FAULT_POINTS, REPLAY_POINTS
from tests import oracle
from tests.api import Api, cloud_event
from tests.oracle import Metric
from tests.running import NotReady, Server, run_cli

pytestmark = pytest.mark.faults

_AGGREGATIONS: Final = ("SUM", "COUNT", "AVG", "MIN", "MAX", "UNIQUE_COUNT", "LATEST")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for every kill: what one leaves behind the next one meets."""
    return tmp_path_factory.mktemp("fault_points") / "data"


def _events(kind: str) -> list[dict[str, Any]]:
    """Two months, three subjects, a repeat and a conflict in the same batch."""
    events = [
        cloud_event(
            kind,
            f"{kind}/{i}",
            {"v": i, "model": "ab"[i % 2]},
            subject=f"cus_{i % 3}",
            time=f"2026-0{4 + i % 2}-30T23:{i:02}:00Z",
        )
        for i in range(40)
    ]
    return [*events, events[3], events[7] | {"data": {"v": 9999, "model": "a"}}]


def _metrics(kind: str) -> dict[str, Metric]:
    return {
        f"{kind} {name}": Metric(
            aggregation=name,
            event_type=kind,
            value=None if name == "COUNT" else ["v"],
            dimensions={"model": ["model"]},
        )
        for name in _AGGREGATIONS
    }


def _run_until_killed(folder: Path, point: str, act: Callable[[Api], None]) -> None:
    """Start a server that kills itself at `point`, and see that it does."""
    status: int | None
    try:
        with Server(folder, env={"METERHOUSE_FAULT": f"{point}:1"}) as server, Api.of(server) as api:
            with suppress(httpx.TransportError):  # the next server is asked the same
                act(api)
            status = server.wait(30)
    except NotReady as early:  # it met the point before it could say that it is ready
        status = early.status
    assert status == -signal.SIGKILL


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_kill_at_any_step_loses_and_doubles_nothing(folder: Path, point: str) -> None:
    kind = f"fault.{point}"
    events, metrics = _events(kind), _metrics(kind)

    def post(api: Api) -> None:
        api.ingest(*events)
        # Counted before anything else happens, so that a metric made next has them to backfill.
        api.client.get(f"/api/v1/events/{events[0]['id']}", params={"after": api.position})

    def create(api: Api) -> None:
        known = {one["name"] for one in _listed(api)}
        for name, metric in metrics.items():
            if name not in known:
                value = {} if metric.value is None else {"valueProperty": "$.v"}
                api.create_metric(kind, metric.aggregation, name=name, groupBy={"model": "$.model"}, **value)

    # A backfill needs events that are older than the metric; everything else, metrics that are there already.
    steps = (post, create) if point.startswith("backfill:") else (create, post)

    def act(api: Api) -> None:
        for step in steps:
            step(api)

    _run_until_killed(folder, point, act)
    if (replayed := f"replay:{point}") in REPLAY_POINTS:
        _run_until_killed(folder, replayed, _nothing)  # what was planned is replayed, and killed again
    with Server(folder) as server, Api.of(server) as api:
        create(api)
        post(api)  # what was not acknowledged is sent again; what was is a repeat
        _assert_exact(api, events, metrics)
        server.stop()


def _nothing(_: Api) -> None:
    """The replay alone meets the fault point."""


def _listed(api: Api) -> list[dict[str, Any]]:
    """Every metric of the merchant, page by page."""
    found: list[dict[str, Any]] = []
    total = 1
    while len(found) < total:
        page = api.client.get(
            "/v0/billableMetrics", params={"merchantId": "org_dev", "limit": 100, "offset": len(found)}
        ).json()
        found, total = found + page["data"], page["pagination"]["total"]
    return found


def _assert_exact(api: Api, events: list[dict[str, Any]], metrics: dict[str, Metric]) -> None:
    ids = {one["name"]: one["id"] for one in _listed(api)}
    for name, metric in metrics.items():
        answer = api.meter(ids[name], windowSize="HOUR", groupBy="model")
        total, cells = oracle.answer(
            oracle.rows(events, metric),
            aggregation=metric.aggregation,
            start=oracle.at("2026-01-01T00:00:00Z"),
            end=oracle.at("2027-01-01T00:00:00Z"),
            size="HOUR",
            group_by=("model",),
        )
        assert oracle.exact(answer["totalValue"]) == total, name
        shown = {
            (oracle.rendered(oracle.at(window["windowStart"])), (group["groupBy"]["model"],)): (
                oracle.exact(group["value"]),
                group["eventCount"],
            )
            for window, group in zip(answer["windowedValues"], answer["groupedValues"], strict=True)
        }
        assert shown == cells, name


def test_the_folder_is_clean_after_all_of_it(folder: Path) -> None:
    if not folder.exists():
        pytest.skip("no kill was asked for")
    checked = run_cli("check", "--data", str(folder), seconds=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr
