"""The examples that are published with each operation of the client: the same calls, with a reader's own ids.

Each takes the arguments that the published one takes. What was drawn at random there (dates, a currency's
name in the place of its code) is what somebody would write; what its own reference calls required is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tests.clients.own import Own

Example = Callable[[Own], dict[str, Any]]

_FROM: Final = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
_TO: Final = datetime(2026, 6, 1, tzinfo=UTC)
_PAGE: Final = {"limit": 10, "offset": 0}
_ADDRESS: Final = {"city": "San Francisco", "state": "CA", "country": "US"}

_METERING: Final[Mapping[str, Sequence[Example]]] = {
    "billable_metrics.create": [
        lambda own: {
            "aggregation": "SUM",
            "description": "Tokens of all calls.",
            "merchant_id": own.merchant,
            "name": "Tokens",
            "unit": "tokens",
            "event_type": "<value>",
            "product_id": own.product(),
        }
    ],
    "billable_metrics.list": [lambda own: {"merchant_id": own.merchant, **_PAGE}],
    "billable_metrics.get": [lambda own: {"id": own.metric()}],
    "billable_metrics.update": [lambda own: {"id": own.metric()}],
    "billable_metrics.meter": [
        lambda own: {"id": own.metric(), "from_": _FROM, "to": _TO},
        # The usage guide names instants without an offset.
        lambda own: {
            "id": own.metric(),
            "from_": datetime(2026, 4, 1),  # noqa: DTZ001
            "to": datetime(2026, 4, 30),  # noqa: DTZ001
            "subject": own.customer(),
            "window_size": "DAY",
        },
    ],
    "billable_metrics.list_events": [
        lambda own: {"id": own.metric(), "from_": _FROM, "to": _TO, "limit": 20, "offset": 0}
    ],
    "events.ingest": [
        lambda own: {
            "request": {
                "type": "ai.inference",
                "source": "https://api.myapp.com",
                "subject": own.customer(),
                "data": {"tokens": 1500, "model": "gpt-4o"},
            }
        }
    ],
}

_ENTITLEMENTS: Final[Mapping[str, Sequence[Example]]] = {
    "entitlements.list": [
        lambda own: {"request": {"customer_id": own.customer(), **_PAGE}},
        lambda own: {"request": {"customer_id": own.customer(), "feature_key": "image-generation", **_PAGE}},
    ],
    "entitlements.issue": [
        lambda own: {
            "customer_id": own.customer(),
            "feature_id": own.feature(),
            "template": {"type": "boolean"},
        },
        lambda own: {
            "customer_id": own.customer(),
            "feature_id": own.feature("static"),
            "template": {"type": "static", "config": {"limit": 25, "tier": "pro"}},
        },
        lambda own: {
            "customer_id": own.customer(),
            "feature_id": own.feature(),
            "template": {"type": "boolean"},
            "active_from": datetime(2024, 1, 1, tzinfo=UTC),
            "active_to": datetime(2025, 1, 1, tzinfo=UTC),
        },
        # The usage guide names a limit, which the client leaves out.
        lambda own: {
            "customer_id": own.customer(),
            "feature_id": own.feature("metered"),
            "template": {"type": "metered", "limit": 1000},
        },
    ],
    "entitlements.get": [lambda own: {"entitlement_id": own.entitlement()}],
    "features.list": [lambda own: {"product_id": own.product(), **_PAGE}],
    "features.create": [
        lambda own: {
            "key": own.mark(),
            "name": "<value>",
            "merchant_id": own.merchant,
            "product_id": own.product(),
            "type_": "boolean",
        }
    ],
    "features.get": [lambda own: {"id": own.feature()}],
    "features.update": [lambda own: {"id": own.feature()}],
    "features.delete": [lambda own: {"id": own.feature()}],
    "entitlements.grants.list": [
        lambda own: {
            "entitlement_id": own.entitlement(),
            "limit": 20,
            "offset": 0,
            "include_voided": False,
        }
    ],
    "entitlements.grants.create": [
        lambda own: {
            "entitlement_id": own.entitlement(),
            "amount": 100,
            "idempotency_key": "grant-initial-100",
        },
        lambda own: {
            "entitlement_id": own.entitlement(),
            "amount": 500,
            "idempotency_key": "grant-march-2026-promo",
            "effective_at": datetime(2026, 3, 14, tzinfo=UTC),
            "expires_at": datetime(2026, 4, 14, tzinfo=UTC),
        },
    ],
    "entitlements.grants.purchase": [
        lambda own: {
            "entitlement_id": own.entitlement(),
            "amount": 1000,
            "price": "5.00",
            "idempotency_key": "p1",
        }
    ],
    "entitlements.grants.get": [lambda own: own.grant()],
    "entitlements.grants.void": [lambda own: own.grant()],
}

_CATALOG: Final[Mapping[str, Sequence[Example]]] = {
    "customers.list": [lambda own: {"organization_id": own.merchant, **_PAGE}],
    "customers.create": [
        lambda own: {
            "merchant_id": own.merchant,
            "consumer": {"name": "Acme", "email": f"{own.mark()}@example.com", "address": _ADDRESS},
        },
        # The usage guide calls the zip code what the client does not know.
        lambda own: {
            "merchant_id": own.merchant,
            "consumer": {
                "name": "Acme",
                "email": f"{own.mark()}@example.com",
                "address": {"line1": "123 Main St", "postal_code": "94105", **_ADDRESS},
            },
            "external_id": own.mark(),
        },
    ],
    "customers.get": [lambda own: {"id": own.customer()}],
    "customers.delete": [lambda own: {"id": own.customer()}],
    "customers.update": [lambda own: {"id": own.customer()}],
    "fees.create": [
        lambda own: {
            "name": "<value>",
            "description": "d",
            "merchant_id": own.merchant,
            "product_id": own.product(),
        }
    ],
    "fees.list": [lambda own: {"merchant_id": own.merchant, **_PAGE}],
    "fees.get": [lambda own: {"id": own.fee()}],
    "fees.update": [lambda own: {"id": own.fee()}],
    "fees.delete": [lambda own: {"id": own.fee()}],
    "plans.create": [
        lambda own: {
            "currency": "USD",
            "merchant_id": own.merchant,
            "name": "<value>",
            "product_id": own.product(),
            "default_tax_code": "eservice",
            "default_tax_rate": 0,
            "tax_behavior": "exclusive",
            "renewal_reminder_enabled": True,
            "renewal_reminder_days": 3,
            "billing_version": 1,
            "stable_price_ids": True,
        }
    ],
    "plans.list": [lambda own: {"request": {}}],
    "plans.list_available": [lambda own: {"customer_id": own.customer(), **_PAGE}],
    "plans.get": [lambda own: {"id": own.plan()}],
    "plans.update": [lambda own: {"id": own.plan()}],
    "plans.list_plan_versions": [lambda own: {"id": own.plan(), **_PAGE}],
    "plans.mint_plan_version": [lambda own: own.next_version()],
    "plans.get_plan_version": [lambda own: {"id": own.plan(), "version_number": 1}],
    "plans.transition_plan_version": [
        lambda own: {"id": own.plan(), "version_number": 1, "default": True},
    ],
    "prices.create": [
        lambda own: {
            "invoice_display_name": "<value>",
            "payment_term": "in_arrears",
            "properties": {"max_price": "2.5", "min_price": "0.5"},
            "billable_metric_id": own.metric(),
            "grant_discount_enabled": False,
            "is_obligation": False,
        },
        lambda own: {
            "invoice_display_name": "<value>",
            "payment_term": "in_arrears",
            "properties": {"unit_price": "0.01"},
            "billable_metric_id": own.metric(),
            "grant_discount_enabled": False,
            "is_obligation": False,
        },
    ],
    "prices.list": [lambda own: {"request": {}}],
    "prices.get": [lambda own: {"id": own.price()}],
    "prices.update": [lambda own: {"id": own.price()}],
    "prices.delete": [lambda own: {"id": own.price()}],
    "products.create": [lambda own: {"description": "d", "merchant_id": own.merchant, "name": "<value>"}],
    "products.list": [lambda own: {"request": {}}],
    "products.get": [lambda own: {"id": own.product()}],
    "products.update": [lambda own: {"id": own.product()}],
}

_SUBSCRIPTIONS: Final[Mapping[str, Sequence[Example]]] = {
    "subscriptions.list": [lambda own: {"request": {"merchant_id": own.merchant}}],
    "subscriptions.create": [
        lambda own: {
            "name": "Monthly API Service",
            "plan_id": own.plan(),
            "started_at": datetime(2024, 1, 15, tzinfo=UTC),
            "auto_charge": False,
            "tax_exempt": False,
            "customer_id": own.customer(),
            "elapsed_period_billing": "none",
        }
    ],
    "subscriptions.get": [lambda own: {"id": own.subscription()}],
    "subscriptions.update_subscription": [lambda own: {"id": own.subscription()}],
    "subscriptions.get_subscription_intervals": [lambda own: {"id": own.subscription()}],
    "subscriptions.edit_subscription_intervals": [
        lambda own: {
            "id": own.subscription(),
            "edit_subscription_intervals_request": {
                "add": [
                    {
                        "price_key": "support",
                        "price_id": own.price(),
                        "unit_price": "19.99",
                        "base_quantity": "1",
                        "billing_cadence": "P1M",
                        "billing_mode": "arrears",
                        "start_date": datetime(2030, 1, 1, tzinfo=UTC),
                    }
                ],
                "change_reason": "commercial",
            },
        }
    ],
    "subscriptions.migrate_subscription_version": [
        lambda own: {"id": own.subscription(), "target_version_number": 1}
    ],
    "subscriptions.list_subscription_interval_changes": [lambda own: {"id": own.subscription()}],
    "subscriptions.list_interval_changes": [lambda own: {"request": {}}],
    "subscriptions.generate_portal_link": [
        lambda own: {"id": own.subscription()},
        lambda own: {"id": own.subscription(), "expires_in": "PT1H"},
    ],
    "subscriptions.terminate": [
        lambda own: {"id": own.subscription(), "reason": "Customer requested cancellation"}
    ],
    "subscriptions.reconcile_subscription_features": [lambda own: {"id": own.subscription()}],
    "test_clocks.list": [lambda own: {"request": {}}],
    "test_clocks.create": [lambda own: {}],
    "test_clocks.get": [lambda own: {"id": own.clock()}],
    "test_clocks.advance": [
        lambda own: {"id": own.clock(), "request_body": {"current_time": _TO}},
        lambda own: {"id": own.clock(), "request_body": {"advance_by": "P1M"}},
    ],
    "test_clocks.delete": [lambda own: {"id": own.clock()}],
}

_ADJACENT: Final[Mapping[str, Sequence[Example]]] = {
    "costs.create_cost": [
        lambda own: {
            "type_": "metered",
            "name": "<value>",
            "unit_cost": 6810,
            "currency": "SEK",
            "product_id": own.product(),
            "aggregation": "MIN",
            "event_type": "<value>",
            "value_property": "$.tokens",
        }
    ],
    "costs.list_costs": [lambda own: {"request": {}}],
    "costs.get_cost": [lambda own: {"id": own.cost()}],
    "costs.update_cost": [lambda own: {"id": own.cost()}],
    "costs.delete_cost": [lambda own: {"id": own.cost()}],
    "costs.get_cost_summary": [lambda own: {"id": own.cost(), "from_": _FROM, "to": _TO}],
    "costs.get_cost_report": [
        lambda own: {
            "from_": _FROM,
            "to": _TO,
            "group_by": "cost",
            "cost_id": [own.cost()],
            "top_n": 9,
            "compare_prior_period": False,
            "exclude_empty": False,
            "sort": "totalCost",
            "sort_dir": "desc",
            "offset": 0,
            "limit": 25,
        }
    ],
    "external_references.create_external_reference": [
        lambda own: {
            "merchant_id": own.merchant,
            "entity_type": "item",
            "entity_id": own.item(),
            "provider": "netsuite",
            "external_id": own.mark(),
        }
    ],
    "external_references.list_external_references": [lambda own: {"request": {}}],
    "external_references.get_external_reference": [lambda own: {"id": own.reference()}],
    "external_references.update_external_reference": [lambda own: {"id": own.reference()}],
    "external_references.delete_external_reference": [lambda own: {"id": own.reference()}],
    "items.create_item": [lambda own: {"merchant_id": own.merchant, "name": "<value>"}],
    "items.list_items": [lambda own: {"request": {}}],
    "items.get_item": [lambda own: {"id": own.item()}],
    "items.update_item": [lambda own: {"id": own.item()}],
    "merchants.reset": [
        lambda own: {
            "merchant_id": own.merchant,
            "merchant_reset": {"scope": "customer", "customer_id": own.customer()},
        }
    ],
    "profitability.get_profitability": [
        lambda own: {"merchant_id": own.merchant, "from_": _FROM, "to": _TO, "top_n": 10}
    ],
    "revenue.get": [
        lambda own: {
            "start_time": _FROM,
            "end_time": _TO,
            "bucket_width": "day",
            "merchant_id": own.merchant,
            "period_basis": "issued",
        }
    ],
}


def _on(own: Own) -> dict[str, Any]:
    own.webhooks()
    return {"request": {}}


def _off(own: Own) -> dict[str, Any]:
    own.no_webhooks()
    return {"request": {}}


def _on_to_be_changed(own: Own) -> dict[str, Any]:
    own.webhooks()
    return {"enabled": True}


_WEBHOOKS: Final[Mapping[str, Sequence[Example]]] = {
    "webhooks.get": [_on],
    "webhooks.enable": [_off],
    "webhooks.update": [_on_to_be_changed],
    "webhooks.disable": [_on],
    "webhooks.get_portal": [_on],
}

EXAMPLES: Final[Mapping[str, Sequence[Example]]] = {
    **_METERING,
    **_ENTITLEMENTS,
    **_CATALOG,
    **_SUBSCRIPTIONS,
    **_ADJACENT,
    **_WEBHOOKS,
}
