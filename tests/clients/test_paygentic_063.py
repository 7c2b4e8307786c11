"""The published paygentic-sdk 0.6.3, unmodified, for every operation that the server has."""

from __future__ import annotations

from importlib.metadata import version
from itertools import count
from typing import Any, Final

import pytest
from paygentic_sdk import Paygentic, errors

from tests.clients.conftest import Caller, Running
from tests.clients.counted import FROM, TO, create_metric, usage_event

_names: Final = count(1)


def test_the_client_is_the_published_one() -> None:
    assert version("paygentic-sdk") == "0.6.3"


@pytest.mark.anyio
async def test_products_are_created_read_listed_and_updated(call: Caller) -> None:
    made = await call("products.create", name="p", description="d", merchant_id="org_dev")
    assert (made.name, made.description, made.merchant_id) == ("p", "d", "org_dev")
    assert await call("products.get", id=made.id) == made
    changed = await call("products.update", id=made.id, name="p2")
    assert (changed.name, changed.description) == ("p2", "d")
    total = (await call("products.list", request={"merchant_id": "org_dev", "limit": 1})).pagination.total
    newest = {"merchant_id": "org_dev", "limit": 100, "offset": max(0, total - 100)}
    assert changed in (await call("products.list", request=newest)).data


@pytest.mark.anyio
async def test_customers_are_created_read_listed_updated_and_deleted(call: Caller, event_type: str) -> None:
    wanted = {
        "merchant_id": "org_dev",
        "consumer": {
            "name": f"Company {event_type}",
            "email": f"{event_type}@example.com",
            "address": {"line1": "1", "city": "SF", "state": "CA", "country": "US", "zip_code": "94105"},
        },
        "tax_id": "US1",
        "external_id": event_type,
        "tax_rates": {"default": 13.5},
    }
    made = await call("customers.create", **wanted)
    assert made.valid_tax_address.valid
    assert (await call("customers.create", **wanted)).customer_id == made.customer_id
    shown = await call("customers.get", id=made.customer_id)
    assert (shown.merchant_id, shown.external_id, shown.tax_rates) == (
        "org_dev",
        event_type,
        {"default": 13.5},
    )
    assert (shown.organization.id, shown.organization.name) == (shown.consumer_id, f"Company {event_type}")
    assert shown.organization.address.zip_code == "94105"
    for asked in (
        {"external_id": event_type},
        {"name": f"COMPANY {event_type}"},
        {"email": f"{event_type}@"},
    ):
        listed = await call("customers.list", organization_id="org_dev", **asked)
        assert (listed.data, listed.pagination.total) == ([shown], 1)
    changed = await call(
        "customers.update",
        id=shown.id,
        external_id=None,
        tax_rates=7.5,
        notification_settings={"invoice_paid": False},
    )
    assert (changed.external_id, changed.tax_id, changed.tax_rates) == (None, "US1", {"default": 7.5})
    assert (changed.notification_settings.invoice_issued, changed.notification_settings.invoice_paid) == (
        True,
        False,
    )
    named = await call("customers.create", merchant_id="org_dev", consumer_id=shown.consumer_id)
    assert named.customer_id == shown.id
    await call("customers.delete", id=shown.id)
    with pytest.raises(errors.Error) as gone:
        await call("customers.get", id=shown.id)
    assert gone.value.status_code == 404


@pytest.mark.anyio
async def test_features_are_created_read_listed_updated_and_deleted(call: Caller, event_type: str) -> None:
    metric = await create_metric(call, event_type)
    product = await call("products.create", name=event_type, description="d", merchant_id="org_dev")
    wanted = {"key": "api_calls", "name": "API", "merchant_id": "org_dev", "product_id": product.id}
    named = {"billableMetricId": metric.id}
    made = await call("features.create", **wanted, type_="metered", metadata=named)
    assert (made.key, made.type, made.metadata, made.product_id) == (
        "api_calls",
        "metered",
        named,
        product.id,
    )
    assert await call("features.get", id=made.id) == made
    plain = await call("features.create", **(wanted | {"key": "sso"}))
    assert (plain.type, plain.metadata) == ("boolean", {})
    listed = await call("features.list", product_id=product.id)
    assert (listed.data, listed.pagination.total) == ([made, plain], 2)
    assert (await call("features.list", product_id=product.id, key="sso")).data == [plain]
    with pytest.raises(errors.Error) as taken:
        await call("features.create", **wanted)
    assert taken.value.status_code == 409
    changed = await call("features.update", id=made.id, name="n2", metadata={})
    assert (changed.name, changed.key, changed.metadata) == ("n2", "api_calls", {})
    with pytest.raises(errors.BadRequest):
        await call("features.update", id=made.id, metadata={"billableMetricId": "bm_none"})
    await call("features.delete", id=made.id)
    with pytest.raises(errors.Error) as gone:
        await call("features.get", id=made.id)
    assert gone.value.status_code == 404
    assert (await call("features.create", **wanted)).key == made.key


