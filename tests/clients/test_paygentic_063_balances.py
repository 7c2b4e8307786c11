"""The published paygentic-sdk 0.6.3, unmodified: entitlements and their grants."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import anyio
import pytest
from paygentic_sdk import errors

from tests.clients.conftest import Caller

_MAY: Final = datetime(2026, 5, 1, tzinfo=UTC)
_JUNE: Final = datetime(2026, 6, 1, tzinfo=UTC)
_names: Final = count(1)


class Made:
    """A customer, a billable metric, and features of every type."""

    customer: str
    metric: str
    event_type: str
    features: dict[str, Any]


@pytest.fixture
async def made(call: Caller) -> Made:
    made, number = Made(), next(_names)
    made.event_type = f"balance.{number}"
    email = f"balance.{number}@example.com"
    consumer = {"name": f"holder {number}", "email": email, "address": {}}
    customer = await call(
        "customers.create", merchant_id="org_dev", consumer=consumer, external_id=f"holder-{number}"
    )
    made.customer = customer.customer_id
    metric = await call(
        "billable_metrics.create",
        aggregation="SUM",
        description="d",
        merchant_id="org_dev",
        name="Tokens",
        unit="tokens",
        event_type=made.event_type,
        product_id="prod_dev",
        value_property="$.tokens",
    )
    made.metric = metric.id
    made.features = {
        type: await call(
            "features.create",
            key=f"{type}-{number}",
            name=type,
            merchant_id="org_dev",
            product_id="prod_dev",
            type_=type,
            metadata={"billableMetricId": metric.id} if type == "metered" else {},
        )
        for type in ("metered", "static", "boolean")
    }
    return made


TEMPLATE: Final = {
    "type": "metered",
    "usage_period": {"interval": "P1M", "anchor": _MAY},
    "issue_after_reset": 1000,
    "issue_after_reset_priority": 5,
    "is_soft_limit": False,
    "preserve_overage_at_reset": False,
    "reset_max_rollover": 0,
    "reset_min_rollover": 0,
}


async def _issued(call: Caller, made: Made, type: str, template: dict[str, Any]) -> Any:
    return await call(
        "entitlements.issue",
        customer_id=made.customer,
        feature_id=made.features[type].id,
        template=template,
        active_from=_MAY,
        metadata={"a": "b"},
    )


@pytest.mark.anyio
async def test_a_metered_entitlement_is_issued_used_and_read_at_any_instant(call: Caller, made: Made) -> None:
    issued = await _issued(call, made, "metered", TEMPLATE)
    assert (issued.feature_type, issued.status, issued.has_access) == ("metered", "active", True)
    assert (issued.balance, issued.usage_in_period, issued.overage) == (1000, 0, 0)
    assert (issued.active_from, issued.active_to, issued.metadata) == (_MAY, None, {"a": "b"})
    event = {
        "type": made.event_type,
        "source": "svc",
        "subject": made.customer,
        "data": {"tokens": 153},
        "timestamp": _MAY.replace(day=9),
    }
    await call("events.ingest", request=event)
    await call("events.ingest", request=event | {"data": {"tokens": 900}, "timestamp": _MAY.replace(day=20)})
    with anyio.fail_after(60):
        while True:
            shown = await call(
                "entitlements.get", entitlement_id=issued.id, at=_JUNE.replace(month=5, day=31)
            )
            if shown.usage_in_period == 1053:
                break
            await anyio.sleep(0.05)
    assert (shown.balance, shown.overage, shown.has_access) == (0, 53, False)
    assert (shown.current_period_start, shown.current_period_end) == (_MAY, _JUNE)
    earlier = await call("entitlements.get", entitlement_id=issued.id, at=_MAY.replace(day=10))
    assert (earlier.balance, earlier.usage_in_period, earlier.has_access) == (847, 153, True)
    june = await call("entitlements.get", entitlement_id=issued.id, at=_JUNE)
    assert (june.balance, june.usage_in_period, june.overage) == (1000, 0, 0)


@pytest.mark.anyio
async def test_entitlements_of_every_type_are_listed_by_every_filter(call: Caller, made: Made) -> None:
    issued = {
        "metered": await _issued(call, made, "metered", TEMPLATE),
        "static": await _issued(call, made, "static", {"type": "static", "config": {"seats": 5}}),
        "boolean": await _issued(call, made, "boolean", {"type": "boolean"}),
    }
    of_customer = {"customer_id": made.customer}
    listed = await call("entitlements.list", request=of_customer)
    assert [one.entitlement_id for one in listed.data] == [one.id for one in issued.values()]
    assert listed.pagination.total == 3
    assert listed.data[1].config == {"seats": 5}
    external = {"external_customer_id": f"holder-{made.event_type.removeprefix('balance.')}"}
    assert (await call("entitlements.list", request=external)).data == listed.data
    for type, one in issued.items():
        by_key = await call(
            "entitlements.list", request=of_customer | {"feature_key": made.features[type].key}
        )
        assert [found.entitlement_id for found in by_key.data] == [one.id]
    of_product = of_customer | {"product_id": "prod_dev", "merchant_id": "org_dev", "limit": 1, "offset": 1}
    [second] = (await call("entitlements.list", request=of_product)).data
    assert second == listed.data[1]
    with pytest.raises(errors.BadRequest) as nobody:
        await call("entitlements.list", request={})
    assert nobody.value.status_code == 400


@pytest.mark.anyio
async def test_grants_are_created_listed_read_and_voided(call: Caller, made: Made) -> None:
    issued = await _issued(call, made, "metered", {"type": "metered"})
    wanted = {"entitlement_id": issued.id, "amount": 500, "idempotency_key": "k1"}
    grant = await call("entitlements.grants.create", **wanted)
    assert (grant.amount, grant.priority, grant.reset_max_rollover) == (500, 0, 999_999_999_999)
    assert await call("entitlements.grants.create", **wanted) == grant
    with pytest.raises(errors.Error) as other:
        await call("entitlements.grants.create", **(wanted | {"amount": 501}))
    assert other.value.status_code == 409
    ids = {"entitlement_id": issued.id, "grant_id": grant.id}
    assert await call("entitlements.grants.get", **ids) == grant
    assert (await call("entitlements.grants.list", entitlement_id=issued.id)).data == [grant]
    assert (await call("entitlements.get", entitlement_id=issued.id)).balance == 500
    voided = await call("entitlements.grants.void", **ids)
    assert voided.voided_at is not None
    assert await call("entitlements.grants.void", **ids) == voided
    assert (await call("entitlements.grants.list", entitlement_id=issued.id)).data == []
    all_of_them = await call("entitlements.grants.list", entitlement_id=issued.id, include_voided=True)
    assert all_of_them.data == [voided]
    assert (await call("entitlements.get", entitlement_id=issued.id)).balance == 0


@pytest.mark.anyio
async def test_a_purchase_waits_for_its_payment(call: Caller, made: Made) -> None:
    issued = await _issued(call, made, "metered", {"type": "metered"})
    wanted = {"entitlement_id": issued.id, "amount": 1000, "price": "5.00", "idempotency_key": "p1"}
    bought = await call("entitlements.grants.purchase", **wanted)
    assert (bought.grant_amount, bought.price, bought.currency) == (1000, "5.00", "usd")
    assert bought.payment_sessions == []
    assert await call("entitlements.grants.purchase", **wanted) == bought
    assert (await call("entitlements.get", entitlement_id=issued.id)).balance == 0


@pytest.mark.anyio
async def test_what_cannot_be_is_refused_in_the_client_s_own_errors(call: Caller, made: Made) -> None:
    await _issued(call, made, "boolean", {"type": "boolean"})
    with pytest.raises(errors.Error) as twice:
        await _issued(call, made, "boolean", {"type": "boolean"})
    assert twice.value.status_code == 409
    with pytest.raises(errors.BadRequest) as other_type:
        await _issued(call, made, "static", {"type": "boolean"})
    assert "template.type" in str(other_type.value)
    with pytest.raises(errors.Error) as missing:
        await call("entitlements.get", entitlement_id="ent_missing")
    assert missing.value.status_code == 404
