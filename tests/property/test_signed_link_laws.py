"""Laws of the tokens of links: nothing but what was signed is one."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain.signed_link import SignedLink, link_of

_KEY: Final = b"k" * 32
_PARTS: Final = st.text(max_size=50).filter(lambda text: ":" not in text and text.isascii())
_LINKS: Final = st.builds(
    SignedLink,
    purpose=_PARTS,
    merchant_id=_PARTS,
    subject_id=_PARTS,
    expires_at=st.integers(0, 2**63),
)


@given(_LINKS, st.binary(min_size=1, max_size=64))
def test_a_token_says_what_was_signed(link: SignedLink, key: bytes) -> None:
    assert link_of(link.token(key), key) == link


@given(_LINKS, st.data())
def test_no_change_of_a_token_is_a_token(link: SignedLink, data: st.DataObject) -> None:
    token = link.token(_KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.text(max_size=2))
    changed = token[:place] + put + token[place + 1 :]
    assert changed == token or link_of(changed, _KEY) is None


@given(st.text())
def test_no_text_is_a_token(text: str) -> None:
    assert link_of(text, _KEY) is None
