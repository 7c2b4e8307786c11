"""What is built once for all tests of deploy/."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.image import build


@pytest.fixture(scope="session")
def services_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment in the image of the services."""
    return build("build", tmp_path_factory.mktemp("services"))
