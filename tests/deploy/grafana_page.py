"""A dashboard as Grafana opens it: variables in their formats, then the macros of the ClickHouse data source.

What is replaced by what is that of Grafana's variable formats (`percentencode`, `queryparam`, none) and of
grafana-clickhouse-datasource 4 ($__conditionalAll in the browser, all other macros in its backend).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "grafana"
ALL: Final = "$__all"

Json = dict[str, Any]

_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(?!__)(\w+)")
_MACRO: Final = re.compile(r"\$__(\w+)(?:\(([^()]*)\))?")
_CONDITIONAL: Final = "$__conditionalAll("


def dashboard(name: str) -> Json:
    """A dashboard as it is committed."""
    found: Json = json.loads((FOLDER / "dashboards" / name).read_text("utf-8"))
    return found


def panels(page: Json) -> Iterator[Json]:
    """Every panel, those in collapsed rows too; rows themselves are none."""
    for panel in page["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def panel(page: Json, title: str) -> Json:
    [found] = [one for one in panels(page) if one["title"] == title]
    return found


def sql_of(shown: Json) -> str:
    """The one statement of a panel."""
    [target] = shown["targets"]
    return str(target["rawSql"])


@dataclass(frozen=True, kw_only=True)
class View:
    """What the person at the page has chosen; the range is [start, end)."""

    start: datetime
    end: datetime
    values: Mapping[str, str]

    def but(self, **values: str) -> View:
        return replace(self, values={**self.values, **values})

    def rendered(self, sql: str) -> str:
        """The statement that reaches ClickHouse."""
        return _MACRO.sub(self._macro, _VARIABLE.sub(self._variable, self._conditions(sql)))

    def _conditions(self, sql: str) -> str:
        while (at := sql.find(_CONDITIONAL)) >= 0:
            [condition, variable], end = _arguments(sql, at + len(_CONDITIONAL))
            chosen = self.values[variable.strip().removeprefix("$")]
            sql = sql[:at] + ("1=1" if chosen in ("", ALL) else condition) + sql[end:]
        return sql

    def _variable(self, match: re.Match[str]) -> str:
        value = self.values[match[1] or match[3]]
        assert match[2] in (None, "percentencode"), match[0]
        return value if match[2] is None else quote(value, safe="-_.~")

    def _macro(self, match: re.Match[str]) -> str:
        """Those of the macros that the dashboards use."""
        bounds = {"fromTime": self.start, "toTime": self.end}
        return f"toDateTime({int(bounds[match[1]].timestamp())})"


def _arguments(sql: str, at: int) -> tuple[list[str], int]:
    """The arguments of a call whose parenthesis ended before `at`, and where the call ends."""
    depth, begin, found = 1, at, []
    while depth:
        match sql[at]:
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case "," if depth == 1:
                found.append(sql[begin:at])
                begin = at + 1
        at += 1
    return [*found, sql[begin : at - 1]], at


def answer(url: str, sql: str) -> list[Json]:
    """The rows of a statement: fractions as exact Decimals, whole numbers of 64 bits as text."""
    response = httpx.post(
        url,
        params={
            "default_format": "JSON",
            "output_format_json_quote_64bit_integers": "1",
            "date_time_output_format": "iso",
        },
        content=sql,
        timeout=60,
    )
    assert response.status_code == 200, f"{response.text}\n{sql}"
    rows: list[Json] = json.loads(response.content, parse_float=Decimal)["data"]
    return rows


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
