"""Grants as documents, as the wire has them (contract 3.5)."""

from __future__ import annotations

from typing import Any

from meterhouse.domain.holding import GivenGrant
from meterhouse.domain.instant import render


def document_of(given: GivenGrant) -> dict[str, Any]:
    """The grant with all its fields; amounts are exact numbers."""
    grant = given.grant
    return {
        "id": grant.id,
        "object": "grant",
        "entitlementId": given.entitlement_id,
        "amount": grant.amount,
        "effectiveAt": render(grant.effective_at),
        "expiresAt": None if grant.expires_at is None else render(grant.expires_at),
        "voidedAt": None if grant.voided_at is None else render(grant.voided_at),
        "createdAt": render(grant.created_at),
        "recurrencePeriod": None if grant.recurrence is None else str(grant.recurrence.interval),
        "idempotencyKey": given.idempotency_key,
        "resetMaxRollover": grant.reset_max_rollover,
        "resetMinRollover": grant.reset_min_rollover,
        "priority": grant.priority,
    }
