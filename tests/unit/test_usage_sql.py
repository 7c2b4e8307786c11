"""The SQL that answers a question about usage, without a database."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.adapters.clickhouse.usage_sql import (
    Statement,
    pieces,
    usage_statement,
    usages_statement,
)
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.condition import AllOf, AnyOf, Not, OneOf, Prefix, one_of
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, parse
from meterhouse.domain.usage import UsageQuestion
from meterhouse.domain.window import Window, WindowSize

T0 = parse("2026-05-01T10:00:00Z")
SPLICED = "x'); DROP TABLE events; --"

lengths: dict[str | None, int] = {
    WindowSize.DAY: DAY,
    WindowSize.HOUR: HOUR,
    WindowSize.MINUTE: MINUTE,
    None: 1,
}
borders = st.builds(
    lambda unit, number, off: max(unit * number + off, 0),
    st.sampled_from([MINUTE, HOUR, DAY]),
    st.integers(0, 70),
    st.integers(-2, 2),
)
instants = st.one_of(st.integers(0, 3 * DAY), borders)


def statement(**changes: object) -> Statement:
    definition = Definition(
        billable_metric_id="bm_1", version=1, namespace="org_1", aggregation=Aggregation.AVG
    )
    asked: dict[str, object] = {"definition": definition, "period": Window(T0, T0 + DAY), **changes}
    built = usage_statement(UsageQuestion(**asked))  # type: ignore[arg-type] # a test's shorthand
    assert built is not None
    return built


@given(instants, instants, st.sampled_from([DAY, HOUR, MINUTE, 1]))
def test_pieces_tile_the_period_exactly_and_fit_their_tables(start: int, end: int, grain: int) -> None:
    found = pieces(Window(start, end), grain=grain)
    windows = sorted(window for several in found.values() for window in several)
    if start >= end:
        assert windows == []
        return
    assert (windows[0].start, windows[-1].end) == (start, end)
    assert all(one.end == following.start for one, following in pairwise(windows))
    for table, several in found.items():
        assert all(
            w.start < w.end and w.start % lengths[table] == w.end % lengths[table] == 0 for w in several
        )
    assert all(lengths[table] <= grain for table in found)


@given(instants, instants)
def test_pieces_are_as_coarse_as_they_can_be(start: int, end: int) -> None:
    found = pieces(Window(start, end))
    assert all(window.end - window.start < 2 * MINUTE for window in found.get(None, []))
    assert all(window.end - window.start < 2 * HOUR for window in found.get(WindowSize.MINUTE, []))
    assert all(window.end - window.start < 2 * DAY for window in found.get(WindowSize.HOUR, []))


def test_a_period_of_whole_hours_reads_hours_alone() -> None:
    assert pieces(Window(T0, T0 + DAY)) == {WindowSize.HOUR: [Window(T0, T0 + DAY)]}


def test_whole_days_in_a_period_read_days() -> None:
    noon, midnight = T0 + 2 * HOUR, T0 + 14 * HOUR
    assert pieces(Window(noon, midnight + 2 * DAY)) == {
        WindowSize.HOUR: [Window(noon, midnight)],
        WindowSize.DAY: [Window(midnight, midnight + 2 * DAY)],
    }


def test_ragged_edges_read_minutes_and_events() -> None:
    start, end = T0 - 61 * SECOND, T0 + HOUR + MINUTE + 1
    assert pieces(Window(start, end)) == {
        None: [Window(start, T0 - MINUTE), Window(end - 1, end)],
        WindowSize.MINUTE: [Window(T0 - MINUTE, T0), Window(T0 + HOUR, T0 + HOUR + MINUTE)],
        WindowSize.HOUR: [Window(T0, T0 + HOUR)],
    }


def test_an_empty_period_needs_no_statement() -> None:
    definition = Definition(
        billable_metric_id="bm_1", version=1, namespace="org_1", aggregation=Aggregation.SUM
    )
    assert usage_statement(UsageQuestion(definition=definition, period=Window(T0, T0))) is None


@pytest.mark.parametrize("size", [None, *WindowSize])
def test_nothing_of_a_question_is_spliced_and_every_place_is_bound(size: WindowSize | None) -> None:
    built = statement(
        condition=AllOf(
            (
                one_of("subject", SPLICED),
                Not(one_of(SPLICED, SPLICED, "")),
                AnyOf((Prefix(SPLICED, SPLICED), OneOf(("subject", SPLICED), frozenset({(SPLICED, "")})))),
            )
        ),
        group_by=(SPLICED, "subject"),
        window_size=size,
        period=Window(T0 + 1, T0 + DAY + MINUTE + 1),
    )
    assert "DROP" not in built.text
    assert set(re.findall(r"\{(\w+):[\w(), ]+\}", built.text)) == set(built.parameters)


def test_one_statement_reads_any_number_of_metrics() -> None:
    def of(metrics: int) -> Statement:
        definitions = [
            Definition(
                billable_metric_id=f"{SPLICED}{number}",
                version=number,
                namespace="org_1",
                aggregation=Aggregation.MAX,
            )
            for number in range(metrics)
        ]
        questions = [
            UsageQuestion(definition=one, period=Window(T0, T0 + DAY + 1), group_by=("subject",))
            for one in definitions
        ]
        built = usages_statement(questions)
        assert built is not None
        return built

    assert of(1).text == of(200).text
    assert "DROP" not in of(200).text
    assert set(re.findall(r"\{(\w+):[\w(), ]+\}", of(2).text)) == set(of(2).parameters)


def test_only_the_states_that_the_aggregation_shows_are_read() -> None:
    text = statement().text
    assert "sum(s_sum)) AS sum" in text
    assert not re.search(r"unique|latest|min\(|max\(", text)


def test_rows_over_all_subjects_are_read_where_no_subject_matters() -> None:
    overall = "window_size = 'HOUR OVERALL'"
    assert overall in statement(group_by=("model",), condition=one_of("model", "a")).text
    assert overall not in statement(group_by=("subject",)).text
    assert overall not in statement(condition=Not(one_of("subject", "cus_1"))).text


def test_bounds_beyond_the_last_window_are_cut() -> None:
    built = statement(period=Window(T0, parse("2199-12-31T00:00:00Z")))
    assert (2**32 - 1) // 3600 * 3600 in built.parameters.values()
    assert parse("2199-12-31T00:00:00Z") // SECOND not in built.parameters.values()
