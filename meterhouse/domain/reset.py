"""Resets of a merchant that is marked as a sandbox (contract 2, `merchants.reset`; docs/resets.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterhouse.domain.instant import SECOND, Instant

# The clocks of the machines may differ by so much: what was accepted before a reset was asked for is hidden
# by it, and what is sent once it is answered is not.
SLACK: Final[Instant] = SECOND // 20


@dataclass(frozen=True, slots=True)
class WholeMerchant:
    """All customers with all that is attached to them, all usage, and the catalog unless it is to be kept."""

    keep_catalog: bool


@dataclass(frozen=True, slots=True)
class OneCustomer:
    """A customer with all that is attached to it."""

    customer_id: str


ResetScope = WholeMerchant | OneCustomer
