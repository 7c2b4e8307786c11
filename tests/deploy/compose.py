"""docker-compose.yml as Compose understands it."""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final

import yaml

from tests.deploy.tools import ROOT, output_of, tool

OURS: Final = ("setup", "ingest", "aggregator", "query")


@cache
def services() -> dict[str, dict[str, Any]]:
    """Every service with defaults and merges applied; skips where there is no docker-compose."""
    command = (tool("docker-compose"), "--file", str(ROOT / "docker-compose.yml"), "config")
    text = output_of(*command, env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")})
    services: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    return services
