"""Counting by columns is the same rule as `outcome_of`, event by event."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aggregator.extraction import extract
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.disposition import BeforeEventFrom, Counted, Flaw, Unusable
from meterhouse.domain.event import Facts, value_hash
from meterhouse.domain.matching import MISSING, outcome_of

_edges = st.sampled_from(
    [
        *(
            10**20,
            10**20 - 1,
            -(10**20),
            1 - 10**20,
            0,
            True,
            False,
            None,
            "",
            "1",
            "-0",
            "1e19",
            "1e20",
            " 1",
        ),
        *map(Decimal, ("1e19", "1e20", "1e-18", "1e-19", "10e-19", "-0.0", "0e99", "1e-999999")),
        *map(Decimal, ("NaN", "sNaN1", "Infinity")),
        Decimal("99999999999999999999.999999999999999999"),
        Decimal("99999999999999999999.9999999999999999990"),
        Decimal("12345678901234567890123456789.123456789"),
    ]
)
_scalars = (
    _edges | st.integers() | st.decimals() | st.text(max_size=5) | st.from_regex(r"-?\d{1,3}(\.\d{1,20})?")
)
_inner = st.dictionaries(st.sampled_from("abc"), _scalars | st.lists(_scalars, max_size=2), max_size=3)
_data = st.just(MISSING) | _scalars | st.dictionaries(st.sampled_from("abc"), _scalars | _inner, max_size=3)
_paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=2).map(tuple)
_definitions = st.builds(
    Definition,
    billable_metric_id=st.just("bm"),
    version=st.just(1),
    namespace=st.just("org"),
    aggregation=st.sampled_from(Aggregation),
    event_type=st.just("t"),
    value_path=st.none() | _paths,
    dimensions=st.lists(_paths, max_size=3).map(lambda paths: tuple(zip("xyz", paths, strict=False))),
    event_from=st.none() | st.integers(0, 10),
)


def _representable(data: object) -> bool:
    """Parsed JSON holds no NaN; as a value it is unusable, but as a dimension it has no text."""
    match data:
        case Decimal():
            return data.is_finite()
        case dict():
            return all(map(_representable, data.values()))
        case list():
            return all(map(_representable, data))
    return True


def rows_of(columns: list[list[str]], size: int) -> list[tuple[str, ...]]:
    """Columns as rows."""
    return list(zip(*columns, strict=True)) if columns else [()] * size


@given(_definitions, st.lists(st.tuples(st.integers(0, 10), _data), max_size=8))
def test_columns_give_exactly_what_the_rule_gives_for_each_event(
    definition: Definition, events: list[tuple[int, object]]
) -> None:
    if definition.dimensions or definition.aggregation is Aggregation.UNIQUE_COUNT:
        events = [event for event in events if _representable(event[1])]
    size = len(events)
    facts = Facts(
        offsets=list(range(size)),
        id_hashes=list(range(size)),
        subjects=["s"] * size,
        aliases=[""] * size,
        times=[time for time, _ in events],
        received_ats=[0] * size,
        data=[b""] * size,
    )
    counting = extract(definition, facts, [data for _, data in events])
    counted = dict(
        zip(
            counting.rows,
            zip(
                counting.values,
                rows_of(counting.dimensions, len(counting.rows)),
                counting.unique_hashes,
                strict=True,
            ),
            strict=True,
        )
    )
    flaws: Counter[Flaw] = Counter()
    for row, (time, data) in enumerate(events):
        match outcome_of(definition, time, data):
            case Counted(value, dimensions):
                found, texts, unique_hash = counted.pop(row)
                assert texts == dimensions
                if definition.aggregation is not Aggregation.UNIQUE_COUNT:
                    assert str(found) == str(value)
                    assert unique_hash == 0
                else:
                    assert found is None
                    assert unique_hash == (value_hash(value) if isinstance(value, str) else row or 1)
            case Unusable(_, flaw):
                assert row in counting.unusable
                flaws[flaw] += 1
            case BeforeEventFrom():
                assert row not in counting.unusable
    assert not counted
    assert flaws == Counter(counting.flaws)
