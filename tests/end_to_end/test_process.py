"""Starting, stopping, restarting."""

from __future__ import annotations

import stat
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from tests.api import Api, cloud_event
from tests.running import READY, Server, free_port, run_cli


def test_health_is_answered_without_a_key(server: Server) -> None:
    for path in ("/healthz", "/readyz"):
        assert httpx.get(server.url + path).status_code == 200


def test_a_connection_that_was_idle_for_a_while_is_still_good(server: Server) -> None:
    """Clients and load balancers keep one for seconds, and a request must not meet our closing of it."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        time.sleep(6)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_keeps_everything(tmp_path: Path, end: str) -> None:
    with Server(tmp_path / "data") as first, Api.of(first) as api:
        metric = api.create_metric("kept", "SUM", valueProperty="$.v", groupBy={"model": "$.model"})
        api.ingest(*[cloud_event("kept", f"k{i}", {"v": i, "model": f"m{i % 3}"}) for i in range(100)])
        counted = api.meter(metric["id"], groupBy="model", windowSize="DAY")
        api.ingest(cloud_event("kept", "uncounted", {"v": 1000, "model": "m0"}))
        position = api.position
        if end == "stop":
            first.stop()
        else:
            first.kill()
    assert counted["totalValue"] == 4950
    with Server(tmp_path / "data") as second, Api.of(second) as api:
        stored = api.get(f"/v0/billableMetrics/{metric['id']}")
        assert stored == metric
        answer = api.meter(metric["id"], groupBy="model", windowSize="DAY", after=position)
        assert answer["totalValue"] == 5950
        assert len(answer["groupedValues"]) == 3
        second.stop()
    checked = run_cli("check", "--data", str(tmp_path / "data"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_sigterm_finishes_what_was_accepted(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as first, Api.of(first) as api:
        metric = api.create_metric("accepted", "COUNT")
        for batch in range(5):
            api.ingest(*[cloud_event("accepted", f"{batch}/{i}") for i in range(200)])
        position = api.position
        first.stop()
    with Server(tmp_path / "data") as second, Api.of(second) as api:
        assert api.total(metric["id"], after=position) == 1000


def test_a_second_server_on_the_folder_is_refused_in_a_sentence(server: Server) -> None:
    refused = run_cli("dev", "--data", str(server.data), "--port", str(free_port()))
    said = " ".join((refused.stdout + refused.stderr).split())
    assert refused.returncode != 0
    assert "in use" in said
    assert "Traceback" not in said
    assert READY not in said
    assert httpx.get(server.url + "/readyz").status_code == 200


def test_a_port_that_is_taken_is_refused_in_a_sentence(server: Server, tmp_path: Path) -> None:
    refused = run_cli("dev", "--data", str(tmp_path / "data"), "--port", str(server.port))
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert str(server.port) in said
    assert "Traceback" not in said
    assert READY not in said


def test_the_key_may_come_from_the_environment(tmp_path: Path) -> None:
    with Server(tmp_path / "data", env={"METERHOUSE_DEV_API_KEY": "mh_mine"}) as running:
        with Api(running.url, "mh_mine") as api:
            api.get("/v0/products/prod_dev")
        with Api(running.url, "mh_dev") as api:
            assert api.client.get("/v0/products/prod_dev").status_code == 401


def test_a_host_that_others_reach_gets_a_key_of_its_own(tmp_path: Path) -> None:
    """The well-known key would let in anybody on the network."""
    data = tmp_path / "data"
    with Server(data, "--host", "0.0.0.0") as running:
        key = (data / "api_key").read_text().strip()
        assert stat.S_IMODE((data / "api_key").stat().st_mode) == 0o600
        assert running.output.count(key) == 1
        with Api(running.url, "mh_dev") as api:
            assert api.client.get("/v0/products/prod_dev").status_code == 401
        with Api(running.url, key) as api:
            api.get("/v0/products/prod_dev")
        running.stop()
    with Server(data, "--host", "0.0.0.0") as running:
        assert key not in running.output
        with Api(running.url, key) as api:
            api.get("/v0/products/prod_dev")
