"""Processes from an environment that the Dockerfile's steps made."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.api import Api
from tests.running import clean_environment

_START_SECONDS: Final = 180.0
_STOP_SECONDS: Final = 60.0


@contextmanager
def started(
    environment: Path, arguments: Sequence[str], *, port: int, env: Mapping[str, str], folder: Path
) -> Iterator[str]:
    """`meterhouse ARGUMENTS`, ready: yields its URL. `env` has to let it listen on `port` of the loopback.

    SIGTERM has to end it, with exit status 0.
    """
    output = folder / f"{arguments[0]}-{port}.log"
    with output.open("wb") as written:
        process = subprocess.Popen(
            [environment / "bin" / "meterhouse", *arguments],
            cwd=folder,
            env=clean_environment(env),
            stdout=written,
            stderr=written,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _is_ready(port):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(_STOP_SECONDS) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code == 200
    except httpx.TransportError:
        time.sleep(0.1)
        return False


def total_of(api: Api, metric_id: str) -> object:
    """What was counted up to everything that `api` posted, however busy the machine is."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            return api.total(metric_id)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
