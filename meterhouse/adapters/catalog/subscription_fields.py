"""Rows of subscriptions as the subscriptions that they are, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.customers import consumers_of
from meterhouse.adapters.catalog.sales_models import PlanRow
from meterhouse.adapters.catalog.subscription_models import SubscriptionRow
from meterhouse.adapters.catalog.subscription_rows import subscription_row, times_of
from meterhouse.domain.subscription import (
    ChangeReason,
    ElapsedBilling,
    Subscription,
    Termination,
    Terms,
    VersionPolicy,
)


def read_subscription(merchant_id: str, id: str, session: Session) -> Subscription:
    """The merchant's subscription as it is now. Raises NotFound."""
    [subscription] = subscriptions_of(session, [subscription_row(session, merchant_id, id)])
    return subscription


def subscriptions_of(session: Session, rows: Sequence[SubscriptionRow]) -> list[Subscription]:
    """The subscriptions in the rows, with where their test clocks stand now."""
    times = times_of(session, [row.id for row in rows])
    consumers = consumers_of(session, {row.customer_id for row in rows})
    return [
        Subscription(
            id=row.id,
            merchant_id=row.merchant_id,
            customer_id=row.customer_id,
            consumer=consumers.get(row.customer_id),
            name=row.name,
            plan_id=row.plan_id,
            plan_version_id=row.plan_version_id,
            version_number=row.version_number,
            started_at=row.started_at,
            elapsed_billing=ElapsedBilling(row.elapsed_billing),
            billing_starts_at=row.billing_starts_at,
            billing_anchor=row.billing_anchor,
            billing_cadence=row.billing_cadence,
            terms=_terms(row),
            metadata=row.details,
            test_clock_id=row.test_clock_id,
            clock_at=times[row.id].clock_at,
            termination=_termination(row),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


def row_of(subscription: Subscription, asked: Mapping[str, Any]) -> SubscriptionRow:
    """The row of a new subscription, but for its terms."""
    return SubscriptionRow(
        id=subscription.id,
        merchant_id=subscription.merchant_id,
        customer_id=subscription.customer_id,
        name=subscription.name,
        plan_id=subscription.plan_id,
        plan_version_id=subscription.plan_version_id,
        version_number=subscription.version_number,
        started_at=subscription.started_at,
        elapsed_billing=subscription.elapsed_billing.value,
        billing_starts_at=subscription.billing_starts_at,
        billing_anchor=subscription.billing_anchor,
        billing_cadence=subscription.billing_cadence,
        details=dict(subscription.metadata),
        asked=dict(asked),
        test_clock_id=subscription.test_clock_id,
        created_at=subscription.created_at,
        updated_at=subscription.updated_at,
    )


def agree(row: SubscriptionRow, terms: Terms, plan: PlanRow) -> None:
    """Write the terms. One that becomes pinned keeps the version that is the plan's default just now."""
    row.ending_at = terms.ending_at
    row.auto_charge = terms.auto_charge
    row.tax_exempt = terms.tax_exempt
    row.payment_term_days = terms.payment_term_days
    row.renewal_reminder_enabled = terms.renewal_reminder_enabled
    row.renewal_reminder_days = terms.renewal_reminder_days
    if terms.version_policy is VersionPolicy.FLOATING:
        row.pinned_version = row.entitled_version = row.entitled_until = None
    elif row.pinned_version is None:
        row.pinned_version = plan.default_version


def _terms(row: SubscriptionRow) -> Terms:
    return Terms(
        ending_at=row.ending_at,
        version_policy=VersionPolicy.FLOATING if row.pinned_version is None else VersionPolicy.PINNED,
        auto_charge=row.auto_charge,
        tax_exempt=row.tax_exempt,
        payment_term_days=row.payment_term_days,
        renewal_reminder_enabled=row.renewal_reminder_enabled,
        renewal_reminder_days=row.renewal_reminder_days,
    )


def write_termination(row: SubscriptionRow, termination: Termination) -> None:
    """Write how it was ended."""
    row.terminated_at = termination.at
    row.terminated_by = termination.by
    row.termination_reason = termination.reason
    row.termination_change_reason = termination.change_reason.value


def _termination(row: SubscriptionRow) -> Termination | None:
    if row.terminated_at is None:
        return None
    assert row.termination_change_reason is not None, "written with the rest of it"
    return Termination(
        at=row.terminated_at,
        by=row.terminated_by,
        reason=row.termination_reason,
        change_reason=ChangeReason(row.termination_change_reason),
    )
