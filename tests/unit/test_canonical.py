"""Canonical JSON, against the examples of RFC 8785."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain.canonical import canonical_json

numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=6)
documents = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def parsed(text: str) -> object:
    return json.loads(text, parse_float=Decimal)


def test_the_example_of_section_3_2_2() -> None:
    document = parsed(
        r"""{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
        }"""
    )
    # RFC 8785 rounds 333333333.33333329 to the double 333333333.3333333; here every digit is kept.
    assert canonical_json(document) == (
        '{"literals":[null,true,false],"numbers":[333333333.33333329,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_sorted_by_utf_16_code_units_as_in_section_3_2_3() -> None:
    document = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = [
        "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
        "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh",
    ]  # fmt: skip
    assert list(json.loads(canonical_json(document)).values()) == order


@pytest.mark.parametrize(
    ("number", "text"),
    [  # the rows of appendix B that a double holds exactly as written
        ("0", "0"), ("-0", "0"), ("-0.0", "0"), ("5e-324", "5e-324"), ("-5e-324", "-5e-324"),
        ("1.7976931348623157e+308", "1.7976931348623157e+308"), ("9007199254740992", "9007199254740992"),
        ("295147905179352830000", "295147905179352830000"), ("9.999999999999997e22", "9.999999999999997e+22"),
        ("1e+23", "1e+23"), ("1.0000000000000001e+23", "1.0000000000000001e+23"),
        ("999999999999999700000", "999999999999999700000"), ("1e+21", "1e+21"),
        ("9.999999999999997e-7", "9.999999999999997e-7"),
        ("0.000001", "0.000001"), ("333333333.3333332", "333333333.3333332"),
        ("-0.0000033333333333333333", "-0.0000033333333333333333"),
        ("1424953923781206.2", "1424953923781206.2"), ("1e20", "100000000000000000000"),
        ("1.10", "1.1"), ("120e-1", "12"),
    ],
)  # fmt: skip
def test_numbers_look_as_ecmascript_prints_them(number: str, text: str) -> None:
    assert canonical_json(Decimal(number)) == text


@given(documents)
def test_the_text_reads_back_as_the_same_document(document: object) -> None:
    assert parsed(canonical_json(document)) == document


@given(documents)
def test_it_is_canonical(document: object) -> None:
    text = canonical_json(document)
    assert canonical_json(parsed(text)) == text


@given(st.dictionaries(st.text(), st.integers(), max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(document: dict[str, int], random: object) -> None:
    assert canonical_json(dict(reversed(document.items()))) == canonical_json(document)


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical_json({1, 2})
