"""Every route, in the order in which they are tried."""

from __future__ import annotations

from typing import Final

from query.costs import costs, profitability, revenue
from query.costs import report as cost_report
from query.costs import summary as cost_summary
from query.customers import customers
from query.customers import resets as reset_routes
from query.entitlements import entitlements, grants
from query.metering import (
    billable_metrics,
    dry_run,
    event_list,
    event_record,
    event_stats,
    meter,
    metric_events,
    texts,
)
from query.metering import usage as usage_routes
from query.metering import versions as version_routes
from query.portal import portal
from query.sales import external_references, features, fees, items, plan_versions, plans, prices, products
from query.subscriptions import (
    interval_changes,
    interval_edits,
    new_subscriptions,
    price_intervals,
    reconciliations,
    subscriptions,
    test_clocks,
    version_migrations,
)
from query.webhooks import deliveries as webhook_deliveries
from query.webhooks import endpoints as webhook_endpoints
from query.webhooks import portal as webhook_portal
from query.webhooks import webhooks

ROUTERS: Final = (
    billable_metrics.router,
    version_routes.router,
    meter.router,
    usage_routes.router,
    texts.router,
    metric_events.router,
    products.router,
    features.router,
    items.router,
    external_references.router,
    fees.router,
    prices.router,
    plans.router,
    plan_versions.router,
    cost_report.router,  # before one cost, as any text may be an id
    costs.router,
    cost_summary.router,
    revenue.router,
    profitability.router,
    customers.router,
    portal.router,
    test_clocks.router,
    new_subscriptions.router,
    subscriptions.router,
    reconciliations.router,
    price_intervals.router,
    interval_edits.router,
    interval_changes.router,
    version_migrations.router,
    reset_routes.router,
    entitlements.router,
    grants.router,
    webhooks.router,
    webhooks.bodiless,
    webhook_portal.router,
    webhook_endpoints.router,
    webhook_endpoints.bodiless,
    webhook_deliveries.router,
    webhook_deliveries.bodiless,
    event_list.router,
    event_stats.router,
    dry_run.router,
    event_record.router,  # last, because any text may be the id of an event
)

# Behind signed links, and in no document.
PAGES: Final = (portal.pages, webhook_portal.pages)
