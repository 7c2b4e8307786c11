"""What the fault tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.own_services import OwnServices, own_services
from tests.servers.distributed import Distributed


@pytest.fixture
async def services(tmp_path: Path, distributed: Distributed) -> AsyncIterator[OwnServices]:
    """Stores of the test's own on the servers of the installation; it starts what it needs over them."""
    async with own_services(tmp_path, distributed.environment) as services:
        yield services
