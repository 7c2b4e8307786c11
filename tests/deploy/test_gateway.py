"""A real nginx with the configuration of deploy/gateway."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Final

import httpx
import pytest

from ingest.routes import PATHS
from meterhouse.settings import IngestSettings, QuerySettings
from tests.deploy.gateway import SOURCE, Arrived, Reply, Upstream, running
from tests.deploy.tools import run, tool
from tests.running import free_port

_LARGEST: Final = IngestSettings().max_batch_bytes
_READING: Final = ("GET", "HEAD")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


class Gateway:
    """nginx before one ingest process and one query process; `ask` sends a request through it."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.ingest = stack.enter_context(Upstream().serving())
        self.query = stack.enter_context(Upstream().serving())
        addresses = {"ingest": [self.ingest.address], "query": [self.query.address]}
        self.url = stack.enter_context(running(folder, **addresses))

    def ask(self, method: str, target: str, **options: object) -> httpx.Response:
        return httpx.request(method, self.url + target, timeout=60, **options)  # type: ignore[arg-type]


@pytest.fixture
def gateway(stack: ExitStack, tmp_path: Path) -> Gateway:
    return Gateway(stack, tmp_path)


def test_nginx_takes_the_configuration_as_it_is_shipped(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path, dirs_exist_ok=True)
    done = run(tool("nginx"), "-t", "-c", tmp_path / "nginx.conf")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted(PATHS))
def test_events_go_to_ingest_and_reading_to_query(gateway: Gateway, path: str) -> None:
    assert gateway.ask("POST", f"{path}?a=b", content=b"{}").status_code == 200
    assert gateway.ask("GET", path).status_code == 200
    assert [(one.method, one.target) for one in gateway.ingest.arrived] == [("POST", f"{path}?a=b")]
    assert [(one.method, one.target) for one in gateway.query.arrived] == [("GET", path)]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/v1/events/a%2Fb%20c?after=0:3"),
        ("POST", "/v0/billableMetrics"),
        ("PATCH", "/v0/products/prod_1"),
        ("DELETE", "/v0/billableMetrics/met_1"),
        ("GET", "/readyz"),
        ("POST", "/v0/events/more"),
    ],
)
def test_everything_else_goes_to_query_as_it_was_written(gateway: Gateway, method: str, target: str) -> None:
    assert gateway.ask(method, target).status_code == 200
    assert gateway.ingest.arrived == []
    assert [(one.method, one.target) for one in gateway.query.arrived] == [(method, target)]


def test_the_largest_body_that_ingest_takes_passes_unchanged(gateway: Gateway) -> None:
    body = Random(1).randbytes(_LARGEST)
    assert gateway.ask("POST", "/api/v1/events", content=body).status_code == 200
    [arrived] = gateway.ingest.arrived
    assert hashlib.sha256(arrived.body).digest() == hashlib.sha256(body).digest()


def test_a_larger_body_is_refused_in_the_shape_of_every_error(gateway: Gateway) -> None:
    answer = gateway.ask("POST", "/api/v1/events", content=bytes(_LARGEST + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert answer.headers["content-type"] == "application/json"
    assert gateway.ingest.arrived == []


def test_a_compressed_body_and_its_headers_pass_unchanged(gateway: Gateway) -> None:
    body = gzip.compress(b'[{"specversion": "1.0"}]')
    headers = {
        "Content-Encoding": "gzip",
        "Content-Type": "application/cloudevents-batch+json",
        "Authorization": "Bearer mh_x",
        "ce-id": "1",
        "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    assert gateway.ask("POST", "/api/v1/events", content=body, headers=headers).status_code == 200
    [arrived] = gateway.ingest.arrived
    assert arrived.body == body
    assert {name: arrived.headers[name.lower()] for name in headers} == headers


@pytest.mark.parametrize("status", [202, 400, 404, 413, 500, 503, 504])
def test_what_a_service_answers_passes_unchanged(gateway: Gateway, status: int) -> None:
    answered = Reply(
        status, {"retry-after": "7", "meterhouse-position": "0:3", "content-type": "text/x"}, b"its own words"
    )
    gateway.ingest.reply = lambda _: answered
    answer = gateway.ask("POST", "/v0/events", content=b"{}")
    assert (answer.status_code, answer.content) == (status, answered.body)
    assert {name: answer.headers[name] for name in answered.headers} == answered.headers
    assert len(gateway.ingest.arrived) == 1


def test_a_post_that_was_sent_is_never_sent_to_another_process(stack: ExitStack, tmp_path: Path) -> None:
    def hang_up(_: Arrived) -> None:
        return None

    both = [stack.enter_context(Upstream(hang_up).serving()) for _ in range(2)]
    addresses = [one.address for one in both]
    url = stack.enter_context(running(tmp_path, ingest=addresses, query=addresses))
    for sent in range(1, 5):
        answer = httpx.post(f"{url}/v0/events", content=b"{}", timeout=60)
        assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
        assert sum(len(one.arrived) for one in both) == sent


def test_a_process_that_cannot_be_reached_is_passed_over(stack: ExitStack, tmp_path: Path) -> None:
    alive = stack.enter_context(Upstream().serving())
    addresses = [f"127.0.0.1:{free_port()}", alive.address]
    url = stack.enter_context(running(tmp_path, ingest=addresses, query=addresses))
    for _ in range(4):
        assert httpx.post(f"{url}/v0/events", content=b"{}", timeout=60).status_code == 200
    assert len(alive.arrived) == 4


@pytest.mark.parametrize(("method", "path"), [("POST", "/v0/events"), ("GET", "/v0/products")])
def test_without_a_process_the_answer_is_503_in_the_shape_of_every_error(
    stack: ExitStack, tmp_path: Path, method: str, path: str
) -> None:
    nowhere = [f"127.0.0.1:{free_port()}"]
    url = stack.enter_context(running(tmp_path, ingest=nowhere, query=nowhere))
    answer = httpx.request(method, url + path, timeout=60)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json().keys() == {"error", "message"}
    assert answer.json()["error"] == "unavailable"


def test_what_prometheus_reads_is_not_shown_outside(gateway: Gateway) -> None:
    answer = gateway.ask("GET", "/metrics")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert gateway.query.arrived == []


def test_the_gateway_waits_for_longer_than_a_question_may_take() -> None:
    text = (SOURCE / "nginx.conf").read_text("utf-8")
    [seconds] = [
        line.split()[1] for line in text.splitlines() if line.strip().startswith("proxy_read_timeout")
    ]
    assert float(seconds.rstrip("s;")) > QuerySettings().after_timeout.total_seconds() + 5
