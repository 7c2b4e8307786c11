"""New identifiers: a prefix and 24 random letters and digits, unless the contract says how many (1.4).

And new secrets that webhooks are signed with.
"""

from __future__ import annotations

import secrets
import string
from typing import Final

from meterhouse.domain.webhook_signature import KEY_BYTES, secret_of

_ALPHABET: Final = string.ascii_letters + string.digits


def new_hex(prefix: str) -> str:
    """A new identifier such as `inv_…`, of hexadecimal digits; 128 random bits."""
    return f"{prefix}_{secrets.token_hex(16)}"


def new_id(prefix: str, letters: int = 24) -> str:
    """A new identifier such as `bm_…`; of 24 letters it has 142 random bits, so it is never made twice."""
    return f"{prefix}_" + "".join([secrets.choice(_ALPHABET) for _ in range(letters)])


def new_secret() -> str:
    """A new secret `whsec_…` that notices are signed with."""
    return secret_of(secrets.token_bytes(KEY_BYTES))
