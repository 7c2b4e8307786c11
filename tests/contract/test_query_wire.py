"""The published client and our own OpenAPI against the query service, in one process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from paygentic_sdk import Paygentic, errors, models
from pydantic import BaseModel

from ingest.openapi import OPENAPI as INGEST
from query.customers.wire import CustomerBody
from query.metering.wire import BillableMetricBody, EventRecordBody, MeterEventListBody, UsageBody
from query.sales.wire import FeatureBody, ProductBody
from query.wire import ListBody
from tests.fakes_query import KEY, MERCHANT, QueryService, customer_body, event, feature_body, metric_body

pytestmark = pytest.mark.anyio

START, END = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2)  # noqa: DTZ001 - guides pass naive ones
PERIOD = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


@pytest.fixture
def service() -> QueryService:
    service = QueryService()
    service.add(
        event("a", b'{"tokens":12.5,"model":"x"}'),
        event("b", b'{"tokens":1}', minute=1, subject="", external_subject="acme", external_id="x-1"),
    )
    return service


@pytest.fixture
async def paygentic(service: QueryService) -> AsyncIterator[Paygentic]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service.app)) as client:
        with httpx.Client() as unused:
            yield Paygentic(
                server_url="http://query.test", bearer_auth=KEY, async_client=client, client=unused
            )


async def _create(paygentic: Paygentic) -> models.BillableMetric:
    return await paygentic.billable_metrics.create_async(
        aggregation="SUM",
        name="Tokens",
        description="d",
        unit="tokens",
        merchant_id=MERCHANT,
        event_type="t",
        value_property="$.tokens",
        group_by={"model": "$.model"},
        event_from=datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC),
    )


async def test_the_published_client_manages_billable_metrics(paygentic: Paygentic) -> None:
    created = await _create(paygentic)
    assert (created.aggregation, created.group_by, created.item_id) == ("SUM", {"model": "$.model"}, None)
    assert created.event_from == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert await paygentic.billable_metrics.get_async(id=created.id) == created
    changed = await paygentic.billable_metrics.update_async(id=created.id, name="n2", group_by=None)
    assert (changed.name, changed.group_by, changed.value_property) == ("n2", None, "$.tokens")
    listed = await paygentic.billable_metrics.list_async(merchant_id=MERCHANT)
    assert [metric.id for metric in listed.data] == [created.id]
    assert listed.pagination.total == 1


async def test_the_published_client_reads_usage_and_events(paygentic: Paygentic) -> None:
    metric = await _create(paygentic)
    usage = await paygentic.billable_metrics.meter_async(
        id=metric.id, from_=START, to=END, window_size="HOUR", group_by="subject,model", group_limit=5
    )
    assert (usage.total_value, usage.group_count) == (13.5, 2)
    assert usage.windowed_values is not None
    assert usage.grouped_values is not None
    assert [one.value for one in usage.windowed_values] == [1, 12.5]
    assert [one.group_by for one in usage.grouped_values] == [
        {"subject": "", "model": ""}, {"subject": "cus_1", "model": "x"},
    ]  # fmt: skip
    filtered = await paygentic.billable_metrics.meter_async(
        id=metric.id, from_=START, to=END, filter_group_by='{"model": "x"}', subject="cus_1"
    )
    assert filtered.total_value == 12.5
    listed = await paygentic.billable_metrics.list_events_async(
        id=metric.id, from_=START, to=END, external_subject="acme"
    )
    (shown,) = listed.events
    assert (shown.id, shown.subject, shown.external_id, shown.data) == ("b", "", "x-1", {"tokens": 1})


async def test_the_published_client_manages_products(paygentic: Paygentic) -> None:
    created = await paygentic.products.create_async(name="n", description="d", merchant_id=MERCHANT)
    assert (await paygentic.products.get_async(id=created.id)).name == "n"
    changed = await paygentic.products.update_async(id=created.id, description="d2")
    assert (changed.name, changed.description) == ("n", "d2")
    listed = await paygentic.products.list_async(request={"merchant_id": MERCHANT})
    assert listed is not None
    assert [product.id for product in listed.data or []] == ["prod_a", created.id]


async def test_the_published_client_manages_customers(paygentic: Paygentic) -> None:
    consumer: models.CreateCustomerConsumerTypedDict = {
        "name": "Acme",
        "email": "billing@acme.example",
        "address": {"country": "GB"},
    }
    created = await paygentic.customers.create_async(
        merchant_id=MERCHANT, consumer=consumer, tax_rates={"default": 13.5}
    )
    assert created.valid_tax_address.message == "the address lacks line1, city, zipCode"
    shown = await paygentic.customers.get_async(id=created.customer_id)
    assert (shown.tax_rates, shown.external_id) == ({"default": 13.5}, None)
    changed = await paygentic.customers.update_async(
        id=shown.id, external_id="acme-1", notification_settings={"invoice_paid": False}
    )
    assert changed.notification_settings is not None
    assert (changed.external_id, changed.notification_settings.invoice_paid) == ("acme-1", False)
    listed = await paygentic.customers.list_async(organization_id=MERCHANT, external_id="acme-1")
    assert (listed.data, listed.pagination.total) == ([changed], 1)
    await paygentic.customers.delete_async(id=shown.id)
    with pytest.raises(errors.Error) as gone:
        await paygentic.customers.get_async(id=shown.id)
    assert gone.value.raw_response.status_code == 404


async def test_the_published_client_raises_its_typed_errors(paygentic: Paygentic) -> None:
    with pytest.raises(errors.Error) as absent:
        await paygentic.billable_metrics.get_async(id="bm_none")
    assert absent.value.raw_response.status_code == 404
    with pytest.raises(errors.Error) as forbidden:
        await paygentic.products.create_async(name="n", description="d", merchant_id="org_b")
    assert forbidden.value.raw_response.status_code == 403
    metric = await _create(paygentic)
    with pytest.raises(errors.BadRequest) as bad:
        await paygentic.billable_metrics.meter_async(id=metric.id, from_=START, to=END, group_by="colour")
    assert isinstance(bad.value.data, errors.ValidationErrorData)
    assert bad.value.data.errors[0].field == "groupBy"


@pytest.mark.parametrize(
    ("path", "params", "model"),
    [
        ("/v0/products/prod_a", {}, ProductBody),
        ("/v0/features/{feature}", {}, FeatureBody),
        ("/v0/features", {"productId": "prod_a"}, ListBody[FeatureBody]),
        ("/v0/customers/{customer}", {}, CustomerBody),
        ("/v0/customers", {"organizationId": MERCHANT}, ListBody[CustomerBody]),
        ("/v0/billableMetrics/{id}", {}, BillableMetricBody),
        ("/v0/billableMetrics/{id}/meter", PERIOD, UsageBody),
        (
            "/v0/billableMetrics/{id}/meter",
            PERIOD | {"windowSize": "DAY", "groupBy": "subject", "groupLimit": "9"},
            UsageBody,
        ),
        ("/v0/billableMetrics/{id}/events", PERIOD, MeterEventListBody),
        ("/api/v1/events/a", {}, EventRecordBody),
    ],
)
async def test_answers_are_what_openapi_says_they_are(
    service: QueryService, path: str, params: dict[str, str], model: type[BaseModel]
) -> None:
    id = await service.metric(valueProperty="$.tokens")
    made = await service.client.post("/v0/customers", json=customer_body(taxRates={"default": 13.5}))
    customer = made.json()["customerId"]
    feature = (await service.client.post("/v0/features", json=feature_body())).json()["id"]
    address = path.format(id=id, customer=customer, feature=feature)
    response = await service.client.get(address, params=params)
    assert response.headers["content-type"] == "application/json"
    model.model_validate_json(response.content)  # forbids what it does not know


async def test_openapi_describes_every_answer_and_never_a_422() -> None:
    service = QueryService(extra_openapi=INGEST)
    async with service.client_of(None) as nobody:
        document: dict[str, Any] = (await nobody.get("/openapi.json")).json()
    assert {"/v0/products/{id}", "/v0/events", "/api/v1/events", "/api/v1/events/{event_id}"} <= set(
        document["paths"]
    )
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert {"401", "503"} <= set(operation["responses"]), (method, path)
            assert "422" not in operation["responses"]
            assert operation["security"] == [{"apiKey": []}]
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    references = set(_references(document))
    assert references <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    asked = document["paths"]["/v0/billableMetrics/{id}/meter"]["get"]
    limit = next(one for one in asked["parameters"] if one["name"] == "groupLimit")
    assert limit["schema"].items() >= {"type": "integer", "minimum": 1, "maximum": 500}.items()
    assert {"200", "400", "404", "504"} <= set(asked["responses"])


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [one for value in node.values() for one in _references(value)]
    if isinstance(node, list):
        return [one for value in node for one in _references(value)]
    return []


async def test_the_contracts_own_example_is_accepted(service: QueryService) -> None:
    """The published README creates a SUM without eventType and valueProperty."""
    body = metric_body(eventType=..., valueProperty=...)
    assert (await service.client.post("/v0/billableMetrics", json=body)).status_code == 201
