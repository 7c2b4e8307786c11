"""RFC 8785 canonical JSON of parsed data whose numbers are exact.

Numbers take the layout of ECMAScript's Number.prototype.toString, but keep every digit they came with,
where RFC 8785 itself would round them to a double.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_SHORT_ESCAPES: Final = {
    "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\",
}  # fmt: skip
_ESCAPED: Final = re.compile(r'[\x00-\x1f"\\]')


def canonical_json(value: object) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, minimal escapes."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int() | Decimal():
            return _number(Decimal(value))
        case list():
            return "[" + ",".join([canonical_json(item) for item in value]) + "]"
        case dict():
            members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be"))
            return "{" + ",".join([f"{_string(key)}:{canonical_json(item)}" for key, item in members]) + "}"
    raise TypeError(f"not parsed JSON: {type(value).__name__}")


def _string(text: str) -> str:
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _SHORT_ESCAPES.get(character) or f"\\u{ord(character):04x}"


def _number(number: Decimal) -> str:
    if not number:
        return "0"
    sign, digit_tuple, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, digit_tuple)).lstrip("0")
    trimmed = digits.rstrip("0")
    exponent += len(digits) - len(trimmed)
    minus = "-" if sign else ""
    point = len(trimmed) + exponent  # ECMA-262 calls it n: the digits before the decimal point
    if len(trimmed) <= point <= 21:
        return minus + trimmed + "0" * (point - len(trimmed))
    if 0 < point <= 21:
        return f"{minus}{trimmed[:point]}.{trimmed[point:]}"
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{trimmed}"
    mantissa = trimmed if len(trimmed) == 1 else f"{trimmed[0]}.{trimmed[1:]}"
    return f"{minus}{mantissa}e{point - 1:+d}"
