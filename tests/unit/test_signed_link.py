"""Tokens of links: what was signed is what is read, and nothing else is."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import Final

import pytest

from meterhouse.domain.signed_link import SignedLink, link_of

_KEY: Final = b"k" * 32
_LINK: Final = SignedLink(purpose="customer", merchant_id="org_a", subject_id="cus_1", expires_at=1_700)


def test_a_token_says_what_was_signed() -> None:
    token = _LINK.token(_KEY)
    assert link_of(token, _KEY) == _LINK
    assert token.replace("-", "").replace("_", "").replace(".", "").isalnum()


def test_another_key_opens_nothing() -> None:
    assert link_of(_LINK.token(b"l" * 32), _KEY) is None


@pytest.mark.parametrize("other", [{"subject_id": "cus_2"}, {"expires_at": 9_999}, {"purpose": "webhooks"}])
def test_a_signature_is_good_for_its_own_claim_alone(other: dict[str, object]) -> None:
    claim = replace(_LINK, **other).token(b"").partition(".")[0]  # type: ignore[arg-type]
    assert link_of(f"{claim}.{_LINK.token(_KEY).partition('.')[2]}", _KEY) is None


@pytest.mark.parametrize("claim", ["a:b:c", "a:b:c:d", "a:b:c:1:2", "a:b:c:" + "1" * 5_000, "\N{SNOWMAN}"])
def test_a_claim_that_says_no_link_is_none(claim: str) -> None:
    assert link_of(urlsafe_b64encode(claim.encode()).decode(), _KEY) is None


def test_a_part_that_would_be_read_as_two_is_refused() -> None:
    with pytest.raises(ValueError, match="colon"):
        replace(_LINK, subject_id="cus_1:2")