async def _product(call: Caller, name: str) -> str:
    made = await call("products.create", name=name, description="d", merchant_id="org_dev")
    return str(made.id)


@pytest.mark.anyio
async def test_items_and_their_references_are_managed(call: Caller, event_type: str) -> None:
    product = await _product(call, event_type)
    made = await call(
        "items.create_item", merchant_id="org_dev", name="n", catalog_id=product, metadata={"a": {"b": 1}}
    )
    assert (made.catalog_id, made.metadata, made.external_references) == (product, {"a": {"b": 1}}, [])
    code = {"provider": "netsuite", "external_id": event_type}
    named = {"merchant_id": "org_dev", "entity_type": "item", "entity_id": made.id}
    reference = await call("external_references.create_external_reference", **named, **code)
    assert (reference.is_primary, reference.is_default, reference.external_label) == (True, True, None)
    shown = await call("items.get_item", id=made.id)
    assert shown.external_references == [reference]
    for asked in ({"catalog_id": product}, code):
        assert (await call("items.list_items", request=asked)).data == [shown]
    second = await call("items.create_item", merchant_id="org_dev", name="n2")
    with pytest.raises(errors.Error) as taken:
        await call(
            "external_references.create_external_reference", **(named | {"entity_id": second.id}), **code
        )
    assert taken.value.status_code == 409
    renamed = await call(
        "external_references.update_external_reference", id=reference.id, external_label="Label"
    )
    assert renamed.external_label == "Label"
    assert await call("external_references.get_external_reference", id=reference.id) == renamed
    listed = await call("external_references.list_external_references", request={"entity_id": made.id})
    assert (listed.data, listed.pagination.total) == ([renamed], 1)
    archived = await call("items.update_item", id=made.id, archived=True)
    assert archived.archived_at is not None
    assert [one.is_primary for one in archived.external_references] == [False]
    await call("external_references.delete_external_reference", id=reference.id)
    assert (await call("items.list_items", request=code)).data == []


@pytest.mark.anyio
async def test_fees_are_created_read_listed_updated_and_deleted(call: Caller, event_type: str) -> None:
    product = await _product(call, event_type)
    wanted = {"name": "n", "description": "d", "merchant_id": "org_dev"}
    made = await call("fees.create", **wanted, product_id=product)
    assert (made.product_id, made.item_id) == (product, None)
    assert await call("fees.get", id=made.id) == made
    assert (await call("fees.list", merchant_id="org_dev", product_id=product)).data == [made]
    assert (await call("fees.update", id=made.id, name="n2", item_id=None)).name == "n2"
    price = await call(
        "prices.create",
        invoice_display_name="p",
        payment_term="in_advance",
        properties={"unit_price": "20"},
        fee_id=made.id,
        billing_cadence="P1M",
        quantity=2,
    )
    assert (price.fee_id, price.quantity, price.billing_cadence) == (made.id, 2, "P1M")
    with pytest.raises(errors.DeleteFeeConflictError) as blocked:
        await call("fees.delete", id=made.id)
    details = blocked.value.data.details
    assert details is not None
    [blocker] = details.blockers or []
    [item] = blocker.items or []
    assert (blocker.type, blocker.count, item.id) == ("prices", 1, price.id)
    await call("prices.delete", id=price.id)
    await call("fees.delete", id=made.id)
    with pytest.raises(errors.Error) as gone:
        await call("fees.get", id=made.id)
    assert gone.value.status_code == 404


