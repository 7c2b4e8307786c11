"""Every operation through paygentic-sdk 0.2.16, in an environment that has only that: script URL KEY.

Its calls take flat keywords where 0.6.3 takes one `request`. Exits 0 when every answer is as expected.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from paygentic_sdk import Paygentic, errors

FROM = datetime(2026, 5, 1, tzinfo=UTC)
TO = datetime(2026, 6, 1, tzinfo=UTC)


def main(url: str, key: str) -> None:
    for way in ("sync", "async"):
        with Paygentic(server_url=url, bearer_auth=key) as client, asyncio.Runner() as runner:
            _everything(client, way, runner)
    print("every operation answered as expected")


def _everything(client: Any, way: str, runner: asyncio.Runner) -> None:
    def call(method: Any, **arguments: Any) -> Any:
        if way == "sync":
            return method(**arguments)
        twin = getattr(method.__self__, method.__name__ + "_async")
        return runner.run(twin(**arguments))

    event_type = f"old.{way}.{time.monotonic_ns()}"
    product = call(client.products.create, name="old", description="d", merchant_id="org_dev")
    assert call(client.products.get, id=product.id) == product
    assert call(client.products.update, id=product.id, name="older").name == "older"
    assert call(client.products.list, request={"merchant_id": "org_dev"}).pagination.total >= 1

    consumer = {"name": "old", "email": f"{event_type}@example.com", "address": {}}
    made = call(client.customers.create, merchant_id="org_dev", consumer=consumer, external_id=event_type)
    customer = call(client.customers.get, id=made.customer_id)
    listed = call(client.customers.list, organization_id="org_dev", external_id=event_type)
    assert listed.data == [customer]
    assert call(client.customers.update, id=customer.id, tax_id="US1").tax_id == "US1"
    call(client.customers.delete, id=customer.id)
    assert refusal(call, client.customers.get, id=customer.id).status_code == 404

    metric = call(
        client.billable_metrics.create,
        aggregation="SUM",
        description="d",
        merchant_id="org_dev",
        name="Tokens",
        product_id=product.id,
        unit="tokens",
        event_type=event_type,
        value_property="$.tokens",
        group_by={"model": "$.model"},
    )
    assert call(client.billable_metrics.get, id=metric.id) == metric
    listed = call(client.billable_metrics.list, merchant_id="org_dev", product_id=product.id)
    assert [one.id for one in listed.data] == [metric.id]
    typeless = call(
        client.billable_metrics.create,
        aggregation="COUNT",
        description="d",
        merchant_id="org_dev",
        name="Later",
        product_id=product.id,
        unit="u",
    )
    assert typeless.event_type is None
    assert call(client.billable_metrics.update, id=metric.id, name="n2", event_from=None).name == "n2"

    _sold(client, call, product.id, metric.id)

    for hour in (0, 0, 1):
        call(
            client.events.ingest,
            type_=event_type,
            source="svc",
            subject="cus_1",
            data={"tokens": 10, "model": "gpt"},
            timestamp=FROM + timedelta(hours=hour),
            idempotency_key=f"{event_type}/{hour}",
        )

    period = {"id": metric.id, "from_": FROM, "to": TO}
    deadline = time.monotonic() + 60
    while True:
        usage = call(client.billable_metrics.meter, **period, window_size="HOUR", group_by="model")
        if usage.total_value == 20:
            break
        assert time.monotonic() < deadline, usage
        time.sleep(0.05)
    assert [window.value for window in usage.windowed_values] == [10, 10]
    assert [group.group_by for group in usage.grouped_values] == [{"model": "gpt"}] * 2
    events = call(client.billable_metrics.list_events, **period)
    assert [event.idempotency_key for event in events.events] == [f"{event_type}/1", f"{event_type}/0"]

    _costs(client, call, product.id, event_type)

    assert refusal(call, client.billable_metrics.get, id="bm_none").status_code == 404
    assert refusal(call, client.products.get, id="prod_none").status_code == 404
    wrong = refusal(
        call,
        client.billable_metrics.create,
        aggregation="SUM",
        description="d",
        merchant_id="org_dev",
        name="Wrong",
        product_id=product.id,
        unit="u",
        value_property="tokens",
    )
    assert isinstance(wrong.data, errors.ValidationErrorData), wrong


def _costs(client: Any, call: Callable[..., Any], product: str, event_type: str) -> None:
    """A cost of the same events that a billable metric counts."""
    cost = call(
        client.costs.create_cost,
        type_="metered",
        name="old",
        unit_cost=0.5,
        currency="USD",
        product_id=product,
        aggregation="SUM",
        event_type=event_type,
        value_property="$.tokens",
        group_by={"model": "$.model"},
    )
    assert call(client.costs.get_cost, id=cost.id) == cost
    assert call(client.costs.list_costs, request={"product_id": product}).data == [cost]
    assert call(client.costs.update_cost, id=cost.id, unit_cost=0.25).unit_cost == "0.25"
    period = {"from_": FROM, "to": TO}
    deadline = time.monotonic() + 60
    while True:
        summary = call(client.costs.get_cost_summary, id=cost.id, **period, group_by="model", window="DAY")
        if summary.total_cost == 5:
            break
        assert time.monotonic() < deadline, summary
        time.sleep(0.05)
    assert [(one.dimensions, one.quantity) for one in summary.groups] == [({"model": "gpt"}, 20)]
    report = call(client.costs.get_cost_report, **period, group_by="model", cost_id=[cost.id])
    assert [(one.key, one.total_cost) for one in report.groups] == [("gpt", 5)]
    call(client.costs.delete_cost, id=cost.id)
    assert refusal(call, client.costs.get_cost, id=cost.id).status_code == 404


def _sold(client: Any, call: Callable[..., Any], product: str, metric: str) -> None:
    """Features, items, fees and prices. Its volume prices have a shape of their own, which is gone."""
    feature = call(
        client.features.create,
        key="old",
        name="old",
        merchant_id="org_dev",
        product_id=product,
        type_="metered",
        metadata={"billableMetricId": metric},
    )
    assert call(client.features.get, id=feature.id) == feature
    assert call(client.features.list, product_id=product, key="old").data == [feature]
    assert call(client.features.update, id=feature.id, name="older").name == "older"
    item = call(client.items.create_item, merchant_id="org_dev", name="old", metadata={"a": 1})
    assert call(client.items.get_item, id=item.id) == item
    code = {"provider": "sage", "external_id": metric}
    entity = {"merchant_id": "org_dev", "entity_type": "item", "entity_id": item.id}
    reference = call(client.external_references.create_external_reference, **entity, **code)
    assert call(client.external_references.get_external_reference, id=reference.id) == reference
    fee = call(client.fees.create, name="old", description="d", merchant_id="org_dev", product_id=product)
    assert call(client.fees.get, id=fee.id) == fee
    priced: dict[str, Any] = {"invoice_display_name": "old", "payment_term": "in_arrears"}
    for model, properties in (
        ("standard", {"unit_price": "0.010"}),
        ("dynamic", {"max_price": "2", "min_price": "1"}),
        ("percentage", {"max_charge": "2", "min_charge": "1", "percentage": "0.03"}),
    ):
        priced |= {"model": model, "properties": properties}
        price = call(client.prices.create, **priced, billable_metric_id=metric)
        assert call(client.prices.get, id=price.id) == price
    owed = call(
        client.prices.create,
        invoice_display_name="fee",
        payment_term="instant",
        properties={"unit_price": "20"},
        fee_id=fee.id,
        billing_cadence="P0D",
        feature={"feature_id": feature.id, "entitlement_template": {"type": "metered"}},
    )
    assert (owed.features[0].feature_id, owed.properties.unit_price) == (feature.id, "20")
    assert len(call(client.prices.list, request={"billable_metric_id": metric}).data) == 3
    plan = call(
        client.plans.create, currency="USD", merchant_id="org_dev", name="old", prices=[price.id, owed.id]
    )
    assert ([one.id for one in plan.prices], plan.billing_version) == ([price.id, owed.id], 0)
    assert call(client.plans.get, id=plan.id) == plan
    assert call(client.plans.list, request={"merchant_id": "org_dev"}).pagination.total >= 1
    assert call(client.plans.update, id=plan.id, prices=[price.id]).prices == [plan.prices[0]]
    _subscribed(client, call, plan.id)
    changed = call(client.prices.update, id=owed.id, invoice_display_name="n2", feature=None)
    assert (changed.invoice_display_name, changed.features) == ("n2", [])
    call(client.prices.delete, id=owed.id)
    call(client.fees.delete, id=fee.id)
    call(client.features.delete, id=feature.id)
    assert refusal(call, client.features.get, id=feature.id).status_code == 404


def _subscribed(client: Any, call: Callable[..., Any], plan: str) -> None:
    """A subscription on a test clock, from its beginning to its end."""
    clock = call(client.test_clocks.create, merchant_id="org_dev", name="old")
    assert call(client.test_clocks.get, id=clock.id) == clock
    assert clock in call(client.test_clocks.list, request={"limit": 100}).data
    consumer = {"name": "s", "email": f"{plan}@example.com"}
    made = call(
        client.subscriptions.create,
        name="old",
        plan_id=plan,
        started_at=FROM,
        customer=consumer | {"address": {"country": "DE", "zip_code": "10115"}},
        test_clock_id=clock.id,
    )
    assert (made.status, made.test_clock_id) == ("active", clock.id)
    assert call(client.subscriptions.get, id=made.id) == made
    listed = call(client.subscriptions.list, request={"customer_id": made.customer_id})
    assert listed.data == [made]
    changed = call(client.subscriptions.update_subscription, id=made.id, auto_charge=True)
    assert changed.auto_charge is True
    link = call(client.subscriptions.generate_portal_link, id=made.id, expires_in="PT1H")
    assert f"<h1><bdi>{made.name}</bdi></h1>" in httpx.get(link.url).text
    now = call(client.test_clocks.advance, id=clock.id, request_body={"advance_by": "P1D"}).current_time
    ended = call(client.subscriptions.terminate, id=made.id, reason="bye")
    assert (ended.status, ended.terminated_at) == ("terminated", now)
    assert call(client.test_clocks.delete, id=clock.id).deleted_at is not None


def refusal(call: Callable[..., Any], method: Any, **arguments: Any) -> Any:
    """The typed error that the call must end in."""
    try:
        call(method, **arguments)
    except (errors.Error, errors.BadRequest) as error:
        return error
    raise AssertionError(f"{arguments} was accepted")


main(*sys.argv[1:])
