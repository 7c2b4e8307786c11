"""Signatures of Standard Webhooks (standardwebhooks.com, "Verifying webhook authenticity")."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from meterhouse.domain.instant import SECOND, Instant

PREFIX: Final = "whsec_"
KEY_BYTES: Final = 32  # of 24 to 64


def secret_of(key: bytes) -> str:
    """The secret as receivers keep it."""
    return PREFIX + base64.b64encode(key).decode()


def signed_headers(id: str, at: Instant, payload: str, secrets: Sequence[str]) -> Mapping[str, str]:
    """The headers of one attempt `at` an instant; receivers accept any of the secrets' signatures."""
    seconds = at // SECOND
    content = f"{id}.{seconds}.{payload}".encode()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join([_signature(secret, content) for secret in secrets]),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return f"v1,{base64.b64encode(hmac.digest(key, content, 'sha256')).decode()}"
