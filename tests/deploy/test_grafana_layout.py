"""What holds for every dashboard, and for what Grafana is provisioned with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Final

import pytest
import yaml

from deploy.grafana.__main__ import files
from tests.deploy.grafana_page import FOLDER, Json, dashboard, panels

PAGES: Final = ("usage.json", "pipeline.json")
PROVISIONING: Final = FOLDER / "provisioning"


def provisioned(path: str) -> Json:
    found: Json = yaml.safe_load((PROVISIONING / path).read_text("utf-8"))
    return found


@pytest.mark.parametrize(("path", "text"), list(files()), ids=lambda one: getattr(one, "name", ""))
def test_what_is_committed_is_what_the_generator_gives(path: Path, text: str) -> None:
    assert path.read_text("utf-8") == text, "run `uv run python -m deploy.grafana`"


def test_every_dashboard_is_looked_at_here() -> None:
    assert {path.name for path in (FOLDER / "dashboards").iterdir()} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_every_panel_says_what_it_shows_and_in_which_unit(name: str) -> None:
    for panel in panels(dashboard(name)):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]


@pytest.mark.parametrize("name", PAGES)
def test_panels_tile_the_page(name: str) -> None:
    page = dashboard(name)
    shown = [*page["panels"], *panels(page)]
    for panel in shown:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
    open_panels = [panel for panel in page["panels"] if panel["type"] != "row"]
    for first, second in combinations(open_panels, 2):
        assert not (cells(first) & cells(second)), (first["title"], second["title"])
    covered = set().union(*[cells(panel) for panel in page["panels"]])
    bottom = max(y for _, y in covered) + 1
    assert len(covered) == 24 * bottom, "a line of the page has a hole"


def cells(panel: Json) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    return {
        (x, y)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    }


@pytest.mark.parametrize("name", PAGES)
def test_ids_and_titles_are_unique(name: str) -> None:
    page = dashboard(name)
    ids = [panel["id"] for panel in page["panels"] if panel["type"] == "row"]
    ids += [panel["id"] for panel in panels(page)]
    assert len(ids) == len(set(ids))
    by_row = [panel["title"] for panel in page["panels"] if panel["type"] == "row"]
    assert len(by_row) == len(set(by_row))


@pytest.mark.parametrize("name", PAGES)
def test_a_variable_stands_on_those_before_it(name: str) -> None:
    known: set[str] = set()
    for variable in dashboard(name)["templating"]["list"]:
        query = variable["query"]
        assert used(str(query)) <= known, variable["name"]
        known.add(variable["name"])
    for panel in panels(dashboard(name)):
        for target in panel["targets"]:
            assert used(str(target.get("rawSql") or target["expr"])) <= known
        assert used(panel["title"]) <= known


def used(text: str) -> set[str]:
    return {one or other for one, other in re.findall(r"\$\{(\w+)[:}]|\$(?!_)(\w+)", text)}


def sources(page: Json) -> Iterator[Json]:
    for panel in panels(page):
        yield panel["datasource"]
        yield from [target["datasource"] for target in panel["targets"]]
    yield from [one["datasource"] for one in page["templating"]["list"] if "datasource" in one]


@pytest.mark.parametrize("name", PAGES)
def test_dashboards_name_data_sources_that_are_provisioned(name: str) -> None:
    known = [
        {"type": one["type"], "uid": one["uid"]}
        for one in provisioned("datasources/meterhouse.yaml")["datasources"]
    ]
    assert [source for source in sources(dashboard(name)) if source not in known] == []


def test_clickhouse_is_read_over_http_as_whom_the_environment_names() -> None:
    [clickhouse] = [
        one
        for one in provisioned("datasources/meterhouse.yaml")["datasources"]
        if one["type"] == "grafana-clickhouse-datasource"
    ]
    settings = clickhouse["jsonData"]
    assert (settings["protocol"], settings["host"], settings["port"]) == ("http", "clickhouse", 8123)
    assert settings["username"] == "$GRAFANA_CLICKHOUSE_USER"
    assert clickhouse["secureJsonData"] == {"password": "$GRAFANA_CLICKHOUSE_PASSWORD"}


def test_dashboards_are_found_where_they_are_mounted() -> None:
    [provider] = provisioned("dashboards/meterhouse.yaml")["providers"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/var/lib/grafana/dashboards")


def test_pages_link_to_each_other() -> None:
    uids = {name: dashboard(name)["uid"] for name in PAGES}
    linked = {name: [link["url"] for link in dashboard(name)["links"]] for name in PAGES}
    assert linked == {
        "usage.json": [f"/d/{uids['pipeline.json']}"],
        "pipeline.json": [f"/d/{uids['usage.json']}"],
    }
