"""Dashboards as Grafana reads them, from the few kinds of panels that ours have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Final

Json = dict[str, object]

SCHEMA: Final = 42  # of Grafana 12 and 13; older ones read it too
CLICKHOUSE: Final[Json] = {"type": "grafana-clickhouse-datasource", "uid": "meterhouse-clickhouse"}
PROMETHEUS: Final[Json] = {"type": "prometheus", "uid": "meterhouse-prometheus"}

_COLUMNS: Final = 24
_PLUGIN: Final = "4.0.0"  # of the ClickHouse data source, from which this form of a query is
_TIME_SERIES, _TABLE = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel; `width` is of 24 columns, `height` in Grafana's units of 30 pixels."""

    title: str
    description: str
    kind: str
    unit: str
    targets: Sequence[Json]
    width: int
    height: int
    defaults: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    time_from: str = ""

    def rendered(self, id: int, x: int, y: int) -> Json:
        defaults: Json = {"unit": self.unit, "custom": self.custom}
        found: Json = {
            "id": id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": self.targets[0]["datasource"],
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {
                "defaults": defaults | self.defaults,
                "overrides": list(self.overrides),
            },
            "options": self.options,
            "targets": [
                target | {"refId": letter}
                for target, letter in zip(self.targets, ascii_uppercase, strict=False)
            ],
        }
        return found | ({"timeFrom": self.time_from} if self.time_from else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A heading and the panels under it, laid out from left to right."""

    title: str
    panels: Sequence[Panel]
    collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A page: `start` is how far back it looks at first, `refresh` how often it asks again."""

    uid: str
    title: str
    description: str
    start: str
    refresh: str
    variables: Sequence[Json]
    rows: Sequence[Row]
    links: Sequence[Json] = ()

    def rendered(self) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["meterhouse"],
            "timezone": "utc",
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "fiscalYearStartMonth": 0,
            "weekStart": "monday",
            "refresh": self.refresh,
            "time": {"from": self.start, "to": "now"},
            "timepicker": {},
            "annotations": {"list": []},
            "links": list(self.links),
            "templating": {"list": list(self.variables)},
            "panels": _laid_out(self.rows),
        }


def _laid_out(rows: Sequence[Row]) -> list[Json]:
    """Each row's heading, then its panels; those of a collapsed row lie inside it."""
    found: list[Json] = []
    id, y = 1, 0
    for row in rows:
        heading: Json = {
            "id": id,
            "type": "row",
            "title": row.title,
            "collapsed": row.collapsed,
            "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": y},
            "panels": [],
        }
        inside, bottom = _placed(row.panels, id + 1, y + 1)
        id += 1 + len(inside)
        if row.collapsed:
            found.append(heading | {"panels": inside})
            y += 1
        else:
            found += [heading, *inside]
            y = bottom
    return found


def _placed(panels: Sequence[Panel], first_id: int, y: int) -> tuple[list[Json], int]:
    """The panels in lines of 24 columns, and where the last line ends."""
    found: list[Json] = []
    x = height = 0
    for id, panel in enumerate(panels, first_id):
        if x + panel.width > _COLUMNS:
            x, y, height = 0, y + height, 0
        found.append(panel.rendered(id, x, y))
        x, height = x + panel.width, max(height, panel.height)
    return found, y + height


def series_of(sql: str) -> Json:
    """Rows of (time, label …, value) as one series a label."""
    return _asked(sql, "timeseries", _TIME_SERIES)


def table_of(sql: str) -> Json:
    """Rows as they are."""
    return _asked(sql, "table", _TABLE)


def _asked(sql: str, kind: str, format: int) -> Json:
    return {
        "datasource": CLICKHOUSE,
        "editorType": "sql",
        "queryType": kind,
        "format": format,
        "pluginVersion": _PLUGIN,
        "rawSql": sql,
    }


def over_time(expression: str, legend: str) -> Json:
    """PromQL over the range of the page."""
    return _prom(expression, legend) | {"range": True, "instant": False}


def at_its_end(expression: str, legend: str = "") -> Json:
    """PromQL at the end of the range."""
    return _prom(expression, legend) | {"range": False, "instant": True}


def _prom(expression: str, legend: str) -> Json:
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend or "__auto",
    }


def thresholds(*steps: tuple[int | float, str]) -> Json:
    """Green, and from each value on another colour."""
    of = [{"color": "green", "value": None}, *[{"color": color, "value": at} for at, color in steps]]
    return {"thresholds": {"mode": "absolute", "steps": of}}


