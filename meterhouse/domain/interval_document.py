"""Price intervals as documents, as records of changes keep them (contract 2.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from meterhouse.domain.instant import Instant, render
from meterhouse.domain.interval_change import IntervalDifference
from meterhouse.domain.price_interval import Charge, PriceInterval

ONE_OFF = "one_off"


def entry_of(one: IntervalDifference) -> dict[str, Any]:
    """An interval before and after an edit, with the rate that it has just now."""
    interval = one.before or one.after
    assert interval is not None, "one of both is there"
    copies = {"before": _copy(one.before), "after": _copy(one.after)}
    return {"intervalId": interval.id, **copies}


def _copy(interval: PriceInterval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {
        "priceId": interval.charge.price.id,
        "priceKey": interval.key,
        "planVersionId": interval.plan_version_id,
        "resolvedUnitPrice": _text(interval.charge.resolved_unit_price),
        **charge_document(interval.charge),
        "startDate": render(interval.start),
        "endDate": _moment(interval.end),
    }


def charge_document(charge: Charge) -> dict[str, Any]:
    """What it charges, but for the price itself. Numbers are text with all their digits."""
    return {
        "unitPrice": None if charge.unit_price is None else _text(charge.unit_price),
        "baseQuantity": _text(charge.base_quantity),
        "quantityTransitions": [
            {"effectiveDate": render(step.at), "quantity": _text(step.quantity)} for step in charge.steps
        ],
        "billingCadence": charge.billing_cadence or ONE_OFF,
        "billingMode": "advance" if charge.is_in_advance else "arrears",
        "billDate": _moment(charge.bill_date),
    }


def _text(number: Decimal) -> str:
    return format(number, "f")


def _moment(instant: Instant | None) -> str | None:
    return None if instant is None else render(instant)
