"""A server in both forms, and an environment with the older client."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Protocol

import anyio.to_thread
import httpx
import pytest
from paygentic_sdk import Paygentic

from deploy.local.machine import NO_CERTIFICATES
from tests.running import Server, clean_environment
from tests.servers.distributed import Distributed

_numbers: Final = count(1)
_OLD: Final = "paygentic-sdk==0.2.16"
_CACHE: Final = Path(__file__).parents[2] / ".cache" / "paygentic-sdk-0.2.16"


class Running(Protocol):
    """A meterhouse in one form or the other: all its routes are at `url`."""

    @property
    def url(self) -> str: ...

    @property
    def key(self) -> str: ...


class Caller(Protocol):
    """Calls an operation such as "billable_metrics.create", in one of the client's two ways."""

    async def __call__(self, operation: str, /, **arguments: Any) -> Any: ...


def _method(client: Paygentic, operation: str, suffix: str) -> Callable[..., Any]:
    method: Callable[..., Any] = attrgetter(operation + suffix)(client)
    return method


@pytest.fixture
async def client(server: Running) -> AsyncIterator[Paygentic]:
    kept: dict[str, Any] = {"verify": NO_CERTIFICATES, "follow_redirects": True}
    with httpx.Client(**kept) as sync:
        async with httpx.AsyncClient(**kept) as asynchronous:
            yield Paygentic(
                server_url=server.url, bearer_auth=server.key, client=sync, async_client=asynchronous
            )


@pytest.fixture
def event_type() -> str:
    """That no other test sends events of."""
    return f"sdk.{next(_numbers)}"


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, client: Paygentic) -> Caller:
    async def synchronous(operation: str, /, **arguments: Any) -> Any:
        return await anyio.to_thread.run_sync(lambda: _method(client, operation, "")(**arguments))

    async def asynchronous(operation: str, /, **arguments: Any) -> Any:
        return await _method(client, operation, "_async")(**arguments)

    return synchronous if request.param == "sync" else asynchronous


@pytest.fixture(scope="package", params=["embedded", "distributed"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One process, and many behind a gateway: no client can tell which."""
    if request.param == "embedded":
        with Server(tmp_path_factory.mktemp("clients") / "data") as embedded:
            yield embedded
        return
    distributed: Distributed = request.getfixturevalue("started")
    distributed.put_right()
    yield distributed
    distributed.check()


@pytest.fixture(scope="package")
def old_python() -> Path:
    """The interpreter of a virtual environment that has paygentic-sdk 0.2.16, kept between runs."""
    python = _CACHE / "bin" / "python"
    if _has_old_client(python):
        return python
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv, which makes the environment for paygentic-sdk 0.2.16, is not on PATH")
    for command in (
        [uv, "venv", "--clear", "--python", sys.executable, str(_CACHE)],
        [uv, "pip", "install", "--python", str(python), _OLD],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            pytest.skip(f"{_OLD} cannot be installed here: {done.stderr.strip()[-300:]}")
    return python


def _has_old_client(python: Path) -> bool:
    if not python.exists():
        return False
    asked = [str(python), "-c", "from importlib.metadata import version; print(version('paygentic-sdk'))"]
    done = subprocess.run(asked, env=clean_environment(), capture_output=True, text=True, check=False)
    return done.stdout.strip() == "0.2.16"
