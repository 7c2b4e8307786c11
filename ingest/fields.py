"""Reading the fields of one event with every problem noted, not just the first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from meterhouse.domain import instant as instants
from meterhouse.domain.errors import Invalid, Problem
from meterhouse.domain.instant import Instant

# CloudEvents 1.0, 3.1 "String": no control characters, no surrogates, no noncharacters.
_PLANE_ENDS: Final = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
UNFIT: Final = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_PLANE_ENDS}]")

# Contract 1.4 and 3.1: externalId and externalSubject.
EXTERNAL: Final = re.compile(r"[a-zA-Z0-9_-]{1,255}")

# CloudEvents 1.0, 3.1 "Integer".
INT_32: Final = range(-(2**31), 2**31)


class NotAScalar:
    """A member that is neither text, nor a whole number that fits, nor true, false or null."""


NOT_A_SCALAR: Final = NotAScalar()


class Fields:
    """The fields of one event by name, and what is found wrong with them."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self.problems: list[Problem] = []

    def refuse(self, name: str, message: str, code: str) -> None:
        self.problems.append(Problem(name, message, code))

    def refused(self, *names: str) -> bool:
        """Whether a problem with one of these is noted already."""
        return any(problem.field in names for problem in self.problems)

    def text(self, name: str, *, required: bool = False) -> str:
        """Text that is not empty; "" when the field is absent or null, or is refused."""
        value = self._values.get(name)
        if value is None:
            if required:
                self.refuse(name, "is required", "required")
            return ""
        if not isinstance(value, str):
            self.refuse(name, "must be text", "invalid_type")
            return ""
        if not value:
            self.refuse(name, "must not be empty", "empty")
        elif UNFIT.search(value):
            self.refuse(name, "must not contain control characters or noncharacters", "invalid_characters")
            return ""
        return value

    def external(self, name: str) -> str:
        """A reference of the sender's own; "" when absent or refused."""
        value = self.text(name)
        if value and not EXTERNAL.fullmatch(value):
            self.refuse(name, "must be 1 to 255 letters, digits, _ or -", "invalid_format")
            return ""
        return value

    def time(self, name: str, received_at: Instant, max_ahead: timedelta) -> Instant:
        """Event time; `received_at` when the field is absent or null, or is refused."""
        text = self.text(name)
        if not text:
            return received_at
        try:
            time = instants.parse(text)
        except ValueError as error:
            self.refuse(name, str(error), "invalid_timestamp")
            return received_at
        if time > latest(received_at, max_ahead):
            self.refuse(name, f"lies more than {max_ahead} ahead of now", "too_far_ahead")
        return time

    def check(self) -> None:
        """Raise Invalid with everything that was refused."""
        if self.problems:
            raise invalid(self.problems)


def plainly_fit(
    id: str,
    source: str,
    type: str,
    subject: str | None,
    *,
    external_subject: str | None,
    external_id: str | None,
) -> bool:
    """Whether `Fields` would find nothing wrong with these, told in one go."""
    if not (id and source and type) or (not subject and (subject is not None or not external_subject)):
        return False
    joined = f"{id}{source}{type}{subject}"
    if not joined.isprintable() and UNFIT.search(joined):  # nothing printable is unfit
        return False
    if external_subject is not None and not EXTERNAL.fullmatch(external_subject):
        return False
    return external_id is None or EXTERNAL.fullmatch(external_id) is not None


def plain_time(text: str | None, received_at: Instant, max_ahead: timedelta) -> Instant | None:
    """What `Fields.time` gives; None where it would refuse."""
    if text is None:
        return received_at
    try:
        time = instants.parse(text)
    except ValueError:
        return None
    return time if time <= received_at or time <= latest(received_at, max_ahead) else None


def latest(received_at: Instant, max_ahead: timedelta) -> Instant:
    """The last time that an event received now may have."""
    return received_at + max_ahead // timedelta(microseconds=1)


def invalid(problems: list[Problem]) -> Invalid:
    """All problems of a request, with a message that names the first few."""
    told = [_sentence(problem) for problem in problems[:3]]
    if len(problems) > len(told):
        told.append(f"and {len(problems) - len(told)} more")
    return Invalid("; ".join(told), tuple(problems))


def _sentence(problem: Problem) -> str:
    where = "" if problem.index is None else f"event {problem.index}: "
    return f"{where}{problem.field}: {problem.message}"
