"""One server for the tests that need nothing but a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api import Api
from tests.running import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("end_to_end") / "data") as running:
        yield running


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    """The well-known key's merchant, with a position of its own for each test."""
    with Api.of(server) as calls:
        yield calls
