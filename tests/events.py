"""Random events with everything in them that counting can get wrong; the same seed gives the same events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

# Across the end of a month and of a day, with clusters inside one minute.
_FIRST: Final = datetime(2026, 4, 29, 21, 58, 30, tzinfo=UTC)

_USABLE: Final[Sequence[object]] = (
    0, 1, 7, -3, 250, 10**12, Decimal("0.1"), Decimal("1.10"), Decimal("-2.5"), Decimal("1E+3"),
    Decimal("0.000000000000000001"), Decimal("99999999999999999999.999999999999999999"),
    "12", "+4", "-0.75", "1e3", "2.50E-1", "007",
)  # fmt: skip
_UNUSABLE: Final[Sequence[object]] = (
    None, True, False, "", " 1", "1 ", "abc", "NaN", "Infinity", "1,5", "1_000", ".5", "5.", [], [1], {},
    {"v": 1}, 10**20, Decimal("1E+25"), Decimal("0.0000000000000000001"), "1e400",
)  # fmt: skip
_MODELS: Final[Sequence[object]] = (
    "swift",
    "deep",
    "vision",
    1,
    Decimal("1.0"),
    True,
    None,
    {"b": 1, "a": [2]},
)
_USERS: Final[Sequence[object]] = ("u1", "u2", "u3", 5, Decimal("5.0"), "5", True, "true", None, [1])


def random_events(seed: int, count: int, event_type: str) -> list[dict[str, Any]]:
    """`count` CloudEvents as they are sent: repeats, conflicts, late ones, another type, odd values."""
    random = Random(seed)
    events: list[dict[str, Any]] = []
    for number in range(count):
        chance = random.random()
        if events and chance < 0.08:
            events.append(random.choice(events))
        elif events and chance < 0.14:
            events.append(random.choice(events) | {"data": _data(random)})
        elif events and chance < 0.16:
            events.append(random.choice(events) | {"time": _time(random)})
        else:
            events.append(_event(random, number, event_type))
    return events


def _event(random: Random, number: int, event_type: str) -> dict[str, Any]:
    other = random.random() < 0.05
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": random.choice(("/a", "/b")),
        "type": f"{event_type}.other" if other else event_type,
        "subject": f"cus_{random.choice('abcde')}",
        "time": _time(random),
        "data": _data(random),
    }


def _time(random: Random) -> str:
    """Some in the same minute or microsecond, most spread over five days."""
    cluster = _FIRST + timedelta(hours=random.choice((0, 2, 3, 26, 50)))
    spread = random.choice((0, 1, 90 * 10**6, 3_600 * 10**6, 4 * 86_400 * 10**6))
    moment = cluster + timedelta(microseconds=random.randrange(spread + 1))
    return moment.isoformat().replace("+00:00", "Z")


def _data(random: Random) -> dict[str, Any]:
    value = random.choice(_UNUSABLE) if random.random() < 0.15 else random.choice(_USABLE)
    data: dict[str, Any] = {"usage": {"amount": value}, "model": random.choice(_MODELS)}
    if random.random() < 0.9:
        data["user"] = random.choice(_USERS)
    if random.random() < 0.8:
        data["where"] = {"region": random.choice(("eu", "us", ""))}
    if random.random() < 0.03:
        del data["usage"]
    return data
