"""Cells and readings in columns are what they would be one by one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.rollup import Numerals, Reading, Readings
from meterhouse.domain.usage import Cells, UsageCell
from meterhouse.domain.window import Window

READINGS = [
    Reading(2, Decimal("1.5"), Decimal(-1), Decimal("2.5"), Decimal(-1), 2),
    Reading(),
    Reading(1, Decimal(7), Decimal(7), Decimal(7), Decimal(7), 1),
]
CELLS = [UsageCell(Window(n, n + 1) if n else None, (f"g{n}",), one) for n, one in enumerate(READINGS)]


def test_readings_are_what_they_are_of() -> None:
    readings = Readings.of(READINGS)
    assert (list(readings), len(readings), readings[-1]) == (READINGS, 3, READINGS[-1])
    assert list(readings[1:]) == READINGS[1:]
    assert list(readings.counts) == [one.count for one in READINGS]
    assert (list(Readings.of([])), len(Readings()), list(Readings().counts)) == ([], 0, [])


@pytest.mark.parametrize("aggregation", Aggregation)
def test_the_usage_of_each_is_that_of_its_reading(aggregation: Aggregation) -> None:
    assert list(Readings.of(READINGS).values(aggregation)) == [one.value(aggregation) for one in READINGS]


@pytest.mark.parametrize("aggregation", Aggregation)
def test_what_was_not_read_is_as_in_a_reading_of_nothing(aggregation: Aggregation) -> None:
    readings = Readings({"count": [2, 1]})
    assert list(readings) == [Reading(2), Reading(1)]
    assert list(readings.values(aggregation)) == [one.value(aggregation) for one in readings]


def test_numbers_of_which_there_is_the_text_are_what_it_says() -> None:
    numbers, texts = [Decimal("1.5"), Decimal(-20), Decimal(0)], ["1.5", "-20", "0"]
    numerals = Numerals(texts)
    assert (list(numerals), len(numerals), numerals[1]) == (numbers, 3, numbers[1])
    assert (list(numerals[1:]), numerals[1:].texts) == (numbers[1:], texts[1:])
    assert list(Readings({"sum": numerals, "count": [1, 2, 3]})) == [
        Reading(count, number) for count, number in zip([1, 2, 3], numbers, strict=True)
    ]


def test_cells_are_what_they_are_of() -> None:
    cells = Cells.of(CELLS)
    assert (list(cells), len(cells), cells[1], list(cells[1:])) == (CELLS, 3, CELLS[1], CELLS[1:])
    assert list(Cells()) == []
