"""`python -m deploy.grafana` writes the dashboards anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.grafana import pipeline, usage
from deploy.grafana.panels import Dashboard

FOLDER: Final = Path(__file__).parent / "dashboards"
DASHBOARDS: Final[dict[str, Dashboard]] = {
    "usage.json": usage.DASHBOARD,
    "pipeline.json": pipeline.DASHBOARD,
}


def files() -> Iterator[tuple[Path, str]]:
    """Each file and what belongs into it."""
    for name, dashboard in DASHBOARDS.items():
        yield FOLDER / name, json.dumps(dashboard.rendered(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in files():
        path.write_text(text, "utf-8")
