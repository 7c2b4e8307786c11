"""What becomes of a definition's versions while a server runs, over HTTP and on the command line."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.api import Api, Json, cloud_event
from tests.running import Server, free_port, run_cli, wait_for


def _versions(api: Api, metric: Json) -> list[Json]:
    data: list[Json] = api.get(f"/api/v1/billable-metrics/{metric['id']}/versions")["data"]
    return data


def _states(api: Api, metric: Json) -> list[tuple[int, str]]:
    return [(one["version"], one["state"]) for one in _versions(api, metric)]


def test_a_replaced_version_is_dropped_with_its_rows(tmp_path: Path) -> None:
    port = free_port()
    with Server(tmp_path, "--clickhouse-port", str(port)) as server, Api.of(server) as api:
        metric = api.create_metric("versions", "SUM", valueProperty="$.v")
        api.ingest(*[cloud_event("versions", f"v{i}", {"v": i, "w": 10 * i}) for i in range(20)])
        assert api.total(metric["id"]) == 190
        changed = api.client.patch(f"/v0/billableMetrics/{metric['id']}", json={"valueProperty": "$.w"})
        assert changed.status_code == 200, changed.text
        assert api.total(metric["id"]) == 1900
        wait_for(lambda: _states(api, metric) == [(2, "active"), (1, "dropped")], "version 1 is dropped")
        assert _rows(f"http://127.0.0.1:{port}", metric) == {2: 20}
        assert api.total(metric["id"]) == 1900
        newest = _versions(api, metric)[0]
        assert newest["recordsCounted"] == newest["recordsTotal"] == 20
    done = run_cli("check", "--data", str(tmp_path))
    assert "Everything agrees." in done.stdout, done.stdout + done.stderr


def test_the_command_line_says_that_nothing_is_left_to_count(server: Server, api: Api) -> None:
    metric = api.create_metric("counted.over", "COUNT")
    api.ingest(cloud_event("counted.over", "co1"))
    assert api.total(metric["id"]) == 1
    for options in ((), ("--watch",)):
        done = run_cli("backfill", "list", *options, "--data", str(server.data))
        assert "Every definition is counted over all events." in done.stdout, done.stderr
    refused = run_cli("backfill", "cancel", str(metric["id"]), "--data", str(server.data))
    assert refused.returncode == 1
    assert "nothing is being built" in refused.stderr


def _rows(clickhouse: str, metric: Json) -> dict[int, int]:
    """How many metered events each version of the metric has in the tables."""
    counted = "SELECT version, count() FROM metered_events WHERE billable_metric_id = {metric:String}"
    statement = f"{counted} GROUP BY version"
    answer = httpx.post(clickhouse, params={"param_metric": metric["id"]}, content=f"{statement} FORMAT TSV")
    assert answer.status_code == 200, answer.text
    return {int(version): int(count) for version, count in map(str.split, answer.text.splitlines())}
