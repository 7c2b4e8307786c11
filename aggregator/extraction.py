"""What one definition makes of many events at once.

The rule is `domain.matching.outcome_of`; this is the same rule over columns, because calling it for every
event and metric costs five times as much. A property test holds the two equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

from meterhouse.domain.billable_metric import Aggregation, Definition, Path
from meterhouse.domain.disposition import Flaw, Unusable
from meterhouse.domain.event import Facts, IdHash, value_hash
from meterhouse.domain.matching import (
    MAX_FRACTION,
    MAX_INTEGER_DIGITS,
    MISSING,
    at_path,
    dimension_of,
    flaw_of_text,
    number_of,
    text_of,
)
from meterhouse.domain.tombstone import Tombstones

_INTEGER_LIMIT: Final = 10**MAX_INTEGER_DIGITS
_QUANTUM: Final = Decimal(1).scaleb(-MAX_FRACTION)
# Quantizing under it fails for exactly the numbers that Decimal(38, 18) cannot hold.
_COLUMN: Final = Context(prec=MAX_INTEGER_DIGITS + MAX_FRACTION, traps=[Inexact, InvalidOperation])


@dataclass(frozen=True, slots=True)
class Counting:
    """What one definition made of some Facts: the rows it counts, and those it could not use.

    `values` and `unique_hashes` belong to `rows`, one entry each, and so does every column of `dimensions`,
    one for each name. Rows in neither list happened before the definition's `event_from`, or are hidden.
    `flaws` says why rows are unusable, and of how many.
    """

    rows: Sequence[int]
    values: list[Decimal | int | None]
    dimensions: list[list[str]]
    unique_hashes: list[IdHash]
    unusable: Sequence[int]
    flaws: Mapping[Flaw, int]


def needs_data(definition: Definition) -> bool:
    """Whether its outcome depends on the event's data at all."""
    counts_events = definition.aggregation is Aggregation.COUNT
    return bool(definition.dimensions) or (definition.value_path is not None and not counts_events)


def extract(definition: Definition, facts: Facts, data: Sequence[object]) -> Counting:
    """Apply `definition` to events of its namespace and type; `data` is their parsed data."""
    rows: Sequence[int] = range(len(facts))
    event_from = definition.event_from
    if event_from is not None and min(facts.times, default=event_from) < event_from:
        rows = [row for row, time in enumerate(facts.times) if time >= event_from]
    if definition.tombstones:
        rows = [row for row in rows if not _is_hidden(definition.tombstones, facts, row)]
    if definition.aggregation is Aggregation.COUNT:
        return _counting(definition, rows, data, unusable=(), flaws={})
    if definition.aggregation is Aggregation.UNIQUE_COUNT:
        return _unique(definition, facts, rows, data)
    if definition.value_path is None:
        return Counting((), [], [], [], rows, {Flaw.NO_VALUE_PROPERTY: len(rows)})
    found = [_number(value) for value in _column(_taken(data, rows), definition.value_path)]
    numbers = [number for number in found if not isinstance(number, Unusable)]
    unusable: Sequence[int] = ()
    flaws: Mapping[Flaw, int] = {}
    if len(numbers) < len(found):
        flaws = Counter([number.flaw for number in found if isinstance(number, Unusable)])
        unusable = [row for row, number in zip(rows, found, strict=True) if isinstance(number, Unusable)]
        rows = [row for row, number in zip(rows, found, strict=True) if not isinstance(number, Unusable)]
    return _counting(definition, rows, data, values=list(numbers), unusable=unusable, flaws=flaws)


def _is_hidden(tombstones: Tombstones, facts: Facts, row: int) -> bool:
    hidden_by = tombstones.hidden_by(facts.subjects[row], facts.aliases[row], facts.received_ats[row])
    return hidden_by is not None


def _unique(definition: Definition, facts: Facts, rows: Sequence[int], data: Sequence[object]) -> Counting:
    if definition.value_path is None:
        hashes = [facts.id_hashes[row] or 1 for row in rows]
        return _counting(definition, rows, data, unique_hashes=hashes, unusable=(), flaws={})
    found = _column(_taken(data, rows), definition.value_path)
    texts = [value if type(value) is str else text_of(value) for value in found]
    unusable = [row for row, text in zip(rows, texts, strict=True) if text is None]
    flaws: Mapping[Flaw, int] = {}
    if unusable:
        flaws = Counter(
            [flaw_of_text(value) for value, text in zip(found, texts, strict=True) if text is None]
        )
        rows = [row for row, text in zip(rows, texts, strict=True) if text is not None]
    # 0 means "no hash" in the tables.
    known = {text: value_hash(text) or 1 for text in set(texts) if text is not None}
    hashes = [known[text] for text in texts if text is not None]
    return _counting(definition, rows, data, unique_hashes=hashes, unusable=unusable, flaws=flaws)


def _counting(
    definition: Definition,
    rows: Sequence[int],
    data: Sequence[object],
    *,
    values: list[Decimal | int | None] | None = None,
    unique_hashes: list[IdHash] | None = None,
    unusable: Sequence[int],
    flaws: Mapping[Flaw, int],
) -> Counting:
    kept = _taken(data, rows) if definition.dimensions else ()
    dimensions = [
        [value if type(value) is str else dimension_of(value) for value in _column(kept, path)]
        for _, path in definition.dimensions
    ]
    return Counting(
        rows,
        values if values is not None else [None] * len(rows),
        dimensions,
        unique_hashes if unique_hashes is not None else [0] * len(rows),
        unusable,
        flaws,
    )


def _taken(data: Sequence[object], rows: Sequence[int]) -> Sequence[object]:
    return data if len(rows) == len(data) else [data[row] for row in rows]


def _column(data: Sequence[object], path: Path) -> list[object]:
    if len(path) > 1:
        return [at_path(one, path) for one in data]
    [name] = path
    return [one.get(name, MISSING) if type(one) is dict else MISSING for one in data]


def _number(value: object) -> Decimal | int | Unusable:
    """As `number_of`; whole numbers stay as they are, for what becomes of them costs less so."""
    if type(value) is int and -_INTEGER_LIMIT < value < _INTEGER_LIMIT:
        return value
    if type(value) is Decimal and value and value.is_finite():
        try:
            _COLUMN.quantize(value, _QUANTUM)
        except (Inexact, InvalidOperation):
            return number_of(value)
        return value
    return number_of(value)
