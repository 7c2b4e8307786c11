"""What is kept as it came does come back as it was, whatever it is."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from meterhouse.adapters.catalog.models import ExactJson
from query.answers import json_answer

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
# As JSON is read: a number without point and exponent is an int.
FRACTIONS = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda one: not str(one).lstrip("-").isdigit()
)
NUMBERS = st.integers(-(10**60), 10**60) | FRACTIONS
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXTS, inside, max_size=4),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=5)


def digits(value: Any) -> Any:
    """The value with numbers as text, because 1.0 and 1 are equal."""
    match value:
        case dict():
            return {name: digits(one) for name, one in value.items()}
        case list():
            return [digits(one) for one in value]
        case Decimal():
            return str(value)
    return value


@given(DOCUMENTS)
def test_a_stored_document_comes_back_digit_by_digit(document: dict[str, Any]) -> None:
    column, dialect = ExactJson(), sqlite.dialect()
    stored = column.process_bind_param(document, dialect)
    assert digits(column.process_result_value(stored, dialect)) == digits(document)


@given(DOCUMENTS)
def test_an_answered_document_has_the_same_digits(document: dict[str, Any]) -> None:
    answer = json.loads(bytes(json_answer(document).body), parse_float=Decimal)
    assert digits(answer) == digits(document)
