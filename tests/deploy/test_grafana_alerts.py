"""Prometheus' configuration and alerts: valid, firing when they should and not otherwise, and explained."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.grafana_page import ROOT

FOLDER: Final = ROOT / "deploy" / "prometheus"
RULE_TESTS: Final = Path(__file__).with_name("alerts_test.yml")
OPERATIONS: Final = ROOT / "docs" / "operations.md"
_HEADING: Final = "### What each alert means"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def promtool(*arguments: str | Path) -> None:
    """Run it, which has to succeed; skips where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: Debian's package prometheus")
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_valid() -> None:
    promtool("check", "config", "--lint=all", "--lint-fatal", FOLDER / "prometheus.yml")


def test_the_rules_are_valid() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", FOLDER / "alerts.yml")


def test_alerts_fire_on_what_they_are_for_and_on_nothing_else() -> None:
    promtool("test", "rules", RULE_TESTS)


def test_each_alert_is_tested_to_fire_and_not_to() -> None:
    fires: set[str] = set()
    keeps_still: set[str] = set()
    for group in yaml.safe_load(RULE_TESTS.read_text("utf-8"))["tests"]:
        for one in group["alert_rule_test"]:
            (fires if one.get("exp_alerts") else keeps_still).add(one["alertname"])
    names = {rule["alert"] for rule in rules()}
    assert fires == names
    assert keeps_still == names


def test_every_replica_is_asked() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    found = {
        job["job_name"]: [(one["names"], one["type"], one["port"]) for one in job["dns_sd_configs"]]
        for job in config["scrape_configs"]
    }
    assert found == {name: [([name], "A", 8080)] for name in ("ingest", "aggregator", "query")}


def test_each_alert_has_a_severity_a_summary_and_a_section() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(f" docs/operations.md#{rule['alert'].lower()}")


def test_operations_explains_the_alerts_that_there_are() -> None:
    text = OPERATIONS.read_text("utf-8")
    section = text.partition(f"{_HEADING}\n")[2]
    section = re.split(r"^#{1,3} ", section, maxsplit=1, flags=re.MULTILINE)[0]
    parts = re.split(r"^#### (\w+)$", section, flags=re.MULTILINE)
    explained = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert list(explained) == [rule["alert"] for rule in rules()]
    for name, body in explained.items():
        for question in ("**What happened.**", "**What is safe.**", "**What to do.**"):
            assert question in body, (name, question)
