"""Many timestamps at once, at a tenth of what it costs to read each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from meterhouse.domain.instant import EARLIEST, LATEST, Instant

_LENGTH: Final = len("2026-05-01T12:30:15.123456Z")
_TIMESTAMP: Final = pa.timestamp("us", "UTC")


def instants_of(texts: Sequence[str | None]) -> list[Instant] | None:
    """What `domain.instant.parse` gives for each; None unless all of them are as our own log writes them.

    Of text of just this length Arrow reads what `parse` reads, and refuses what that refuses.
    """
    try:
        array = pa.array(texts, pa.string())
        lengths = pc.min_max(pc.binary_length(array)).as_py()
        if array.null_count or (lengths["min"], lengths["max"]) != (_LENGTH, _LENGTH):
            return None
        numbers = array.cast(_TIMESTAMP).cast(pa.int64())
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None
    bounds = pc.min_max(numbers).as_py()
    if bounds["min"] < EARLIEST or bounds["max"] >= LATEST:
        return None
    found: list[Instant] = numbers.to_pylist()
    return found