def stat(
    title: str,
    description: str,
    unit: str,
    target: Json,
    *,
    width: int = 4,
    limits: Json | None = None,
    text: bool = False,
    decimals: int | None = None,
) -> Panel:
    """One figure; `text` shows a column as it is, digit for digit."""
    plain: Json = {"mode": "fixed", "fixedColor": "text"}
    defaults: Json = {"color": {"mode": "thresholds"} if limits else plain, "noValue": "none"} | (
        limits or {}
    )
    return Panel(
        title=title,
        description=description,
        kind="stat",
        unit=unit,
        targets=[target],
        width=width,
        height=4,
        defaults=defaults | ({} if decimals is None else {"decimals": decimals}),
        options={
            "colorMode": "value",
            "graphMode": "none" if not target.get("range") else "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "value",
            "wideLayout": True,
            "reduceOptions": {
                "calcs": ["lastNotNull"],
                "fields": "/.*/" if text else "",
                "values": False,
            },
        },
    )


def graph(
    title: str,
    description: str,
    unit: str,
    targets: Sequence[Json],
    *,
    width: int = 12,
    height: int = 8,
    bars: bool = False,
    stacked: bool = False,
    limits: Json | None = None,
    least: int | None = 0,
    time_from: str = "",
) -> Panel:
    """Series over time. `limits` are drawn as lines; `least` is where the axis begins, None: at the data."""
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 60 if bars else (25 if stacked else 8),
        "gradientMode": "none",
        "showPoints": "auto",
        "pointSize": 4,
        "spanNulls": False,
        "axisPlacement": "auto",
        "axisColorMode": "text",
        "scaleDistribution": {"type": "linear"},
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if limits else "off"},
    }
    named = any(target.get("legendFormat") or "label" in str(target.get("rawSql")) for target in targets)
    return Panel(
        title=title,
        description=description,
        kind="timeseries",
        unit=unit,
        targets=targets,
        width=width,
        height=height,
        defaults={"color": {"mode": "palette-classic"}, "noValue": "none"}
        | (limits or {})
        | ({} if least is None else {"min": least}),
        custom=custom,
        options={
            "legend": {
                "showLegend": named,
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        time_from=time_from,
    )


def table(
    title: str,
    description: str,
    unit: str,
    sql: str,
    *,
    width: int = 12,
    height: int = 10,
    sort: str,
    overrides: Sequence[Json] = (),
) -> Panel:
    """Rows as they come, those with the most in the column `sort` first; `unit` is of its numbers."""
    return Panel(
        title=title,
        description=description,
        kind="table",
        unit=unit,
        targets=[table_of(sql)],
        width=width,
        height=height,
        defaults={"color": {"mode": "thresholds"}} | thresholds(),
        custom={"align": "auto", "filterable": True, "cellOptions": {"type": "auto"}, "inspect": False},
        options={
            "showHeader": True,
            "cellHeight": "sm",
            "sortBy": [{"displayName": sort, "desc": True}],
        },
        overrides=overrides,
    )


def column(name: str, **properties: object) -> Json:
    """What is special about a table's column; dots in names are written `__`."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": id.replace("__", "."), "value": value} for id, value in properties.items()],
    }


def asked_for(
    name: str, label: str, description: str, datasource: Json, query: object, **more: object
) -> Json:
    """A variable whose values are asked for."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": datasource,
        "query": query,
        "definition": query if isinstance(query, str) else "",
        "refresh": 1,
        "sort": 0,
        "multi": False,
        "includeAll": False,
        "current": {},
        "options": [],
        "hide": 0,
    } | more


def chosen(name: str, label: str, description: str, values: Sequence[str], selected: str) -> Json:
    """A variable with values that stand here."""
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "description": description,
        "query": ",".join(values),
        "multi": False,
        "includeAll": False,
        "current": {"text": selected, "value": selected},
        "options": [{"text": one, "value": one, "selected": one == selected} for one in values],
        "hide": 0,
    }


def page_link(title: str, uid: str) -> Json:
    """The way to another page, with the same range of time."""
    return {
        "type": "link",
        "title": title,
        "url": f"/d/{uid}",
        "icon": "external link",
        "keepTime": True,
        "includeVars": False,
        "targetBlank": False,
        "asDropdown": False,
        "tags": [],
        "tooltip": "",
    }
