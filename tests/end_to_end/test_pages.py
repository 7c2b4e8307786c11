"""The requests of pages under docs/, in their order, to a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.api import Api
from tests.pages import walk
from tests.running import Server

_DOCS: Final = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["entitlements", "subscriptions"])
def test_the_page_tells_what_happens(page: str, api: Api) -> None:
    for _ in walk((_DOCS / f"{page}.md").read_text("utf-8"), api, {}):
        pass


def test_the_page_of_costs_tells_what_happens_where_there_are_no_others(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Api.of(server) as api:
        for _ in walk((_DOCS / "costs.md").read_text("utf-8"), api, {}):
            pass