@pytest.mark.anyio
async def test_prices_are_created_read_listed_updated_and_deleted(call: Caller, event_type: str) -> None:
    metric = await create_metric(call, event_type)
    feature = await call(
        "features.create",
        key=event_type.replace(".", "-") + f"-{next(_names)}",
        name="n",
        merchant_id="org_dev",
        product_id="prod_dev",
        type_="metered",
    )
    template = {"type": "metered", "issueAfterReset": 1000, "usagePeriod": {"interval": "P1M"}}
    made = await call(
        "prices.create",
        invoice_display_name="API",
        payment_term="in_arrears",
        properties={"unit_price": "0.010"},
        billable_metric_id=metric.id,
        model="standard",
        feature={"feature_id": feature.id, "entitlement_template": template},
        grant_discount_enabled=True,
    )
    assert (made.properties.unit_price, made.quantity, made.tax.supply_scope) == ("0.010", 1, "IN_SCOPE")
    assert (made.features[0].feature_id, made.features[0].entitlement_template) == (feature.id, template)
    assert (made.features[0].feature.key, made.features[0].feature.type) == (feature.key, "metered")
    assert await call("prices.get", id=made.id) == made
    ladder = {"tiers": [{"up_to": "100", "unit_price": "5"}, {"up_to": None, "unit_price": "3"}]}
    volume = await call(
        "prices.create",
        invoice_display_name="API",
        payment_term="in_arrears",
        properties=ladder,
        billable_metric_id=metric.id,
        model="volume",
    )
    assert [(tier.up_to, tier.unit_price) for tier in volume.properties.tiers] == [("100", "5"), (None, "3")]
    listed = await call("prices.list", request={"merchant_id": "org_dev", "billable_metric_id": metric.id})
    assert (listed.data, listed.pagination.total) == ([made, volume], 2)
    changed = await call("prices.update", id=made.id, invoice_display_name="n2", feature=None)
    assert (changed.invoice_display_name, changed.features, changed.properties) == ("n2", [], made.properties)
    with pytest.raises(errors.BadRequest):
        await call("prices.update", id=made.id, quantity=2)
    await call("prices.delete", id=made.id)
    with pytest.raises(errors.Error) as gone:
        await call("prices.get", id=made.id)
    assert gone.value.status_code == 404


@pytest.mark.anyio
async def test_plans_and_their_versions_are_managed(call: Caller, event_type: str) -> None:
    product, metric = await _product(call, event_type), await create_metric(call, event_type)
    wanted: dict[str, Any] = {"invoice_display_name": "p", "payment_term": "in_arrears", "model": "standard"}
    wanted |= {"properties": {"unit_price": "1"}, "billable_metric_id": metric.id}
    prices = [(await call("prices.create", **wanted)).id for _ in range(3)]
    made = await call(
        "plans.create",
        currency="USD",
        merchant_id="org_dev",
        name=f"Pro {event_type}",
        product_id=product,
        billing_cadence="P1M",
        prices=[prices[0], {"price_id": prices[1], "key": "api"}],
        credit_allocations=[{"pricing_unit_id": "pu_1", "amount": 100, "recurrence_period": "P1M"}],
        billing_anchor=FROM,
    )
    assert ([price.id for price in made.prices], made.billing_cadence) == (prices[:2], "P1M")
    assert (made.billing_version, made.default_tax_code, made.stable_price_ids) == (1, "eservice", True)
    assert (made.version_transition.effective_date, made.billing_anchor) == ("end_of_current_period", FROM)
    assert made.credit_allocations[0].amount == 100
    assert await call("plans.get", id=made.id) == made
    listed = await call("plans.list", request={"merchant_id": "org_dev", "product_id": product})
    assert (listed.data, listed.pagination.total) == ([made], 1)
    consumer = {"name": "n", "email": f"{event_type}@plans.example", "address": {}}
    customer = await call("customers.create", merchant_id="org_dev", consumer=consumer)
    available = await call(
        "plans.list_available", customer_id=customer.customer_id, search=f"PRO {event_type}"
    )
    assert made in available.data
    changed = await call("plans.update", id=made.id, description="d", billing_anchor=None, prices=prices)
    assert (changed.description, bool(changed.billing_anchor)) == ("d", False)
    assert [price.id for price in changed.prices] == prices
    minted = await call(
        "plans.mint_plan_version",
        id=made.id,
        prices=[{"price_id": prices[2], "key": "api"}],
        based_on_version_id=changed.default_version_id,
    )
    assert (minted.version_number, minted.is_default, minted.prices[0].key) == (3, True, "api")
    with pytest.raises(errors.Error) as moved:
        await call(
            "plans.mint_plan_version",
            id=made.id,
            prices=prices,
            based_on_version_id=changed.default_version_id,
        )
    assert moved.value.status_code == 409
    assert await call("plans.get_plan_version", id=made.id, version_number=3) == minted
    versions = await call("plans.list_plan_versions", id=made.id)
    assert [one.version_number for one in versions.data] == [3, 2, 1]
    back = await call("plans.transition_plan_version", id=made.id, version_number=1, default=True)
    assert (back.is_default, [line.id for line in back.prices]) == (True, prices[:2])
    with pytest.raises(errors.DeletePriceConflictError) as blocked:
        await call("prices.delete", id=prices[0])
    details = blocked.value.data.details
    assert details is not None
    [blocker] = details.blockers or []
    [item] = blocker.items or []
    assert (blocker.type, item.id, item.version_number) == ("plans", made.id, 1)


