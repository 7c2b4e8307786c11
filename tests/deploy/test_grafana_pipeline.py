"""The pipeline's page and the alerts ask for what processes show: a real Prometheus over a real process."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api import Api, cloud_event
from tests.deploy.grafana_page import dashboard, panels
from tests.deploy.test_grafana_alerts import rules
from tests.running import Server, free_port

T = TypeVar("T")

PAGE: Final = dashboard("pipeline.json")
_PATIENCE: Final = 90
_EVENTS: Final = 30
_REPEATS: Final = 5

# Shown while something is wrong, or being inserted, alone.
_EMPTY_ON_A_GOOD_DAY: Final = {"Age of the range being inserted"}
_OF_PROMETHEUS: Final = {"job", "instance", "le"}

_CONFIG: Final = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
scrape_configs:
  - job_name: meterhouse
    static_configs: [{{targets: ['{target}']}}]
"""


@dataclass(frozen=True)
class Watched:
    """A process with some traffic behind it, and a Prometheus that asks it every second."""

    server: Server
    prometheus: str

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The vector that the expression is now."""
        response = httpx.post(f"{self.prometheus}/api/v1/query", data={"query": expression}, timeout=60)
        answer = response.json()
        assert answer["status"] == "success", f"{answer}\n{expression}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def number(self, expression: str) -> int:
        [one] = self.ask(expression)
        return int(float(one["value"][1]))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: Debian's package prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    port = free_port()
    with Server(folder / "data") as server, Api.of(server) as api:
        (folder / "prometheus.yml").write_text(_CONFIG.format(target=f"127.0.0.1:{server.port}"), "utf-8")
        command = [
            *(program, f"--config.file={folder / 'prometheus.yml'}"),
            *(f"--storage.tsdb.path={folder / 'series'}", f"--web.listen-address=127.0.0.1:{port}"),
        ]
        with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                watched = Watched(server, f"http://127.0.0.1:{port}")
                _traffic(watched, api)
                yield watched
            finally:
                process.terminate()


def _traffic(watched: Watched, api: Api) -> None:
    """Everything that moves an instrument, between two looks of Prometheus."""
    _until(lambda: _ready(watched) and watched.ask("meterhouse_ingest_accepted_events_total"))
    metric = api.create_metric("t", "SUM", valueProperty="$.n")["id"]
    events = [cloud_event("t", str(n), {"n": n if n % 3 else "odd"}) for n in range(_EVENTS)]
    for event in events:
        api.ingest(event)
        api.total(metric)
    _until(lambda: watched.ask(f"meterhouse_aggregator_counted_offset == {_EVENTS}"))
    for event in events[:_REPEATS]:
        api.ingest(event)
        api.total(metric)
    assert api.post_batch([{"specversion": "0.1"}]).status_code == 400
    assert api.client.get("/v0/billableMetrics/none/meter").status_code >= 400
    counted = f"meterhouse_aggregator_counted_offset == {_EVENTS + _REPEATS}"
    _until(lambda: watched.ask(counted) and watched.ask("increase(meterhouse_query_seconds_count[1m]) > 0"))
    # A rate needs two looks, and the first refusal of its kind begins a series.
    _until(lambda: watched.ask("rate(meterhouse_ingest_refused_requests_total[1h])"))


def _ready(watched: Watched) -> bool:
    try:
        return httpx.get(f"{watched.prometheus}/-/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _until(done: Callable[[], T]) -> T:
    deadline = time.monotonic() + _PATIENCE
    while not (found := done()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def expressions() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in panels(PAGE) for target in panel["targets"]]


def rendered(expression: str) -> str:
    """As Grafana sends it, with all processes chosen."""
    for name, value in {"$__rate_interval": "1h", "$__range": "1h", "$instance": ".*"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def test_every_panel_shows_something_of_a_process_that_works(watched: Watched) -> None:
    empty = {title for title, expression in expressions() if not watched.ask(rendered(expression))}
    assert empty <= _EMPTY_ON_A_GOOD_DAY


def test_nothing_that_is_shown_is_no_number_where_there_was_traffic(watched: Watched) -> None:
    for title, expression in expressions():
        found = watched.ask(rendered(expression))
        values = [one["value"][1] for one in found]
        assert not found or set(values) != {"NaN"}, (title, expression)


def test_legends_name_labels_that_are_there(watched: Watched) -> None:
    for panel in panels(PAGE):
        for target in panel["targets"]:
            labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            for one in watched.ask(rendered(target["expr"])):
                assert labels <= one["metric"].keys(), (panel["title"], one)


def test_figures_are_those_of_the_traffic(watched: Watched) -> None:
    shown = {panel["title"]: rendered(panel["targets"][0]["expr"]) for panel in panels(PAGE)}
    assert watched.number(shown["Watermark"]) == _EVENTS + _REPEATS
    assert watched.number(shown["Unread"]) == 0
    assert watched.number(f"max ({shown['Lag']})") == 0
    counters = {
        "Events by what became of them": ("disposition", {"counted": 20, "unusable": 10, "unmatched": 0}),
        "Refused requests": ("reason", {"validation_error": 1}),
    }
    for title, (label, expected) in counters.items():
        total = re.sub(r"rate\((.*?)\[1h\]\)", r"\1", shown[title])
        found = {one["metric"][label]: int(one["value"][1]) for one in watched.ask(total)}
        assert found == expected, title
    repeats = re.sub(r"rate\((.*?)\[1h\]\)", r"\1", shown["Repeats and dead letters"])
    assert watched.number(repeats) == _REPEATS


def test_every_metric_and_label_of_panels_and_alerts_is_shown_by_a_process(watched: Watched) -> None:
    text = httpx.get(f"{watched.server.url}/metrics", timeout=60).text
    samples: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    asked = [expression for _, expression in expressions()] + [rule["expr"] for rule in rules()]
    for expression in asked:
        names = set(re.findall(r"\b(?:meterhouse|process)_\w+", expression))
        assert names <= samples.keys(), expression
        labels = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
        labels |= set(re.findall(r"(\w+)(?:=~|!=|!~|=)\"", expression))
        for name in names:
            if len(names) == 1:
                assert labels <= samples[name] | _OF_PROMETHEUS, expression


def test_every_alert_is_a_vector_and_none_fires_on_a_process_that_works(watched: Watched) -> None:
    for rule in rules():
        firing = watched.ask(rule["expr"])
        # The process is of another job, and may have been slow once: alerts_test.yml says when that is told.
        may_hold = 'up{job="' in rule["expr"] or rule["alert"] == "MeterhouseAnswersSlow"
        assert not firing or may_hold, rule["alert"]
