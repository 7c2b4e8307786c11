"""When another version of a plan begins to charge a subscription."""

from __future__ import annotations

from typing import Final

from meterhouse.domain.instant import LATEST, parse
from meterhouse.domain.price_interval import Span, next_boundary, switched

JANUARY: Final = parse("2024-01-31T00:00:00Z")
FEBRUARY: Final = parse("2024-02-29T00:00:00Z")
MARCH: Final = parse("2024-03-31T00:00:00Z")


def boundary(now: int, *, started_at: int = JANUARY) -> int | None:
    return next_boundary(started_at=started_at, anchor=JANUARY, cadence="P1M", now=now)


def test_another_version_charges_from_the_next_period_on() -> None:
    assert boundary(JANUARY) == FEBRUARY
    assert boundary(FEBRUARY - 1) == FEBRUARY
    assert boundary(FEBRUARY) == MARCH
    assert boundary(LATEST - 1) is None


def test_before_the_start_it_charges_from_the_start_on() -> None:
    start = FEBRUARY + 5
    assert boundary(JANUARY, started_at=start) == start
    assert boundary(start, started_at=start) == MARCH


def test_a_switch_takes_the_place_of_what_was_to_come() -> None:
    begun = (Span(JANUARY, 1),)
    to_come = switched(begun, FEBRUARY, 2)
    assert to_come == (Span(JANUARY, 1), Span(FEBRUARY, 2))
    assert switched(to_come, FEBRUARY, 3) == (Span(JANUARY, 1), Span(FEBRUARY, 3))
    assert switched(to_come, FEBRUARY, 1) == begun
    assert switched(to_come, MARCH, 2) == to_come
    assert switched(begun, JANUARY, 4) == (Span(JANUARY, 4),)
