"""Instants: whole microseconds since 1970-01-01T00:00:00Z, as an int.

Event time is carried as an integer because building a `datetime` for every event costs more than
everything else that happens to it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

Instant = int

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

# What DateTime64(6) and every calendar function agree on.
EARLIEST: Final = 0
LATEST: Final = 7_258_118_400 * SECOND  # 2200-01-01T00:00:00Z

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.(\d+))?(?:[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


def from_datetime(moment: datetime) -> Instant:
    """The instant of `moment`; one without an offset is UTC (contract, decision 4)."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def to_datetime(instant: Instant) -> datetime:
    """The same instant as an aware UTC `datetime`."""
    return _EPOCH + timedelta(microseconds=instant)


def microseconds(length: timedelta) -> int:
    """A length of time in the unit of instants."""
    return length // _MICROSECOND


def parse(text: str) -> Instant:
    """Read an RFC 3339 timestamp: no offset means UTC, digits beyond microseconds are cut.

    Raises ValueError with a reason that a sender can act on.
    """
    size = len(text)
    if size == 27 and text[19] == "." and text[26] == "Z":
        digits = text[17:19] + text[20:26]
    elif size == 24 and text[19] == "." and text[23] == "Z":
        digits = text[17:19] + text[20:23] + "000"
    elif size == 20 and text[19] == "Z":
        digits = text[17:19] + "000000"
    else:
        return _parsed(text)
    if digits < "60" and digits.isdecimal() and digits.isascii():
        return _minute_start(text[:17]) + int(digits)
    return _parsed(text)


@lru_cache(maxsize=100_000)
def _minute_start(text: str) -> Instant:
    """The minute that `text`, a timestamp up to its seconds, lies in: most events of a batch share theirs."""
    return _parsed(f"{text}00Z")


def _parsed(text: str) -> Instant:
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("is not an RFC 3339 timestamp such as 2026-05-01T12:30:15.123456Z")
    fraction = match.group(1)
    if fraction is not None and len(fraction) > 6:
        text = text[: match.start(1) + 6] + text[match.end(1) :]
    try:
        instant = from_datetime(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is not a real point in time: {error}") from error
    if not EARLIEST <= instant < LATEST:
        raise ValueError("lies outside the years 1970 to 2199")
    return instant


def render(instant: Instant) -> str:
    """RFC 3339 in UTC with `Z`; a fraction only where there is one."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


def month_of(instant: Instant) -> int:
    """The UTC calendar month as yyyymm, as ClickHouse's toYYYYMM gives it."""
    moment = to_datetime(instant)
    return moment.year * 100 + moment.month


def month_start(month: int) -> Instant:
    """The first instant of a yyyymm month."""
    return from_datetime(datetime(month // 100, month % 100, 1, tzinfo=UTC))
