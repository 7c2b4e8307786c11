"""From records to blocks: a pure function, so that a replay builds the same blocks.

Deduplicate, decide what each metric makes of each first-seen event, lay the results out as columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from aggregator.extraction import Counting
from aggregator.metering import DefinitionsByType, Parse, blocks_by_month, count, metered_groups, picked
from meterhouse.domain.block import (
    Block,
    FirstSeenColumns,
    IdentityColumns,
    MeteredGroup,
    RepeatColumns,
    Seen,
    Table,
)
from meterhouse.domain.disposition import Disposition
from meterhouse.domain.event import EventColumns, Facts, IdHash, alias_of
from meterhouse.ports.log import LogRecord


def fold(
    events: EventColumns,
    definitions: DefinitionsByType,
    seen: Mapping[IdHash, Seen],
    *,
    last: int,
    records: Sequence[LogRecord],
    parse: Parse,
) -> list[Block]:
    """The blocks of one live batch, in the order of Table and then of months.

    `events` are the readable ones of `records`, the batch's whole range up to offset `last`; `seen` says
    where their identities were first seen, which may be the very record (a replay).
    """
    stream = str(events.partition)
    firsts, repeated = _split(events, seen)
    blocks: list[Block] = []
    if repeated:
        repeats = _repeat_columns(events, repeated, records)
        blocks.append(Block(Table.EVENT_REPEATS, stream, 0, repeats.offsets[-1], repeats))
    if not firsts:
        return blocks
    first_seen = FirstSeenColumns(_take(events, firsts))
    first_seen.dispositions = [Disposition.UNMATCHED.value] * len(first_seen)
    groups: list[tuple[int, MeteredGroup]] = []
    for key, rows in _rows_by_type(first_seen.events, definitions).items():
        facts = _facts(first_seen.events, rows)
        countings = count(definitions[key], facts, parse)
        _dispose(first_seen.dispositions, rows, countings)
        for counting in countings:
            first_seen.flaws.update(counting.flaws)
        for definition, counting in zip(definitions[key], countings, strict=True):
            groups += metered_groups(definition, facts, counting)
    kept = first_seen.events
    identities = IdentityColumns(kept.partition, kept.id_hashes, kept.offsets, kept.payload_hashes)
    blocks.append(Block(Table.EVENTS, stream, 0, kept.offsets[-1], first_seen))
    blocks += blocks_by_month(groups, partition=events.partition, stream=stream, mark=last)
    blocks.append(Block(Table.EVENT_IDS, stream, 0, kept.offsets[-1], identities))
    return blocks


def _split(events: EventColumns, seen: Mapping[IdHash, Seen]) -> tuple[Sequence[int], list[tuple[int, Seen]]]:
    """The rows of first-seen events, and the rows of repeats with the place of their first."""
    if not seen and len(set(events.id_hashes)) == len(events):
        return range(len(events)), []
    firsts: list[int] = []
    repeats: list[tuple[int, Seen]] = []
    met: dict[IdHash, Seen] = {}
    partition = events.partition
    rows = zip(events.id_hashes, events.offsets, events.payload_hashes, strict=True)
    for row, (identity, offset, payload_hash) in enumerate(rows):
        place = seen.get(identity) or met.get(identity)
        if place is None:
            met[identity] = Seen(partition, offset, payload_hash)
            firsts.append(row)
        elif place.offset == offset and place.partition == partition:
            firsts.append(row)  # a replay meets the event itself
        else:
            repeats.append((row, place))
    return firsts, repeats


def _repeat_columns(
    events: EventColumns, repeated: Sequence[tuple[int, Seen]], records: Sequence[LogRecord]
) -> RepeatColumns:
    differing = {
        events.offsets[row] for row, first in repeated if first.payload_hash != events.payload_hashes[row]
    }
    payloads = {record.offset: record.value for record in records if record.offset in differing}
    rows = [row for row, _ in repeated]
    offsets = [events.offsets[row] for row in rows]
    return RepeatColumns(
        events.partition,
        id_hashes=[events.id_hashes[row] for row in rows],
        offsets=offsets,
        first_partitions=[first.partition for _, first in repeated],
        first_offsets=[first.offset for _, first in repeated],
        received_ats=[events.received_ats[row] for row in rows],
        payloads=[payloads.get(offset, b"") for offset in offsets],
    )


def _take(events: EventColumns, rows: Sequence[int]) -> EventColumns:
    if len(rows) == len(events):
        return events
    return EventColumns(
        events.partition,
        offsets=[events.offsets[row] for row in rows],
        id_hashes=[events.id_hashes[row] for row in rows],
        payload_hashes=[events.payload_hashes[row] for row in rows],
        namespaces=[events.namespaces[row] for row in rows],
        sources=[events.sources[row] for row in rows],
        ids=[events.ids[row] for row in rows],
        types=[events.types[row] for row in rows],
        subjects=[events.subjects[row] for row in rows],
        external_subjects=[events.external_subjects[row] for row in rows],
        external_ids=[events.external_ids[row] for row in rows],
        times=[events.times[row] for row in rows],
        received_ats=[events.received_ats[row] for row in rows],
        data=[events.data[row] for row in rows],
        attributes=[events.attributes[row] for row in rows],
    )


def _rows_by_type(events: EventColumns, definitions: DefinitionsByType) -> dict[tuple[str, str], list[int]]:
    """Rows under their (namespace, type), for those that some definition counts."""
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(events.namespaces, events.types, strict=True)):
        found[key].append(row)
    return {key: rows for key, rows in found.items() if key in definitions}


def _facts(events: EventColumns, rows: Sequence[int]) -> Facts:
    subjects = picked(events.subjects, rows)
    return Facts(
        offsets=picked(events.offsets, rows),
        id_hashes=picked(events.id_hashes, rows),
        subjects=subjects,
        aliases=list(map(alias_of, subjects, picked(events.external_subjects, rows))),
        times=picked(events.times, rows),
        received_ats=picked(events.received_ats, rows),
        data=picked(events.data, rows),
    )


def _dispose(dispositions: list[str], rows: Sequence[int], countings: Sequence[Counting]) -> None:
    """Counted if any metric counted it, else unusable if any could not use it (domain.disposition)."""
    for counting in countings:
        for place in counting.unusable:
            dispositions[rows[place]] = Disposition.UNUSABLE.value
    if any(len(counting.rows) == len(rows) for counting in countings):
        countings = [max(countings, key=lambda counting: len(counting.rows))]
    for counting in countings:
        for place in counting.rows:
            dispositions[rows[place]] = Disposition.COUNTED.value
