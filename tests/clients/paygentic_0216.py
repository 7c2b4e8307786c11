"""Every operation through paygentic-sdk 0.2.16, in an environment that has only that: script URL KEY.

Its calls take flat keywords where 0.6.3 takes one `request`. Exits 0 when every answer is as expected.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

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


def refusal(call: Callable[..., Any], method: Any, **arguments: Any) -> Any:
    """The typed error that the call must end in."""
    try:
        call(method, **arguments)
    except (errors.Error, errors.BadRequest) as error:
        return error
    raise AssertionError(f"{arguments} was accepted")


main(*sys.argv[1:])
