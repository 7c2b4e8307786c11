"""What a subscription brings with it: entitlements to features, with their first grants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.entitlements import add_entitlement, live_metrics
from meterhouse.adapters.catalog.ids import new_id
from meterhouse.adapters.catalog.models import FeatureRow, MetricRow
from meterhouse.adapters.catalog.own_rows import find_own
from meterhouse.adapters.catalog.timelines import read_entitling_timeline
from meterhouse.domain.entitlement import Entitlement, Metered, require_bearable, template_grant
from meterhouse.domain.errors import Invalid
from meterhouse.domain.feature import Feature
from meterhouse.domain.holding import GivenGrant
from meterhouse.domain.instant import Instant
from meterhouse.domain.provision import Offer, Offered, offered, template_for
from meterhouse.domain.subscription import Subscription

_METRIC: Final = "billableMetricId"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """An entitlement that is ready to be issued, with its template's grant."""

    entitlement: Entitlement
    billable_metric_id: str | None
    first: GivenGrant | None


def offers_to(session: Session, subscription: Subscription, since: Instant) -> Sequence[Offered]:
    """What is offered from `since` on by the version that the subscription keeps, or else the plan's default
    one, and by what was written for it.

    A feature that is deleted is offered no more.
    """
    found = offered(read_entitling_timeline(session, subscription).intervals(), since)
    ids = [one.offer.feature.id for one in found]
    gone = select(FeatureRow.id).where(FeatureRow.id.in_(ids), FeatureRow.deleted_at.is_not(None))
    deleted = set(session.scalars(gone))
    return [one for one in found if one.offer.feature.id not in deleted]


def prepare(session: Session, subscription: Subscription, offered: Offered, at: Instant) -> Provision:
    """The entitlement to what is offered, to be issued at `at`. Raises Invalid, and writes nothing."""
    offer = offered.offer
    template = template_for(offer)
    metric = None
    if isinstance(template, Metered):
        metric = _metric_of(session, subscription.merchant_id, offer)
    entitlement = Entitlement(
        id=new_id("ent"),
        merchant_id=subscription.merchant_id,
        customer_id=subscription.customer_id,
        feature_id=offer.feature.id,
        template=template,
        active_from=offered.start,
        active_to=offered.end,
        subscription_id=subscription.id,
        created_at=at,
    )
    require_bearable(entitlement, subscription.now(at), "startedAt")
    grant = template_grant(entitlement, id=new_id("grt"))
    first = None if grant is None else GivenGrant(grant=grant, entitlement_id=entitlement.id)
    return Provision(entitlement=entitlement, billable_metric_id=metric, first=first)


def _metric_of(session: Session, merchant_id: str, offer: Offer) -> str:
    """What a metered feature is measured by (contract 10, decision 2)."""
    feature = offer.feature
    if _METRIC in feature.metadata:
        return _named_metric(session, merchant_id, feature)
    if offer.billable_metric_id is not None:
        return offer.billable_metric_id
    priced = live_metrics(session, merchant_id, feature.id)
    if len(priced) != 1:
        message = f"offers the metered feature {feature.key}, which no one billable metric measures"
        raise Invalid.field("planId", message)
    return priced[0]


def _named_metric(session: Session, merchant_id: str, feature: Feature) -> str:
    named = feature.metadata[_METRIC]
    is_metric = named.startswith("bm_")  # the table has costs too
    found = find_own(session, MetricRow, merchant_id, named) if is_metric else None
    if found is None or found.deleted_at is not None:
        message = f"offers the feature {feature.key}, whose metadata name no billable metric: {named}"
        raise Invalid.field("planId", message)
    return named


def apply(session: Session, provision: Provision) -> None:
    """Issue what was prepared."""
    add_entitlement(
        session,
        provision.entitlement,
        provision.billable_metric_id,
        provision.first,
        is_provisioned=True,
    )
