"""The chart's README names every value with its default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.deploy.chart import CHART

_BY_WORDS = ("resources",)  # a default that is told, not quoted


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in _BY_WORDS:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _documented() -> Iterator[tuple[str, str]]:
    for line in (CHART / "README.md").read_text("utf-8").splitlines():
        if line.startswith("| `"):
            names, default, meaning = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert meaning
            quoted = re.findall(r"`([^`]+)`", default)
            for number, name in enumerate(re.findall(r"`([^`]+)`", names)):
                several = len(quoted) > 1 and len(names.split(", ")) == len(quoted)
                yield name, f"`{quoted[number]}`" if several else default


def test_every_value_is_documented_with_its_default() -> None:
    values = dict(_leaves(yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))))
    documented = dict(_documented())
    assert documented.keys() == values.keys()
    for name, value in values.items():
        said = documented[name]
        if name.split(".")[-1] in _BY_WORDS:
            continue
        if value in ({}, []):
            assert said.startswith(f"`{value}`"), name
        elif value == "":
            assert said.startswith("empty"), name
        elif isinstance(value, list) and value and said.count("`") > 2:
            assert re.findall(r"`([^`]+)`", said) == value, name
        else:
            assert said.startswith(f"`{_written(value)}`"), name


def _written(value: object) -> str:
    """The value as YAML has it."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value or "null")
