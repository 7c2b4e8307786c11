"""New identifiers: a prefix and 24 random letters and digits (contract 1.4)."""

from __future__ import annotations

import secrets
import string
from typing import Final

_ALPHABET: Final = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """A new identifier such as `bm_…`; 142 random bits, so it is never made twice."""
    return f"{prefix}_" + "".join([secrets.choice(_ALPHABET) for _ in range(24)])
