"""The published paygentic-sdk 0.6.3, unmodified: test clocks and subscriptions."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import pytest
from paygentic_sdk import errors

from tests.clients.conftest import Caller

_JANUARY: Final = datetime(2024, 1, 31, tzinfo=UTC)
_LEAP: Final = datetime(2024, 2, 29, tzinfo=UTC)
_TEMPLATE: Final = {"type": "metered", "usagePeriod": {"interval": "P1M"}, "issueAfterReset": 100}
_names: Final = count(1)


@pytest.mark.anyio
async def test_a_test_clock_is_made_advanced_and_deleted(call: Caller) -> None:
    made = await call("test_clocks.create", current_time=_JANUARY, name="n", merchant_id="org_dev")
    assert (made.current_time, made.name, made.description, made.deleted_at) == (_JANUARY, "n", None, None)
    assert await call("test_clocks.get", id=made.id) == made
    leap = await call("test_clocks.advance", id=made.id, request_body={"advance_by": "P1M"})
    assert leap.current_time == datetime(2024, 2, 29, tzinfo=UTC)
    told = await call(
        "test_clocks.advance", id=made.id, request_body={"current_time": _JANUARY.replace(month=3)}
    )
    assert told.current_time == _JANUARY.replace(month=3)
    listed = await call("test_clocks.list", request={"merchant_id": "org_dev", "limit": 100})
    assert told in listed.data
    assert (await call("test_clocks.delete", id=made.id)).deleted_at is not None
    listed = await call("test_clocks.list", request={})
    assert made.id not in [one.id for one in listed.data]


@pytest.mark.anyio
async def test_a_test_clock_that_cannot_advance_is_a_typed_error(call: Caller) -> None:
    made = await call("test_clocks.create", current_time=_JANUARY)
    for body in ({"advance_by": "P0D"}, {"current_time": _JANUARY}):
        with pytest.raises(errors.Error) as refused:
            await call("test_clocks.advance", id=made.id, request_body=body)
        assert refused.value.status_code == 400
    with pytest.raises(errors.Error) as refused:
        await call("test_clocks.get", id="tc_0000000000000000")
    assert refused.value.status_code == 404


async def _plan(call: Caller) -> Any:
    """A plan with an allowance of a hundred things a month, at a line with the key `things`."""
    name = f"subscribed-{next(_names)}"
    own = {"merchant_id": "org_dev", "product_id": "prod_dev", "name": name}
    metric = await call(
        "billable_metrics.create", aggregation="COUNT", description="d", unit="u", event_type=name, **own
    )
    feature = await call("features.create", key=name, type_="metered", **own)
    price = await call(
        "prices.create",
        billable_metric_id=metric.id,
        invoice_display_name="p",
        payment_term="in_arrears",
        model="standard",
        properties={"unit_price": "0.5"},
        feature={"feature_id": feature.id, "entitlement_template": _TEMPLATE},
    )
    lines = [{"price_id": price.id, "key": "things"}]
    return await call("plans.create", currency="USD", billing_cadence="P1M", prices=lines, **own)


async def _subscription(call: Caller, plan: Any, **fields: Any) -> Any:
    consumer = {
        "name": "s",
        "email": f"client-{next(_names)}@example.com",
        "address": {"country": "DE", "zip_code": "10115"},
    }
    wanted = {"name": "s", "plan_id": plan.id, "started_at": _JANUARY, "customer": consumer}
    return await call("subscriptions.create", **wanted | fields)


@pytest.mark.anyio
async def test_a_subscription_is_made_read_listed_and_changed(call: Caller) -> None:
    plan = await _plan(call)
    made = await _subscription(
        call, plan, metadata={"a": 1, "b": True, "c": "x"}, version_policy="pinned", payment_term_days=7
    )
    assert (made.status, made.version_policy, made.version_number) == ("active", "pinned", 1)
    assert (made.plan_version_id, made.billing_cadence) == (plan.default_version_id, "P1M")
    assert (made.metadata, made.payment_term_days) == ({"a": 1, "b": True, "c": "x"}, 7)
    assert (made.termination_change_reason, made.renewal_reminder_enabled) == (None, None)
    assert await call("subscriptions.get", id=made.id) == made
    again = {"name": "s", "plan_id": plan.id, "started_at": _JANUARY, "customer_id": made.customer_id}
    same = {"metadata": made.metadata, "version_policy": "pinned", "payment_term_days": 7}
    assert (await call("subscriptions.create", **again, **same)).id == made.id
    with pytest.raises(errors.Error) as refused:
        await call("subscriptions.create", **again)
    assert refused.value.status_code == 409
    asked = {"merchant_id": "org_dev", "status": ["active", "pending_payment"], "include": "customer"}
    listed = await call("subscriptions.list", request=asked | {"started_before": _LEAP, "limit": "100"})
    [shown] = [one for one in listed.data if one.id == made.id]
    assert (shown.customer.id, shown.customer.consumer.name) == (made.customer_id, "s")
    [alone] = (await call("subscriptions.list", request={"customer_id": made.customer_id})).data
    assert alone == made
    changed = await call(
        "subscriptions.update_subscription", id=made.id, auto_charge=True, renewal_reminder_days=3
    )
    assert (changed.auto_charge, changed.renewal_reminder_days) == (True, 3)
    [interval] = (await call("subscriptions.get_subscription_intervals", id=made.id)).intervals
    assert (interval.price_key, interval.start_date, interval.end_date) == ("things", _JANUARY, None)


@pytest.mark.anyio
async def test_a_subscription_runs_on_a_test_clock_until_it_is_terminated(call: Caller) -> None:
    clock = await call("test_clocks.create", current_time=_JANUARY)
    plan = await _plan(call)
    made = await _subscription(call, plan, test_clock_id=clock.id)
    assert made.test_clock_id == clock.id
    [held] = (await call("entitlements.list", request={"customer_id": made.customer_id})).data
    assert (held.balance, held.has_access, held.current_period_end) == (100, True, _LEAP)
    await call("test_clocks.advance", id=clock.id, request_body={"advance_by": "P1M"})
    shown = await call("entitlements.get", entitlement_id=held.entitlement_id)
    assert (shown.balance, shown.current_period_start) == (100, _LEAP)
    done = await call("subscriptions.reconcile_subscription_features", id=made.id, dry_run=True)
    assert (done.dry_run, [one.feature_key for one in done.features.skipped]) == (True, [held.feature_key])
    done = await call("subscriptions.reconcile_subscription_features", id=made.id)
    assert (done.dry_run, done.features.added, done.line_items.created) == (False, [], 0)
    with pytest.raises(errors.Error) as refused:
        await call("test_clocks.delete", id=clock.id)
    assert refused.value.status_code == 409
    ended = await call("subscriptions.terminate", id=made.id, reason="bye", change_reason="commercial")
    assert (ended.status, ended.terminated_at, ended.terminated_by) == ("terminated", _LEAP, "org_dev")
    assert (ended.termination_reason, ended.termination_change_reason) == ("bye", "commercial")
    assert await call("subscriptions.terminate", id=made.id, reason="again") == ended
    shown = await call("entitlements.get", entitlement_id=held.entitlement_id)
    assert (shown.status, shown.has_access, shown.subscription_id) == ("canceled", False, made.id)
    assert (await call("test_clocks.delete", id=clock.id)).id == clock.id


@pytest.mark.anyio
async def test_a_price_that_is_charged_is_a_typed_conflict(call: Caller) -> None:
    plan = await _plan(call)
    await _subscription(call, plan)
    [price] = plan.prices
    with pytest.raises(errors.UpdatePriceConflictError) as refused:
        await call("prices.update", id=price.id, properties={"unit_price": "2"})
    told = refused.value.data
    assert told.details is not None
    assert (told.code, told.details.fields) == ("PRICE_HAS_SUBSCRIPTIONS", ["properties"])
    assert (told.details.price_id, told.details.subscription_count) == (price.id, 1)


@pytest.mark.anyio
async def test_intervals_are_added_changed_and_removed(call: Caller) -> None:
    clock = await call("test_clocks.create", current_time=_JANUARY)
    plan = await _plan(call)
    made = await _subscription(call, plan, test_clock_id=clock.id)
    discount = {
        "price_key": "things",
        "unit_price": "0.4",
        "base_quantity": "1",
        "billing_cadence": "P1M",
        "billing_mode": "arrears",
        "start_date": _LEAP,
    }

    async def edit(**operations: Any) -> Any:
        asked = {"id": made.id, "edit_subscription_intervals_request": operations}
        return await call("subscriptions.edit_subscription_intervals", **asked)

    done = await edit(
        add=[discount],
        change_reason="commercial",
        description="A year more",
        metadata={"deal": 7, "won": True},
    )
    line, override = done.intervals
    assert (line.end_date, override.start_date, override.end_date) == (_LEAP, _LEAP, None)
    assert (override.kind, override.unit_price, override.plan_version_id) == (
        "plan_line",
        "0.4",
        plan.default_version_id,
    )
    change = done.interval_change
    assert (done.unchanged, done.line_items.created, change.change_reason) == (False, 0, "commercial")
    assert change.metadata == {"deal": 7, "won": True}
    assert [(one.before is None, one.after.resolved_unit_price) for one in change.intervals] == [
        (False, "0.5"),
        (True, "0.4"),
    ]
    read = (await call("subscriptions.get_subscription_intervals", id=made.id)).intervals
    assert read == done.intervals
    same = [one.model_dump(by_alias=True, exclude={"kind"}) for one in read]
    assert (await edit(edit=same)).interval_change is None
    with pytest.raises(errors.Error) as refused:
        await edit(add=[discount])
    assert (refused.value.status_code, refused.value.data.code) == (409, "INTERVALS_OVERLAP")
    with pytest.raises(errors.BadRequest):
        await edit(add=[discount | {"base_quantity": "2"}])
    end = datetime(2024, 5, 31, tzinfo=UTC)
    changed = await edit(edit=[{"id": override.id, "end_date": end}])
    assert [one.start_date for one in changed.intervals] == [_JANUARY, _LEAP, end]
    removed = await edit(remove=[{"id": override.id}])
    assert [(one.start_date, one.end_date) for one in removed.intervals] == [(_JANUARY, None)]
    changes = [done.interval_change, changed.interval_change, removed.interval_change]
    listed = await call("subscriptions.list_subscription_interval_changes", id=made.id)
    assert (listed.data, listed.pagination.total) == (changes, 3)
    asked = {"from_": change.created_at, "change_reason": "commercial", "limit": "100"}
    found = await call("subscriptions.list_interval_changes", request=asked)
    assert change in found.data
    assert removed.interval_change not in found.data


@pytest.mark.anyio
async def test_a_subscription_moves_to_a_version_of_its_plan(call: Caller) -> None:
    clock = await call("test_clocks.create", current_time=_JANUARY)
    plan = await _plan(call)
    made = await _subscription(call, plan, test_clock_id=clock.id, version_policy="pinned")
    [price] = plan.prices
    lines = [{"price_id": price.id, "key": "other"}]
    await call("plans.mint_plan_version", id=plan.id, prices=lines)
    done = await call("subscriptions.migrate_subscription_version", id=made.id, target_version_number=2)
    migration = done.migration
    assert (migration.from_version_number, migration.to_version_number, migration.changed) == (1, 2, True)
    assert (migration.effective_at, migration.entitlements_effective_at) == (_LEAP, _LEAP)
    assert (done.subscription.id, done.subscription.version_policy) == (made.id, "pinned")
    assert done.line_items.sync_failed is False
    intervals = (await call("subscriptions.get_subscription_intervals", id=made.id)).intervals
    assert [(one.price_key, one.end_date) for one in intervals] == [("things", _LEAP), ("other", None)]
    at_once = {"target_version_number": 2, "timing": "immediate"}
    done = await call("subscriptions.migrate_subscription_version", id=made.id, **at_once)
    assert done.migration.entitlements_effective_at == _JANUARY
    again = await call("subscriptions.migrate_subscription_version", id=made.id, **at_once)
    assert (again.migration.changed, again.migration.effective_at) == (False, None)
    with pytest.raises(errors.Error) as refused:
        await call("subscriptions.migrate_subscription_version", id=made.id, target_version_number=7)
    assert refused.value.status_code == 404
