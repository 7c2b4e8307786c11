"""What tombstones hide, and which generation an identity is of."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aggregator.generations import told_apart
from meterhouse.adapters.cloudevents_json import decode_columns, encode
from meterhouse.domain.event import Event, EventColumns, id_hash
from meterhouse.domain.tombstone import EVERYBODY, FIRST, Tombstone, Tombstones
from meterhouse.ports.log import LogRecord
from tests.fakes_query import event

WHOSE = st.sampled_from([EVERYBODY, ("cus_a", ""), ("", "acme"), ("cus_b", "")])
EVENTS = st.tuples(
    st.sampled_from(["cus_a", "cus_b", ""]), st.sampled_from(["acme", "other", ""]), st.integers(0, 12)
)


def is_over(one: Tombstone, subject: str, external_subject: str) -> bool:
    return one.whose in (EVERYBODY, (subject, "") if subject else ("", external_subject))


@given(st.lists(st.builds(Tombstone, st.integers(1, 10), WHOSE)), EVENTS)
def test_an_event_is_hidden_by_the_last_tombstone_over_it_that_came_after_it(
    placed: list[Tombstone], seen: tuple[str, str, int]
) -> None:
    subject, external_subject, at = seen
    over = [one.at for one in placed if is_over(one, subject, external_subject)]
    tombstones = Tombstones.of(placed)
    assert tombstones.hidden_by(*seen) == (max(over) if any(at < one for one in over) else None)
    assert tombstones.generation(*seen) == max([one for one in over if one <= at], default=FIRST)
    assert tombstones.generation(*seen) in tombstones.instants()


@given(st.lists(st.builds(Tombstone, st.integers(1, 10), WHOSE)), EVENTS)
def test_what_lasts_hides_the_same(placed: list[Tombstone], seen: tuple[str, str, int]) -> None:
    tombstones = Tombstones.of(placed)
    lasting = [Tombstone(at, whose) for whose, at in tombstones.lasting.items()]
    kept = Tombstones.of([*lasting, Tombstone(tombstones.since)])
    assert kept.hidden_by(*seen) == tombstones.hidden_by(*seen)


def columns_of(*events: Event) -> EventColumns:
    values = [encode(one).value for one in events]
    return decode_columns(0, [LogRecord(offset, 1, value) for offset, value in enumerate(values)])[0]


def test_only_what_came_after_a_tombstone_over_it_is_told_apart() -> None:
    before, after, others = event("a"), event("b"), event("c")
    before = before._replace(received_at=before.time)
    after = after._replace(received_at=before.time + 1)
    others = others._replace(received_at=before.time + 1, namespace="org_other")
    columns = columns_of(before, after, others)
    at = before.time + 1
    tombstones = {before.namespace: Tombstones.of([Tombstone(at)])}
    hashes = [id_hash(one.namespace, one.source, one.id) for one in (before, after, others)]
    again = id_hash(after.namespace, after.source, after.id, at)
    assert columns.id_hashes == hashes
    assert told_apart(columns, {}) is columns
    assert told_apart(columns, tombstones) == replace(columns, id_hashes=[hashes[0], again, hashes[2]])
