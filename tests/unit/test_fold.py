"""What a batch becomes: first-seen events, repeats, metered rows by month."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

from aggregator.fold import fold
from aggregator.metering import by_type, fold_stored
from meterhouse.adapters.cloudevents_json import decode_columns, encode, parse_data
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.block import (
    Block,
    FirstSeenColumns,
    IdentityColumns,
    MeteredColumns,
    RepeatColumns,
    Seen,
    Table,
)
from meterhouse.domain.disposition import Flaw
from meterhouse.domain.event import Event, Facts, IdHash, id_hash, value_hash
from meterhouse.domain.instant import SECOND, parse
from meterhouse.ports.log import LogRecord

APRIL = parse("2026-04-30T23:59:59.999999Z")
MAY = parse("2026-05-01T00:00:00Z")
TOKENS = Definition(
    billable_metric_id="bm_tokens",
    version=1,
    namespace="org_a",
    aggregation=Aggregation.SUM,
    event_type="chat",
    value_path=("tokens",),
    dimensions=(("model", ("model",)),),
)
CALLS = dataclasses.replace(
    TOKENS, billable_metric_id="bm_calls", aggregation=Aggregation.COUNT, value_path=None, dimensions=()
)


def _event(id: str, tokens: object = 1, **changes: object) -> Event:
    data = json.dumps({"tokens": tokens, "model": "swift"}).encode()
    plain = Event(
        namespace="org_a",
        source="/a",
        id=id,
        type="chat",
        time=MAY,
        received_at=MAY,
        subject="cus_a",
        data=data,
    )
    return plain._replace(**changes)  # type: ignore[arg-type] # any field, by name


def _records(events: Sequence[Event], first: int = 0) -> list[LogRecord]:
    return [LogRecord(first + n, one.received_at, encode(one).value) for n, one in enumerate(events)]


def _fold(
    events: Sequence[Event],
    *definitions: Definition,
    seen: Mapping[IdHash, Seen] | None = None,
    first: int = 0,
) -> dict[tuple[Table, int], Block]:
    records = _records(events, first)
    columns, unreadable = decode_columns(0, records)
    assert not unreadable
    blocks = fold(
        columns, by_type(definitions), seen or {}, last=records[-1].offset, records=records, parse=parse_data
    )
    return {(block.table, block.month): block for block in blocks}


def _first_seen(blocks: Mapping[tuple[Table, int], Block]) -> FirstSeenColumns:
    rows = blocks[Table.EVENTS, 0].rows
    assert isinstance(rows, FirstSeenColumns)
    return rows


def _metered(blocks: Mapping[tuple[Table, int], Block], month: int = 202605) -> MeteredColumns:
    rows = blocks[Table.METERED_EVENTS, month].rows
    assert isinstance(rows, MeteredColumns)
    return rows


def _repeats(blocks: Mapping[tuple[Table, int], Block]) -> RepeatColumns:
    rows = blocks[Table.EVENT_REPEATS, 0].rows
    assert isinstance(rows, RepeatColumns)
    return rows


def test_each_metric_counts_the_events_of_its_type_and_namespace() -> None:
    events = [
        _event("1", 5),
        _event("2", 7, namespace="org_b"),
        _event("3", 9, type="other"),
        _event("4", "2.50"),
    ]
    blocks = _fold(events, TOKENS, CALLS)
    calls, tokens = _metered(blocks).groups
    assert (calls.billable_metric_id, calls.offsets, calls.values) == ("bm_calls", [0, 3], [None, None])
    assert (tokens.billable_metric_id, tokens.offsets) == ("bm_tokens", [0, 3])
    assert tokens.values == [Decimal(5), Decimal("2.50")]
    assert tokens.dimensions == [["swift", "swift"]]
    assert _first_seen(blocks).dispositions == ["counted", "unmatched", "unmatched", "counted"]


def test_an_event_no_metric_can_use_is_unusable_and_one_that_some_can_is_counted() -> None:
    events = [_event("1", None), _event("2", 1)]
    assert _first_seen(_fold(events, TOKENS)).dispositions == ["unusable", "counted"]
    assert _first_seen(_fold(events, TOKENS, CALLS)).dispositions == ["counted", "counted"]
    late = dataclasses.replace(CALLS, event_from=MAY + 1)
    assert _first_seen(_fold(events, late)).dispositions == ["unmatched", "unmatched"]


def test_the_fold_says_how_often_a_metric_could_not_use_an_event_and_why() -> None:
    events = [_event("1", None), _event("2", 1), _event("3", "x"), _event("4", 10**20)]
    peak = dataclasses.replace(TOKENS, billable_metric_id="bm_peak", aggregation=Aggregation.MAX)
    flaws = _first_seen(_fold(events, TOKENS, peak, CALLS)).flaws
    assert flaws == {Flaw.NOT_A_NUMBER: 4, Flaw.OUT_OF_RANGE: 2}


def test_a_repeat_inside_the_batch_counts_once_and_keeps_its_payload_only_if_it_differs() -> None:
    first = _event("1", 5, received_at=MAY + SECOND)
    events = [first, first._replace(received_at=MAY + 2 * SECOND), _event("1", 6), _event("2", 7)]
    blocks = _fold(events, TOKENS)
    assert _metered(blocks).groups[0].offsets == [0, 3]
    repeats = _repeats(blocks)
    assert repeats.offsets == [1, 2]
    assert repeats.first_offsets == [0, 0]
    assert repeats.payloads == [b"", encode(events[2]).value]
    assert blocks[Table.EVENT_REPEATS, 0].mark == 2


def test_a_repeat_of_an_earlier_batch_points_at_its_first_place() -> None:
    identity = id_hash("org_a", "/a", "1")
    blocks = _fold([_event("1", 5)], TOKENS, seen={identity: Seen(3, 17, 0)}, first=40)
    repeats = _repeats(blocks)
    assert (repeats.first_partitions, repeats.first_offsets, repeats.offsets) == ([3], [17], [40])
    assert list(blocks) == [(Table.EVENT_REPEATS, 0)]


def test_a_replay_that_meets_its_own_identities_builds_the_same_blocks() -> None:
    events = [_event("1", 5), _event("1", 6), _event("2", 7)]
    original = _fold(events, TOKENS, first=10)
    identities = original[Table.EVENT_IDS, 0].rows
    assert isinstance(identities, IdentityColumns)
    landed = {
        one: Seen(0, offset, payload_hash)
        for one, offset, payload_hash in zip(
            identities.id_hashes, identities.offsets, identities.payload_hashes, strict=True
        )
    }
    assert _fold(events, TOKENS, first=10, seen=landed) == original


def test_rows_of_two_months_go_into_blocks_of_their_own_that_all_carry_the_batch_s_last_offset() -> None:
    blocks = _fold([_event("1", 1, time=MAY), _event("2", 2, time=APRIL), _event("3", 3)], TOKENS)
    assert list(blocks) == [
        (Table.EVENTS, 0),
        (Table.METERED_EVENTS, 202604),
        (Table.METERED_EVENTS, 202605),
        (Table.ROLLUPS, 202604),
        (Table.ROLLUPS, 202605),
        (Table.EVENT_IDS, 0),
    ]
    assert _metered(blocks, 202604).groups[0].offsets == [1]
    assert _metered(blocks, 202605).groups[0].offsets == [0, 2]
    assert {block.mark for block in blocks.values()} == {2}


def test_an_external_subject_is_kept_only_where_there_is_no_subject() -> None:
    events = [
        _event("1", external_subject="ext"),
        _event("2", subject="", external_subject="ext"),
    ]
    [group] = _metered(_fold(events, CALLS)).groups
    assert (group.subjects, group.external_subjects) == (["cus_a", ""], ["", "ext"])


def test_unique_count_hashes_the_value_or_without_a_path_the_identity() -> None:
    unique = dataclasses.replace(TOKENS, aggregation=Aggregation.UNIQUE_COUNT, dimensions=())
    events = [_event("1", 1), _event("2", "1"), _event("3", None)]
    blocks = _fold(events, unique)
    assert _metered(blocks).groups[0].unique_hashes == [value_hash("1")] * 2
    assert _first_seen(blocks).dispositions == ["counted", "counted", "unusable"]
    [group] = _metered(_fold(events, dataclasses.replace(unique, value_path=None))).groups
    assert group.unique_hashes == [id_hash("org_a", "/a", one) for one in "123"]
    assert group.values == [None] * 3


def test_a_metric_without_event_type_counts_nothing() -> None:
    blocks = _fold([_event("1")], dataclasses.replace(CALLS, event_type=None))
    assert list(blocks) == [(Table.EVENTS, 0), (Table.EVENT_IDS, 0)]


def test_a_backfill_counts_stored_events_as_the_live_fold_does() -> None:
    events = [_event("1", 5), _event("2", "no"), _event("3", 7, type="other"), _event("4", 8, time=APRIL)]
    live = _fold(events, TOKENS)
    seen = [(offset, one) for offset, one in enumerate(events) if one.type == TOKENS.event_type]
    stored = Facts(
        offsets=[offset for offset, _ in seen],
        id_hashes=[id_hash(one.namespace, one.source, one.id) for _, one in seen],
        subjects=[one.subject for _, one in seen],
        aliases=[one.external_subject for _, one in seen],
        times=[one.time for _, one in seen],
        received_ats=[one.received_at for _, one in seen],
        data=[one.data for _, one in seen],
    )
    blocks = fold_stored(stored, TOKENS, partition=0, stream="0/bm_tokens/1", last=3, parse=parse_data)
    for block in blocks:
        assert block.rows == live[block.table, block.month].rows
        assert (block.stream, block.mark) == ("0/bm_tokens/1", 3)
    assert len(blocks) == 4
