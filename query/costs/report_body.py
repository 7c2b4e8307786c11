"""The JSON of a report of costs, with exact numbers (contract 3.11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from meterhouse.domain.cost import percent_change, percentage
from meterhouse.domain.instant import render
from query.answers import exact
from query.costs.groups import Amount, Counted, Group, places_of, series_of
from query.costs.report_asked import ReportAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a report is made of.

    `groups` are all that were found, `kept` those of them that are not left out, `listed` what pages go
    through. `dimensions` are those of the one cost that was asked for, if it was one.
    """

    asked: ReportAsked
    currency: str
    found: Sequence[Counted]
    dimensions: Sequence[str]
    groups: Sequence[Group]
    kept: Sequence[Group]
    listed: Sequence[Group]

    @property
    def page(self) -> Sequence[Group]:
        return self.listed[self.asked.offset : self.asked.offset + self.asked.limit]


def report_body(made: Report, labels: Mapping[str, str]) -> dict[str, object]:
    """The JSON of a report."""
    asked, whole = made.asked, Amount.sum(group.amount for group in made.groups)
    places = places_of(made.kept, made.listed, made.page)
    return {
        "object": "cost_report",
        "currency": made.currency,
        "period": {"from": render(asked.from_), "to": render(asked.to)},
        "groupBy": asked.group_by,
        "totalCost": _number(whole.cost),
        "totalQuantity": _number(whole.quantity),
        "groups": [_group_body(group, made, whole, labels) for group in made.page],
        "timeSeries": [] if asked.window_size is None else _series_body(made.found, places),
        "availableDimensions": list(made.dimensions),
        "groupCount": len(made.groups),
        "emptyGroupCount": sum(group.is_empty for group in made.groups),
        "pagination": {"limit": asked.limit, "offset": asked.offset, "total": len(made.listed)},
    }


def _group_body(group: Group, made: Report, whole: Amount, labels: Mapping[str, str]) -> dict[str, object]:
    amount = group.amount
    body: dict[str, object] = {
        "key": group.key,
        "label": "Other" if group.is_other else labels.get(group.key, group.key),
        "totalCost": _number(amount.cost),
        "totalQuantity": _number(amount.quantity),
        "percentOfTotal": _number(percentage(amount.cost, whole.cost)),
        "isOther": group.is_other,
    }
    unit = _unit(group, made)
    if unit:
        body["unit"] = unit
    if made.asked.compare_prior_period:
        change = percent_change(amount.cost, group.before.cost)
        body["priorPeriod"] = {
            "cost": _number(group.before.cost),
            "changePercent": None if change is None else _number(change),
        }
    return body


def _unit(group: Group, made: Report) -> str:
    """The cost's; of several costs together the one that they share, if they do."""
    units = {one.cost.id: one.cost.metric.unit for one in made.found}
    if made.asked.dimension is None and not group.is_other:
        return units[group.key]
    [unit, *others] = {*units.values()} or {""}
    return "" if others else unit


def _series_body(found: Sequence[Counted], places: Mapping[str, str]) -> list[dict[str, object]]:
    return [
        {
            "windowStart": render(window.start),
            "windowEnd": render(window.end),
            "groups": {place: _number(cost) for place, cost in costs.items()},
        }
        for window, costs in series_of(found, places)
    ]


def _number(number: Decimal) -> msgspec.Raw:
    return msgspec.Raw(exact(number))
