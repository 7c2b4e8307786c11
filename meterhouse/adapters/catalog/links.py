"""The key that links are signed with, and whether a merchant is still served."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.models import ApiKeyRow, SigningKeyRow
from meterhouse.domain.instant import Instant
from meterhouse.ports.clock import Clock

_THE_ONE: Final = 1
_BYTES: Final = 32


class CatalogLinks:
    """Implements LinkCatalog."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._key: bytes | None = None

    async def key(self) -> bytes:
        if self._key is None:
            found = await self._database.read(_found)
            if found is None:
                found = await self._database.write(partial(_made, self._clock.now()))
            self._key = found
        return self._key

    async def is_served(self, merchant_id: str) -> bool:
        working = exists().where(ApiKeyRow.merchant_id == merchant_id, ApiKeyRow.revoked_at.is_(None))
        return await self._database.read(lambda session: bool(session.scalar(select(working))))


def _found(session: Session) -> bytes | None:
    row = session.get(SigningKeyRow, _THE_ONE)
    return None if row is None else bytes.fromhex(row.secret)


def _made(now: Instant, session: Session) -> bytes:
    """The key that is there by now, or a new one: of two who find none, one makes it."""
    hold_catalog(session)
    found = _found(session)
    if found is not None:
        return found
    made = secrets.token_bytes(_BYTES)
    session.add(SigningKeyRow(id=_THE_ONE, secret=made.hex(), created_at=now))
    session.flush()
    return made
