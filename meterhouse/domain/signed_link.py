"""Links that open one page for whoever has them, until they expire.

A token is `<claim>.<HMAC-SHA-256 of the claim>`, both in base64url without padding (RFC 4648, section 5). The
claim is text: purpose, merchant, subject and expiry, joined by colons, which none of them holds.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from meterhouse.domain.instant import Instant

_LONGEST: Final = 1_000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLink:
    """What a token lets its bearer see: the page called `purpose`, of one object of one merchant.

    It is good before `expires_at`.
    """

    purpose: str
    merchant_id: str
    subject_id: str
    expires_at: Instant

    def __post_init__(self) -> None:
        if any(":" in part for part in (self.purpose, self.merchant_id, self.subject_id)):
            raise ValueError("a part of a link has a colon in it")

    def token(self, key: bytes) -> str:
        """The link, signed. The same link under the same key has one token."""
        parts = (self.purpose, self.merchant_id, self.subject_id, str(self.expires_at))
        claim = _encoded(":".join(parts).encode())
        return f"{claim}.{_encoded(hmac.digest(key, claim.encode(), 'sha256'))}"


def link_of(token: str, key: bytes) -> SignedLink | None:
    """The link that the token is of; None for anything that was not signed with the key."""
    if len(token) > _LONGEST or not token.isascii():
        return None
    link = _claimed(token.partition(".")[0])
    # Base64 has several texts for the same bytes; only the one that `token` writes is a token.
    if link is None or not hmac.compare_digest(link.token(key), token):
        return None
    return link


def _claimed(claim: str) -> SignedLink | None:
    """What an unverified claim says, if it says anything at all."""
    try:
        text = urlsafe_b64decode(claim + "=" * (-len(claim) % 4)).decode()
        purpose, merchant_id, subject_id, expires_at = text.split(":")
        return SignedLink(
            purpose=purpose, merchant_id=merchant_id, subject_id=subject_id, expires_at=int(expires_at)
        )
    except ValueError:
        return None


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
