"""API keys in memory: the valid ones, never the ones that callers make up.

So a flood of unknown keys takes no memory, and the database sees at most one small question a moment: what
changed since the keys version that we know. A question is shared by everyone who waits for it.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from time import monotonic
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.models import ApiKeyRow
from meterhouse.domain.errors import CatalogUnavailable

# Revoked keys stop within a second, the time that asking takes included. A key made a moment ago should
# work at once, so an unknown one is asked for sooner; this bounds what a flood of them costs.
_KNOWN_SECONDS: Final = 0.5
_UNKNOWN_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 0.4  # for a catalog that does not answer, before a known key is let in

_Change = tuple[str, str, int | None, int]


def key_hash(key: str) -> bytes:
    """SHA-256: enough for keys that are long random tokens, and quick."""
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


class KeyCache:
    """The valid keys by hash, asked for again when too old. Used from one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # By the first half of the hash, so that finding an entry does not yet mean that the key is right.
        self._valid: dict[bytes, tuple[bytes, str]] = {}
        self._keys_version = 0
        self._asked_at = self._tried_at = float("-inf")
        self._asking: asyncio.Future[Sequence[_Change]] | None = None
        self._away = False

    async def merchant_of(self, key: str) -> str | None:
        """While the catalog is away, the answer as last known for a valid key, else CatalogUnavailable."""
        digest = key_hash(key)
        merchant = self._find(digest)
        now = monotonic()
        if now - self._asked_at < (_UNKNOWN_SECONDS if merchant is None else _KNOWN_SECONDS):
            return merchant
        if not self._away or now - self._tried_at >= _KNOWN_SECONDS:
            asking = self._ask(now)
            if merchant is None or not self._away:
                await asyncio.wait({asking}, timeout=_PATIENCE_SECONDS)
                if asking.done():
                    self._learn(asking)  # its callback may come after us, if it is done just now
                else:
                    self._away = True
        if not self._away:
            return self._find(digest)
        if merchant is None:
            raise CatalogUnavailable("the catalog did not answer whether the key is valid")
        return merchant

    def _find(self, digest: bytes) -> str | None:
        entry = self._valid.get(digest[:16])
        if entry is None or not hmac.compare_digest(entry[0], digest):
            return None
        return entry[1]

    def _ask(self, now: float) -> asyncio.Future[Sequence[_Change]]:
        if self._asking is None:
            self._tried_at = now
            self._asking = self._database.start_read(partial(_changes_since, self._keys_version))
            self._asking.add_done_callback(self._learn)
        return self._asking

    def _learn(self, asking: asyncio.Future[Sequence[_Change]]) -> None:
        if asking is not self._asking:
            return  # it is learned already
        self._asking = None
        self._away = asking.cancelled() or asking.exception() is not None
        if self._away:
            return
        for digest_hex, merchant, revoked_at, changed_in in asking.result():
            digest = bytes.fromhex(digest_hex)
            self._keys_version = max(self._keys_version, changed_in)
            if revoked_at is None:
                self._valid[digest[:16]] = (digest, merchant)
            else:
                self._valid.pop(digest[:16], None)
        self._asked_at = self._tried_at


def _changes_since(keys_version: int, session: Session) -> Sequence[_Change]:
    columns = select(ApiKeyRow.hash, ApiKeyRow.merchant_id, ApiKeyRow.revoked_at, ApiKeyRow.changed_in)
    return session.execute(columns.where(ApiKeyRow.changed_in > keys_version)).all()
