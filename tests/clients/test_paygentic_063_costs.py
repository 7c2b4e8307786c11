"""The published paygentic-sdk 0.6.3, unmodified: costs, and what is left of revenue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from paygentic_sdk import errors

from tests.clients.conftest import Caller
from tests.clients.counted import FROM, TO, until

pytestmark = pytest.mark.anyio

_LATER: Final = datetime(2199, 1, 1, tzinfo=UTC)


async def _cost(call: Caller, event_type: str, **fields: Any) -> Any:
    wanted = {
        "type_": "metered",
        "name": "Inference",
        "unit_cost": 0.002,
        "currency": "USD",
        "product_id": "prod_dev",
        "aggregation": "SUM",
        "event_type": event_type,
        "value_property": "$.tokens",
        "group_by": {"model": "$.model"},
        "unit": "token",
    }
    return await call("costs.create_cost", **(wanted | fields))


async def _used(call: Caller, event_type: str, subject: str, *, hour: int, model: str, tokens: int) -> None:
    wanted = {
        "type": event_type,
        "source": "svc",
        "subject": subject,
        "data": {"tokens": tokens, "model": model},
        "timestamp": FROM + timedelta(hours=hour),
    }
    await call("events.ingest", request=wanted)


async def test_costs_are_created_read_listed_changed_and_deleted(call: Caller, event_type: str) -> None:
    made = await _cost(call, event_type, unit_cost=1e-07)
    assert (made.unit_cost, made.currency, made.type, made.deleted_at) == (
        "0.0000001",
        "USD",
        "metered",
        None,
    )
    assert await call("costs.get_cost", id=made.id) == made
    changed = await call("costs.update_cost", id=made.id, unit_cost=0.5, unit=None, aggregation="MAX")
    assert (changed.unit_cost, changed.unit, changed.aggregation) == ("0.5", None, "MAX")
    assert (await call("costs.update_cost", id=made.id)).unit_cost == "0.5"
    total = (await call("costs.list_costs", request={"product_id": "prod_dev", "limit": 1})).pagination.total
    newest = {"merchant_id": "org_dev", "limit": 100, "offset": max(0, total - 100)}
    assert changed in (await call("costs.list_costs", request=newest)).data
    await call("costs.delete_cost", id=made.id)
    with pytest.raises(errors.Error) as refused:
        await call("costs.get_cost", id=made.id)
    assert refused.value.status_code == 404


async def test_a_wrong_cost_is_a_typed_400(call: Caller, event_type: str) -> None:
    for fields, field in (({"unit_cost": -1}, "unitCost"), ({"value_property": None}, "valueProperty")):
        with pytest.raises(errors.BadRequest) as refused:
            await _cost(call, event_type, **fields)
        assert isinstance(refused.value.data, errors.ValidationErrorData)
        assert [one.field for one in refused.value.data.errors] == [field]


async def test_costs_are_summed_up_and_reported(call: Caller, event_type: str) -> None:
    cost = await _cost(call, event_type)
    counted = {"aggregation": "COUNT", "value_property": None, "group_by": None, "unit_cost": 1}
    calls = await _cost(call, event_type, **counted)
    for hour, model, tokens in ((0, "a", 1500), (0, "b", 500), (3, "a", 1000)):
        await _used(call, event_type, f"{event_type}.{model}", hour=hour, model=model, tokens=tokens)
    period = {"from_": FROM, "to": TO}
    summary = await until(
        lambda: call("costs.get_cost_summary", id=cost.id, **period, group_by="model", window="HOUR"),
        lambda answer: answer.total_quantity == 3000,
    )
    assert (summary.total_cost, summary.currency, summary.unit) == (6, "USD", "token")
    assert [(one.dimensions, one.cost) for one in summary.groups] == [
        ({"model": "a"}, 5),
        ({"model": "b"}, 1),
    ]
    assert [(one.window_start, one.cost) for one in summary.time_series] == [
        (FROM, 4),
        (FROM + timedelta(hours=3), 2),
    ]
    both = {**period, "cost_id": [cost.id, calls.id]}
    report = await until(
        lambda: call("costs.get_cost_report", **both, group_by="customer", window_size="DAY"),
        lambda answer: answer.total_cost == 9,
    )
    assert [(one.key, one.total_cost) for one in report.groups] == [
        (f"{event_type}.a", 7),
        (f"{event_type}.b", 2),
    ]
    assert report.time_series[0].groups == {f"{event_type}.a": 7, f"{event_type}.b": 2}
    by_cost = await call("costs.get_cost_report", **both, group_by="cost", top_n=1, compare_prior_period=True)
    assert [(one.key, one.is_other, one.prior_period.change_percent) for one in by_cost.groups] == [
        (cost.id, False, None),
        ("__other__", True, None),
    ]
    one = {**period, "cost_id": [cost.id]}
    by_model = await call("costs.get_cost_report", **one, group_by="model", filter_group_by='{"model":"b"}')
    assert ([group.key for group in by_model.groups], by_model.available_dimensions) == (["b"], ["model"])


async def _buyer(call: Caller, name: str, price: str) -> str:
    """A customer that has bought a grant."""
    consumer = {"name": name, "email": f"{name}@example.com", "address": {}}
    customer = (await call("customers.create", merchant_id="org_dev", consumer=consumer)).customer_id
    feature = await call(
        "features.create",
        key=name.replace(".", "-"),
        name=name,
        merchant_id="org_dev",
        product_id="prod_dev",
        type_="metered",
    )
    metric = await call(
        "billable_metrics.create",
        aggregation="COUNT",
        description="d",
        merchant_id="org_dev",
        name=name,
        unit="call",
        event_type=name,
        product_id="prod_dev",
    )
    issued = await call(
        "entitlements.issue",
        customer_id=customer,
        feature_id=feature.id,
        template={"type": "metered"},
        metadata={"billableMetricId": metric.id},
    )
    bought = {"entitlement_id": issued.id, "amount": 5, "price": price, "idempotency_key": name}
    await call("entitlements.grants.purchase", **bought)
    return str(customer)


async def test_revenue_and_profit_are_read(call: Caller, event_type: str) -> None:
    customer = await _buyer(call, event_type, "10.00")
    period = {"start_time": FROM, "end_time": _LATER, "customer_id": customer}
    revenue = await call("revenue.get", **period, group_by="customer", bucket_width="week")
    assert (revenue.net_revenue, revenue.invoices.outstanding.count) == ("10.00", 1)
    assert [(one.group_label, one.outstanding.amount) for one in revenue.group_breakdown] == [
        (event_type, "10.00")
    ]
    assert [one.revenue for one in revenue.trend] == ["10.00"]
    by_currency = await call("revenue.get", **period, group_by="currency")
    assert [one.net_revenue for one in by_currency.currency_breakdown] == ["10.00"]
    await _cost(call, event_type)
    await _used(call, event_type, customer, hour=1, model="a", tokens=1500)
    whole = {"merchant_id": "org_dev", "from_": FROM, "to": _LATER}

    async def row() -> Any:
        summary = await call("profitability.get_profitability", **whole, top_n=100, exclude_empty=True)
        return next(one for one in summary.rows if one.customer_id == customer)

    found = await until(row, lambda one: one.cost_data == "recorded")
    figures = (found.net_revenue, found.total_cost, found.profit, found.margin_pct)
    assert figures == ("10.00", "3.00", "7.00", "70.00")
