"""API keys: made, listed and revoked in the database, and looked up from memory."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import begin_keys_version, hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.ids import new_id
from meterhouse.adapters.catalog.key_cache import KeyCache, key_hash
from meterhouse.adapters.catalog.merchants import ensure_merchant
from meterhouse.adapters.catalog.models import ApiKeyRow
from meterhouse.domain.errors import Conflict, Invalid, NotFound
from meterhouse.domain.instant import Instant
from meterhouse.ports.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What may be shown of a key: `prefix` is how it begins."""

    id: str
    merchant_id: str
    name: str
    prefix: str
    created_at: Instant
    revoked_at: Instant | None


class CatalogKeys:
    """Implements KeyRing, and what the command line does with keys."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._cache = KeyCache(database)

    async def merchant_of(self, key: str) -> str | None:
        """While the catalog is away, keys that were valid stay so; for others CatalogUnavailable."""
        return await self._cache.merchant_of(key)

    async def create(self, merchant_id: str, name: str, key: str | None = None) -> tuple[KeyInfo, str]:
        """A new key and its secret, which is kept nowhere; an unknown merchant is made.

        Raises Conflict when `key` exists already.
        """
        secret = f"mh_{secrets.token_urlsafe(32)}" if key is None else _legal(key)
        info = await self._database.write(partial(_create, merchant_id, name, secret, self._clock.now()))
        return info, secret

    async def ensure(self, merchant_id: str, key: str) -> KeyInfo:
        """Let `key` work for the merchant, also when it was revoked before; again changes nothing.

        Raises Conflict when it is another merchant's.
        """
        return await self._database.write(partial(_ensure, merchant_id, _legal(key), self._clock.now()))

    async def all(self) -> Sequence[KeyInfo]:
        """Every key, revoked ones too, oldest first."""
        return await self._database.read(_all)

    async def revoke(self, id: str) -> KeyInfo:
        """Stop the key from working, everywhere within a second; again changes nothing. Raises NotFound."""
        return await self._database.write(partial(_revoke, id, self._clock.now()))

    async def forget(self, key: str) -> None:
        """Revoke the key if there is one, given its secret."""
        await self._database.write(partial(_forget, key, self._clock.now()))


def _legal(key: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise Invalid.field("key", "must be printable ASCII without spaces")
    return key


def _create(merchant_id: str, name: str, key: str, now: Instant, session: Session) -> KeyInfo:
    keys_version = begin_keys_version(session)
    ensure_merchant(session, merchant_id, now)
    if _by_secret(session, key) is not None:
        raise Conflict("the key exists already")
    row = ApiKeyRow(
        id=new_id("key"),
        merchant_id=merchant_id,
        name=name,
        hash=key_hash(key).hex(),
        prefix=key[: min(8, len(key) // 2)],
        created_at=now,
        revoked_at=None,
        changed_in=keys_version,
    )
    session.add(row)
    return _info(row)


def _ensure(merchant_id: str, key: str, now: Instant, session: Session) -> KeyInfo:
    hold_catalog(session)
    row = _by_secret(session, key)
    if row is None:
        return _create(merchant_id, "", key, now, session)
    if row.merchant_id != merchant_id:
        raise Conflict("the key belongs to another merchant")
    return _set_revoked(session, row, None)


def _all(session: Session) -> Sequence[KeyInfo]:
    rows = session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.id))
    return [_info(row) for row in rows]


def _revoke(id: str, now: Instant, session: Session) -> KeyInfo:
    hold_catalog(session)
    row = session.get(ApiKeyRow, id)
    if row is None:
        raise NotFound(f"there is no key {id}")
    return _set_revoked(session, row, row.revoked_at or now)


def _forget(key: str, now: Instant, session: Session) -> None:
    hold_catalog(session)
    row = _by_secret(session, key)
    if row is not None:
        _set_revoked(session, row, row.revoked_at or now)


def _set_revoked(session: Session, row: ApiKeyRow, revoked_at: Instant | None) -> KeyInfo:
    if row.revoked_at != revoked_at:
        row.changed_in = begin_keys_version(session)
        row.revoked_at = revoked_at
    return _info(row)


def _by_secret(session: Session, key: str) -> ApiKeyRow | None:
    return session.scalars(select(ApiKeyRow).where(ApiKeyRow.hash == key_hash(key).hex())).one_or_none()


def _info(row: ApiKeyRow) -> KeyInfo:
    return KeyInfo(
        id=row.id,
        merchant_id=row.merchant_id,
        name=row.name,
        prefix=row.prefix,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
