"""Pages that tell what the code tells are made from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from meterhouse import settings
from tests import documents


@pytest.mark.parametrize(
    ("path", "make"), documents.DOCUMENTS.items(), ids=lambda one: getattr(one, "stem", "")
)
def test_a_page_is_what_the_code_says(path: Path, make: Callable[[], str]) -> None:
    assert path.read_text("utf-8") == make(), "run: uv run python -m tests.documents"


def test_every_setting_is_on_the_page() -> None:
    kinds = {
        one for one in vars(settings).values() if isinstance(one, type) and issubclass(one, BaseSettings)
    }
    told = {kind for _, kind in documents._SETTINGS}
    assert kinds - told == {BaseSettings, settings.FaultSettings}  # what tests place is no setting


def test_every_setting_and_every_instrument_says_what_it_means() -> None:
    assert "|  |\n" not in documents.settings() + documents.instruments()
