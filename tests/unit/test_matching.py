"""Which value and dimensions an event has for a metric."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meterhouse.domain.billable_metric import Aggregation, Definition, parse_path
from meterhouse.domain.disposition import (
    BeforeEventFrom,
    Counted,
    Disposition,
    Flaw,
    Outcome,
    Unusable,
    disposition_of,
)
from meterhouse.domain.matching import MISSING, at_path, dimension_of, number_of, outcome_of, text_of
from tests import oracle

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.from_regex(r"[+-]?[0-9]{0,4}(\.[0-9]{0,3})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
    | st.lists(st.integers(), max_size=2)
)


@given(scalars)
@example("1e400")
@example("\uff11\uff12")
@example("12\n")
@example("1_0")
@example(Decimal("99999999999999999999.999999999999999999"))
@example(Decimal("100000000000000000000"))
@example(Decimal("0.0000000000000000010"))
@example(Decimal("0.0000000000000000011"))
@example(Decimal("-0E-999999"))
def test_numbers_are_what_a_slow_reading_says(value: object) -> None:
    expected = oracle.number(value)
    found = number_of(value)
    if expected is None:
        assert isinstance(found, Unusable)
        assert found.reason
    else:
        assert isinstance(found, Decimal)
        assert Fraction(found) == expected


@pytest.mark.parametrize(
    "value",
    [MISSING, Decimal("NaN"), Decimal("Infinity"), Decimal("1e999999"), "9" * 100_000, "1e-999999999", {}],
)
def test_extremes_are_unusable_at_once(value: object) -> None:
    assert isinstance(number_of(value), Unusable)


@given(scalars)
def test_texts_are_what_a_slow_reading_says(value: object) -> None:
    assert text_of(value) == oracle.scalar_text(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"), (Decimal("1.0"), "1"), ("1", "1"), (Decimal("1E+3"), "1000"), (Decimal("-0.0"), "0"),
        (Decimal("0.10"), "0.1"), (100, "100"), (True, "true"), (False, "false"), ("", ""), (" a ", " a "),
        (None, None), (MISSING, None), ([1], None), ({}, None),
    ],
)  # fmt: skip
def test_scalars_compare_as_text(value: object, text: str | None) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (MISSING, ""),
        ("", ""),
        ("x", "x"),
        (5, "5"),
        ({"b": 1, "a": [2, None]}, '{"a":[2,null],"b":1}'),
    ],
)
def test_dimension_values_are_always_text(value: object, text: str) -> None:
    assert dimension_of(value) == text


@pytest.mark.parametrize(
    ("text", "path"), [("$.a", ("a",)), ("$.a.b_1.C", ("a", "b_1", "C")), ("$.0", ("0",)), ("$._", ("_",))]
)
def test_paths_that_are_read(text: str, path: tuple[str, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text", ["", "$", "$.", "a", "a.b", "$a", "$..a", "$.a.", "$.a-b", "$.a[0]", "$.*", "$.é", "$. a"]
)
def test_paths_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must look like \$"):
        parse_path(text)


@pytest.mark.parametrize(
    "data", [MISSING, None, 5, "a", [], [{"a": 1}], {}, {"a": 3}, {"a": {"c": 1}}, {"A": {"b": 1}}]
)
def test_nothing_is_found_where_nothing_is(data: object) -> None:
    assert at_path(data, ("a", "b")) is MISSING


def test_null_is_found_and_is_not_missing() -> None:
    assert at_path({"a": {"b": None}}, ("a", "b")) is None


def _definition(aggregation: Aggregation, **fields: object) -> Definition:
    return Definition(
        billable_metric_id="bm_1",
        version=1,
        namespace="org_1",
        aggregation=aggregation,
        event_type="t",
        **fields,  # type: ignore[arg-type] # the tests name real fields
    )


@pytest.mark.parametrize(
    ("aggregation", "value_path", "data", "expected"),
    [
        (Aggregation.SUM, ("v",), {"v": 2}, Counted(Decimal(2), ())),
        (Aggregation.SUM, ("v",), {"v": "2"}, Counted(Decimal(2), ())),
        (Aggregation.COUNT, None, MISSING, Counted(None, ())),
        (Aggregation.COUNT, ("v",), {"v": "no"}, Counted(None, ())),
        (Aggregation.UNIQUE_COUNT, ("v",), {"v": Decimal("5.0")}, Counted("5", ())),
        (Aggregation.UNIQUE_COUNT, ("v",), {"v": ""}, Counted("", ())),
        (Aggregation.UNIQUE_COUNT, None, {}, Counted(None, ())),
    ],
)
def test_outcomes(
    aggregation: Aggregation, value_path: tuple[str, ...] | None, data: object, expected: Outcome
) -> None:
    assert outcome_of(_definition(aggregation, value_path=value_path), 0, data) == expected


@pytest.mark.parametrize("aggregation", [one for one in Aggregation if one.needs_value])
@pytest.mark.parametrize("data", [MISSING, {}, {"v": None}, {"v": True}, {"v": []}, {"v": "x"}])
def test_a_number_that_is_not_there_is_never_a_zero(aggregation: Aggregation, data: object) -> None:
    assert isinstance(outcome_of(_definition(aggregation, value_path=("v",)), 0, data), Unusable)


@pytest.mark.parametrize("data", [MISSING, {}, {"v": None}, {"v": []}, {"v": {}}])
def test_what_cannot_be_told_apart_is_not_unique(data: object) -> None:
    assert isinstance(outcome_of(_definition(Aggregation.UNIQUE_COUNT, value_path=("v",)), 0, data), Unusable)


def test_event_from_includes_its_own_instant() -> None:
    definition = _definition(Aggregation.COUNT, event_from=100)
    assert outcome_of(definition, 99, {}) == BeforeEventFrom()
    assert outcome_of(definition, 100, {}) == Counted(None, ())


def test_dimensions_come_in_the_order_of_their_names() -> None:
    definition = _definition(Aggregation.COUNT, dimensions=(("a", ("x",)), ("b", ("y", "z"))))
    assert outcome_of(definition, 0, {"y": {"z": 1}, "x": "first"}) == Counted(None, ("first", "1"))


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (MISSING, Flaw.MISSING),
        ({}, Flaw.MISSING),
        ({"v": None}, Flaw.NOT_A_NUMBER),
        ({"v": "x"}, Flaw.NOT_A_NUMBER),
        ({"v": 10**20}, Flaw.OUT_OF_RANGE),
        ({"v": f"1e{10**19}"}, Flaw.OUT_OF_RANGE),
        ({"v": Decimal("1e-19")}, Flaw.TOO_PRECISE),
    ],
)
def test_a_flaw_says_in_a_word_why_a_value_is_unusable(data: object, flaw: Flaw) -> None:
    found = outcome_of(_definition(Aggregation.SUM, value_path=("v",)), 0, data)
    assert isinstance(found, Unusable)
    assert found.flaw is flaw


_UNUSABLE = Unusable("why", Flaw.MISSING)


@pytest.mark.parametrize(
    ("outcomes", "disposition"),
    [
        ((), Disposition.UNMATCHED),
        ((BeforeEventFrom(),), Disposition.UNMATCHED),
        ((_UNUSABLE,), Disposition.UNUSABLE),
        ((_UNUSABLE, BeforeEventFrom()), Disposition.UNUSABLE),
        ((_UNUSABLE, Counted(None, ())), Disposition.COUNTED),
    ],
)
def test_the_whole_event_is_counted_if_any_metric_counted_it(
    outcomes: tuple[Outcome, ...], disposition: Disposition
) -> None:
    assert disposition_of(outcomes) is disposition


def test_last_is_latest() -> None:
    assert Aggregation("LAST") is Aggregation.LATEST
