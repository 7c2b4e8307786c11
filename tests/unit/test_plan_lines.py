"""Which key the lines of a plan get (contract 3.9)."""

from __future__ import annotations

import pytest

from meterhouse.domain.errors import Invalid
from meterhouse.domain.plan import Cadence, Line, key_lines, require_distinct


def line(price: str, key: str | None = None) -> Line:
    return Line(price_id=price, key=key, spare_key=f"spare_{price}")


def test_a_line_has_the_key_it_says_or_a_spare_one() -> None:
    assert key_lines([line("p1", "api"), line("p2")], {}) == {"api": "p1", "spare_p2": "p2"}


def test_a_line_that_says_no_key_keeps_the_one_of_its_price() -> None:
    held = {"p1": "api", "p2": "seats"}
    assert key_lines([line("p2"), line("p1"), line("p3")], held) == {
        "seats": "p2",
        "api": "p1",
        "spare_p3": "p3",
    }
    assert key_lines([line("p1", "other")], held) == {"other": "p1"}


def test_a_key_that_another_line_says_is_not_kept() -> None:
    assert key_lines([line("p1"), line("p2", "api")], {"p1": "api"}) == {"spare_p1": "p1", "api": "p2"}


def test_lines_stay_in_their_order() -> None:
    assert [*key_lines([line(f"p{number}") for number in (3, 1, 2)], {}).values()] == ["p3", "p1", "p2"]


def test_a_price_or_a_key_twice_is_refused_by_place() -> None:
    with pytest.raises(Invalid) as refused:
        require_distinct([line("p1", "a"), line("p2", "a"), line("p1"), line("p3"), line("p4")])
    assert [one.field for one in refused.value.problems] == ["prices.1.key", "prices.2.priceId"]
    require_distinct([])


def test_a_cadence_has_an_older_word() -> None:
    assert [one.interval for one in Cadence] == ["monthly", "quarterly", "yearly"]
