"""Which metrics count an event, with which value and dimensions: the one implementation of the rule.

Data is parsed JSON whose numbers are `int` or `Decimal`, never `float` (contract 10.2 settles the rest).
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

from meterhouse.domain.billable_metric import Aggregation, Definition, Path
from meterhouse.domain.canonical import canonical_json
from meterhouse.domain.disposition import BeforeEventFrom, Counted, Flaw, Outcome, Unusable
from meterhouse.domain.instant import Instant

MAX_FRACTION: Final = 18
MAX_INTEGER_DIGITS: Final = 20

# Matches `[+-]?digits[.digits][(e|E)[+-]digits]` and nothing around it.
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Missing:
    """There is nothing at the path."""


MISSING: Final = Missing()


def at_path(data: object, path: Path) -> object:
    """What is at `path`, or MISSING."""
    for segment in path:
        if not isinstance(data, dict) or segment not in data:
            return MISSING
        data = data[segment]
    return data


def number_of(value: object) -> Decimal | Unusable:
    """The exact number that `value` is or spells, if a metered event can hold it."""
    match value:
        case bool() | None | list() | dict() | Missing():
            flaw = Flaw.MISSING if value is MISSING else Flaw.NOT_A_NUMBER
            return Unusable(f"the value is {_kind(value)}, not a number", flaw)
        case int():
            number = Decimal(value)
        case Decimal():
            number = value
        case str():
            if len(value) > 1000 or not _NUMBER.fullmatch(value):
                return Unusable("the value is text that is not a number", Flaw.NOT_A_NUMBER)
            try:
                number = Decimal(value)
            except InvalidOperation:  # an exponent that Decimal itself cannot hold
                return Unusable("the value is out of range", Flaw.OUT_OF_RANGE)
        case _:
            return Unusable(f"the value is {type(value).__name__}, not a number", Flaw.NOT_A_NUMBER)
    return _bounded(number)


def _bounded(number: Decimal) -> Decimal | Unusable:
    if not number:
        return Decimal(0)
    if number.adjusted() >= MAX_INTEGER_DIGITS:
        message = f"the value has more than {MAX_INTEGER_DIGITS} digits before the point"
        return Unusable(message, Flaw.OUT_OF_RANGE)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        return Unusable("the value is not a finite number", Flaw.NOT_A_NUMBER)
    if exponent < -MAX_FRACTION and _fraction_digits(number) > MAX_FRACTION:
        message = f"the value has more than {MAX_FRACTION} digits after the point"
        return Unusable(message, Flaw.TOO_PRECISE)
    return number


def _fraction_digits(number: Decimal) -> int:
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    trailing = 0
    for digit in reversed(digits):
        if digit:
            break
        trailing += 1
    return -exponent - trailing


def text_of(value: object) -> str | None:
    """The text by which scalars are compared: shortest plain form of a number, a string as it is.

    None for null, missing, objects and arrays (contract 10.2, decision 24).
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(value)
        case Decimal():
            return plain(value)
    return None


def flaw_of_text(value: object) -> Flaw:
    """Why `text_of` finds no text in `value`."""
    return Flaw.MISSING if value is MISSING else Flaw.NOT_A_SCALAR


def plain(number: Decimal) -> str:
    """The shortest plain decimal form: 1.10 is "1.1", 1e3 is "1000"."""
    if not number:
        return "0"
    text = str(number)
    if "E" in text:
        if abs(number.adjusted()) > 400:
            return text  # a plain form of 1e999999 would be a million digits long
        text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def dimension_of(value: object) -> str:
    """A dimension's value as text; "" where there is none, RFC 8785 JSON for objects and arrays."""
    text = text_of(value)
    if text is not None:
        return text
    if isinstance(value, dict | list):
        return canonical_json(value)
    return ""


def outcome_of(definition: Definition, time: Instant, data: object) -> Outcome:
    """What `definition` makes of an event of its type; `data` is MISSING when there is none."""
    if definition.event_from is not None and time < definition.event_from:
        return BeforeEventFrom()
    value: Decimal | str | None = None
    if definition.aggregation is Aggregation.UNIQUE_COUNT:
        if definition.value_path is not None:
            found = at_path(data, definition.value_path)
            value = text_of(found)
            if value is None:
                return Unusable(
                    f"the value is {_kind(found)}, which cannot be told apart", flaw_of_text(found)
                )
    elif definition.aggregation is not Aggregation.COUNT:
        if definition.value_path is None:
            return Unusable("the billable metric has no valueProperty", Flaw.NO_VALUE_PROPERTY)
        number = number_of(at_path(data, definition.value_path))
        if isinstance(number, Unusable):
            return number
        value = number
    return Counted(value, tuple([dimension_of(at_path(data, path)) for _, path in definition.dimensions]))


def _kind(value: object) -> str:
    match value:
        case Missing():
            return "missing"
        case None:
            return "null"
        case bool():
            return "true or false"
        case list():
            return "an array"
        case dict():
            return "an object"
    return "of another kind"
