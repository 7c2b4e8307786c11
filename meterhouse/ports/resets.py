"""Resets as a port. The docstring says what a repeated call does."""

from __future__ import annotations

from typing import Protocol

from meterhouse.domain.instant import Instant
from meterhouse.domain.reset import ResetScope
from meterhouse.domain.tombstone import Tombstones


class ResetCatalog(Protocol):
    """Resets of merchants that are marked as sandboxes, and what they hide."""

    async def reset(self, merchant_id: str, scope: ResetScope, now: Instant) -> Instant:
        """Delete what is in the catalog and hide what is in the log, all of it or nothing.

        Returns the tombstone's position, which may lie a little after `now`. Again deletes and hides what
        came since. Raises Forbidden unless the merchant is a sandbox, NotFound for a customer that it never
        had, Conflict where an event that was counted says it was received at a time to come.
        """

    async def tombstones(self, merchant_id: str) -> Tombstones:
        """Those of every reset so far."""
