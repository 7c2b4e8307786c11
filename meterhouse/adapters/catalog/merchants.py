"""Merchants: made on first mention, never deleted. Those that are marked as sandboxes can be reset."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.models import MerchantRow
from meterhouse.domain.errors import Invalid, NotFound
from meterhouse.domain.instant import Instant

_LEGAL: Final = re.compile(r"org_[A-Za-z0-9_]{1,60}")


def ensure_merchant(session: Session, merchant_id: str, now: Instant) -> None:
    """Make the merchant unless it is there. Raises Invalid for an id that cannot stand in a URL."""
    if not _LEGAL.fullmatch(merchant_id):
        raise Invalid.field("merchant", "must be org_ and up to 60 letters, digits or underscores")
    hold_catalog(session)
    if session.get(MerchantRow, merchant_id) is None:
        session.add(MerchantRow(id=merchant_id, created_at=now))
        session.flush()


def mark_merchant(session: Session, merchant_id: str, *, sandbox: bool) -> None:
    """Let the merchant be a sandbox, or be none any more. Raises NotFound."""
    hold_catalog(session)
    row = session.get(MerchantRow, merchant_id)
    if row is None:
        raise NotFound(f"there is no merchant {merchant_id}")
    row.sandbox = sandbox
