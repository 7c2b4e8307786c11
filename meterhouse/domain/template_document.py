"""Entitlement templates as documents, as the wire has them (contract 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, assert_never

from meterhouse.domain.duration import Duration
from meterhouse.domain.entitlement import Boolean, Metered, Static, Template, UsagePeriod
from meterhouse.domain.instant import parse, render


def document_of(template: Template) -> dict[str, Any]:
    """`template` with all its fields; amounts are exact numbers."""
    match template:
        case Boolean():
            return {"type": "boolean"}
        case Static(config):
            return {"type": "static", "config": dict(config)}
        case Metered():
            period = {} if template.usage_period is None else {"usagePeriod": _period(template.usage_period)}
            return {
                "type": "metered",
                **period,
                "isSoftLimit": template.is_soft_limit,
                "issueAfterReset": template.issue_after_reset,
                "issueAfterResetPriority": template.issue_after_reset_priority,
                "preserveOverageAtReset": template.preserve_overage_at_reset,
                "resetMaxRollover": template.reset_max_rollover,
                "resetMinRollover": template.reset_min_rollover,
            }
    assert_never(template)


def template_of(document: Mapping[str, Any]) -> Template:
    """The template that a valid document describes; what is absent or null is as if it were not asked for."""
    given = {name: value for name, value in document.items() if value is not None}
    match given["type"]:
        case "boolean":
            return Boolean()
        case "static":
            return Static(given["config"])
        case "metered":
            defaults = Metered()
            return Metered(
                usage_period=_period_of(given["usagePeriod"]) if "usagePeriod" in given else None,
                is_soft_limit=given.get("isSoftLimit", False),
                issue_after_reset=Decimal(given.get("issueAfterReset", 0)),
                issue_after_reset_priority=given.get("issueAfterResetPriority", 0),
                preserve_overage_at_reset=given.get("preserveOverageAtReset", False),
                reset_max_rollover=Decimal(given.get("resetMaxRollover", defaults.reset_max_rollover)),
                reset_min_rollover=Decimal(given.get("resetMinRollover", defaults.reset_min_rollover)),
            )
    raise ValueError(f"there is no entitlement template of type {given['type']!r}")


def _period(period: UsagePeriod) -> dict[str, str]:
    anchor = {} if period.anchor is None else {"anchor": render(period.anchor)}
    return {"interval": str(period.interval), **anchor}


def _period_of(document: Mapping[str, Any]) -> UsagePeriod:
    anchor = document.get("anchor")
    return UsagePeriod(Duration.parse(document["interval"]), None if anchor is None else parse(anchor))
