"""`POST /v0/subscriptions/{id}/reconciliations`: what a plan offers now, for who subscribed before (3.10)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.domain.feature import Feature
from meterhouse.domain.provision import Offer
from meterhouse.domain.reconciliation import Reconciliation
from query.answers import failures
from query.backend import Merchant, Ports
from query.route import new_router
from query.subscriptions.subscriptions import checked_subscription
from query.wire import Wire

router = new_router()


class ReconciliationAsked(BaseModel):
    """`dryRun` only says what would happen."""

    model_config = ConfigDict(alias_generator=to_camel)

    dry_run: StrictBool = False


class ReconciledBody(Wire):
    feature_id: str
    feature_key: str

    @classmethod
    def of(cls, feature: Feature) -> ReconciledBody:
        return cls(feature_id=feature.id, feature_key=feature.key)


class AddedBody(ReconciledBody):
    billed: bool

    @classmethod
    def offered(cls, offer: Offer) -> AddedBody:
        return cls(feature_id=offer.feature.id, feature_key=offer.feature.key, billed=offer.is_billed)


class FailedBody(ReconciledBody):
    """The plan offers the feature as it cannot be: as another type, or with nothing to measure it by."""

    reason: Literal["entitlement_failed"] = "entitlement_failed"


class ReconciledFeaturesBody(Wire):
    added: list[AddedBody]
    skipped: list[ReconciledBody]
    removed: list[ReconciledBody]
    failed: list[FailedBody]


class LineItemsBody(Wire):
    """None, as meterhouse makes no invoices."""

    created: int = 0
    removed: int = 0


class ReconciliationBody(Wire):
    object: Literal["subscriptionReconciliation"] = "subscriptionReconciliation"
    dry_run: bool
    features: ReconciledFeaturesBody
    line_items: LineItemsBody = LineItemsBody()

    @classmethod
    def of(cls, found: Reconciliation, *, dry_run: bool) -> ReconciliationBody:
        features = ReconciledFeaturesBody(
            added=[AddedBody.offered(one) for one in found.added],
            skipped=[ReconciledBody.of(one) for one in found.skipped],
            removed=[ReconciledBody.of(one) for one in found.removed],
            failed=[FailedBody(feature_id=one.id, feature_key=one.key) for one in found.failed],
        )
        return cls(dry_run=dry_run, features=features)


@router.post(
    "/v0/subscriptions/{id}/reconciliations",
    operation_id="reconcileSubscriptionFeatures",
    responses=failures(400, 404, 409, 413, 415),
)
async def reconcile(
    id: str, merchant: Merchant, ports: Ports, body: ReconciliationAsked | None = None
) -> ReconciliationBody:
    """Entitle a subscription to what its plan offers by now, and cancel what it offers no more."""
    id, at = checked_subscription(id), ports.clock.now()
    dry_run = body is not None and body.dry_run
    catalog = ports.subscribed.reconciliation
    found = await (catalog.preview if dry_run else catalog.reconcile)(merchant, id, at)
    return ReconciliationBody.of(found, dry_run=dry_run)
