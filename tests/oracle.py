"""Usage recomputed the slow, obvious way from the events as they were sent, with no code of the server's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A billable metric as the test created it; paths are lists of keys."""

    aggregation: str
    event_type: str
    value: Sequence[str] | None = None
    dimensions: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """An event as a metric counted it; `order` grows with the place in the log."""

    at: datetime
    order: int
    subject: str
    dimensions: Mapping[str, str]
    value: Fraction | str | None


def at(text: str) -> datetime:
    """A timestamp of the tests, which always say Z."""
    return datetime.fromisoformat(text).astimezone(UTC)


def first_seen(events: Iterable[Json]) -> list[Json]:
    """The events without repeats of (source, id), in the order of the log."""
    found: dict[tuple[str, str], Json] = {}
    for event in events:
        found.setdefault((event["source"], event["id"]), event)
    return list(found.values())


def rows(events: Iterable[Json], metric: Metric) -> list[Row]:
    """What `metric` counts of them."""
    counted = []
    for order, event in enumerate(first_seen(events)):
        if event["type"] != metric.event_type:
            continue
        data = event.get("data")
        value: Fraction | str | None = None
        if metric.aggregation == "UNIQUE_COUNT":
            value = json.dumps([event["source"], event["id"]])
            if metric.value is not None:
                value = scalar_text(reach(data, metric.value))
                if value is None:
                    continue
        elif metric.aggregation != "COUNT":
            assert metric.value is not None
            value = number(reach(data, metric.value))
            if value is None:
                continue
        dimensions = {name: dimension_text(reach(data, path)) for name, path in metric.dimensions.items()} | {
            "subject": event.get("subject", "")
        }
        counted.append(Row(at(event["time"]), order, dimensions["subject"], dimensions, value))
    return counted


def reach(data: object, path: Sequence[str]) -> object:
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data


def number(value: object) -> Fraction | None:
    """The exact number, if a value may be it: at most 20 digits before the point and 18 after."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    if isinstance(value, str):
        body = value[1:] if value[:1] in ("+", "-") else value
        mantissa, e, exponent = body.replace("E", "e").partition("e")
        whole, point, fraction = mantissa.partition(".")
        digits = [whole] + ([fraction] if point else [])
        if e:
            digits.append(exponent[1:] if exponent[:1] in ("+", "-") else exponent)
        if not all(part and set(part) <= set("0123456789") for part in digits):
            return None
    exact = Fraction(Decimal(value))
    fits = abs(exact) < 10**20 and (exact * 10**18).denominator == 1
    return exact if fits else None


def scalar_text(value: object) -> str | None:
    """What UNIQUE_COUNT and dimensions compare; None where there is nothing to compare."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal):
        plain = f"{Decimal(value):f}"
        plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
        return "0" if plain in ("-0", "") else plain
    return None


def dimension_text(value: object) -> str:
    if isinstance(value, dict | list):  # the tests use ASCII keys and whole numbers in these
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return scalar_text(value) or ""


def aggregate(counted: Sequence[Row], aggregation: str) -> Fraction:
    """The usage of these rows; 0 of nothing."""
    if not counted:
        return Fraction(0)
    if aggregation == "COUNT":
        return Fraction(len(counted))
    if aggregation == "UNIQUE_COUNT":
        return Fraction(len({row.value for row in counted}))
    numbers = [row.value for row in counted if isinstance(row.value, Fraction)]
    match aggregation:
        case "SUM":
            return sum(numbers, Fraction(0))
        case "AVG":
            return Fraction(round(sum(numbers, Fraction(0)) / len(numbers) * 10**18), 10**18)
        case "MIN":
            return min(numbers)
        case "MAX":
            return max(numbers)
    newest = max(counted, key=lambda row: (row.at, row.order))
    assert aggregation == "LATEST"
    assert isinstance(newest.value, Fraction)
    return newest.value


def window(moment: datetime, size: str) -> tuple[datetime, datetime]:
    """The calendar window in UTC that holds `moment`."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match size:
        case "MINUTE":
            start = moment.replace(second=0, microsecond=0)
            return start, start + timedelta(minutes=1)
        case "HOUR":
            start = moment.replace(minute=0, second=0, microsecond=0)
            return start, start + timedelta(hours=1)
        case "DAY":
            return day, day + timedelta(days=1)
    start = day.replace(day=1)
    return start, (start + timedelta(days=32)).replace(day=1)


Cell = tuple[str, tuple[str, ...]]


def answer(
    counted: Sequence[Row],
    *,
    aggregation: str,
    start: datetime,
    end: datetime,
    size: str | None = None,
    group_by: Sequence[str] = (),
    filters: Mapping[str, str] | None = None,
) -> tuple[Fraction, dict[Cell, tuple[Fraction, int]]]:
    """The total, and by (window start or "", group) the usage and the number of events."""
    kept = [
        row
        for row in counted
        if start <= row.at < end
        and all(row.dimensions[name] == text for name, text in (filters or {}).items())
    ]
    cells: dict[Cell, list[Row]] = {}
    if size or group_by:
        for row in kept:
            start_of = rendered(window(row.at, size)[0]) if size else ""
            group = tuple(row.dimensions[name] for name in group_by)
            cells.setdefault((start_of, group), []).append(row)
    figures = {cell: (aggregate(inside, aggregation), len(inside)) for cell, inside in cells.items()}
    return aggregate(kept, aggregation), figures


def rendered(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def exact(value: object) -> Fraction:
    """A number of an answer, decoded with Decimal fractions."""
    assert isinstance(value, int | Decimal)
    assert not isinstance(value, bool)
    return Fraction(value)
