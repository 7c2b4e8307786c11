"""Who is calling: `Authorization: Bearer <key>` (contract 1)."""

from __future__ import annotations

from collections.abc import Mapping

from meterhouse.domain.errors import Unauthenticated
from meterhouse.ports.catalog import KeyRing


async def authenticate(headers: Mapping[str, str], keys: KeyRing) -> str:
    """The merchant that the request's key belongs to; `headers` finds names whatever their case.

    Raises Unauthenticated without a key and for one that is not known, CatalogUnavailable.
    """
    return await merchant_of(headers.get("authorization"), keys)


async def merchant_of(authorization: str | None, keys: KeyRing) -> str:
    """The merchant behind an Authorization header's value, or None where there was none."""
    if authorization is None:
        raise Unauthenticated("send an API key: Authorization: Bearer <key>")
    scheme, _, key = authorization.strip().partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise Unauthenticated("the Authorization header must be: Bearer <key>")
    merchant = await keys.merchant_of(key)
    if merchant is None:
        raise Unauthenticated("the API key is not known or was revoked")
    return merchant