@pytest.mark.anyio
async def test_an_external_id_that_is_taken_is_a_typed_409(call: Caller, event_type: str) -> None:
    def wanted(number: int) -> dict[str, Any]:
        email = f"{event_type}.{number}@example.com"
        consumer = {"name": "n", "email": email, "address": {}}
        return {"merchant_id": "org_dev", "consumer": consumer, "external_id": event_type}

    await call("customers.create", **wanted(1))
    with pytest.raises(errors.Error) as refused:
        await call("customers.create", **wanted(2))
    assert refused.value.status_code == 409


@pytest.mark.anyio
async def test_bad_fields_are_typed_400s_that_name_the_field(call: Caller) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        await create_metric(call, "t", value_property="tokens")
    assert isinstance(refused.value.data, errors.ValidationErrorData)
    assert "valueProperty" in [one.field for one in refused.value.data.errors]
    with pytest.raises(errors.BadRequest):
        await call("events.ingest", request=usage_event("t", external_id="not a legal id"))
    with pytest.raises(errors.BadRequest):
        await call("billable_metrics.meter", id="bm_none", from_=TO, to=FROM)


@pytest.mark.anyio
async def test_a_wrong_key_is_a_401(server: Running) -> None:
    with Paygentic(server_url=server.url, bearer_auth="nonsense") as stranger:
        with pytest.raises(errors.Error) as refused:
            stranger.events.ingest(request=usage_event("t"))
        assert refused.value.status_code == 401
        with pytest.raises(errors.Error) as refused:
            stranger.products.get(id="prod_dev")
        assert refused.value.status_code == 401


@pytest.mark.anyio
async def test_another_merchant_in_a_request_is_a_403(call: Caller) -> None:
    with pytest.raises(errors.Error) as refused:
        await create_metric(call, "t", merchant_id="org_other")
    assert refused.value.status_code == 403
    with pytest.raises(errors.Error) as refused:
        await call("events.ingest", request=usage_event("t", namespace="org_other"))
    assert refused.value.status_code == 403


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("billable_metrics.get", {"id": "bm_none"}),
        ("billable_metrics.update", {"id": "bm_none", "name": "n"}),
        ("billable_metrics.meter", {"id": "bm_none", "from_": FROM, "to": TO}),
        ("billable_metrics.list_events", {"id": "bm_none", "from_": FROM, "to": TO}),
        ("products.get", {"id": "prod_none"}),
        ("products.update", {"id": "prod_none", "name": "n"}),
        ("features.get", {"id": "feat_none"}),
        ("features.update", {"id": "feat_none", "name": "n"}),
        ("features.delete", {"id": "feat_none"}),
        ("features.list", {"product_id": "prod_none"}),
        ("items.get_item", {"id": "itm_none"}),
        ("items.update_item", {"id": "itm_none", "name": "n"}),
        ("external_references.get_external_reference", {"id": "xrf_none"}),
        ("external_references.delete_external_reference", {"id": "xrf_none"}),
        ("fees.get", {"id": "fee_none"}),
        ("fees.update", {"id": "fee_none", "name": "n"}),
        ("fees.delete", {"id": "fee_none"}),
        ("prices.get", {"id": "price_none"}),
        ("prices.update", {"id": "price_none", "invoice_display_name": "n"}),
        ("prices.delete", {"id": "price_none"}),
        ("costs.get_cost", {"id": "cst_none"}),
        ("costs.update_cost", {"id": "cst_none", "name": "n"}),
        ("costs.delete_cost", {"id": "cst_none"}),
        ("costs.get_cost_summary", {"id": "cst_none", "from_": FROM, "to": TO}),
        ("plans.get", {"id": "plan_none"}),
        ("plans.update", {"id": "plan_none", "name": "n"}),
        ("plans.list_available", {"customer_id": "cus_none"}),
        ("plans.list_plan_versions", {"id": "plan_none"}),
        ("plans.get_plan_version", {"id": "plan_none", "version_number": 1}),
        ("plans.mint_plan_version", {"id": "plan_none", "prices": ["price_none"]}),
        ("plans.transition_plan_version", {"id": "plan_none", "version_number": 1, "default": True}),
        ("customers.get", {"id": "cus_none"}),
        ("customers.update", {"id": "cus_none", "tax_id": "x"}),
        ("customers.delete", {"id": "cus_none"}),
    ],
)
async def test_what_is_not_there_is_a_typed_404(
    call: Caller, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(errors.Error) as refused:
        await call(operation, **arguments)
    assert refused.value.status_code == 404
    assert refused.value.data.message
