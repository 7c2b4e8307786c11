"""Identities of events that are sent again after a reset: the same id, but another event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from meterhouse.domain.event import EventColumns, IdHash, id_hash
from meterhouse.domain.tombstone import FIRST, Tombstones


def told_apart(events: EventColumns, tombstones: Mapping[str, Tombstones]) -> EventColumns:
    """The events, each under the hash that its identity has in its generation; `tombstones` by namespace."""
    if not tombstones or tombstones.keys().isdisjoint(events.namespaces):
        return events
    return replace(events, id_hashes=[_hash(events, row, tombstones) for row in range(len(events))])


def _hash(events: EventColumns, row: int, tombstones: Mapping[str, Tombstones]) -> IdHash:
    namespace = events.namespaces[row]
    known = tombstones.get(namespace)
    if known is None:
        return events.id_hashes[row]
    generation = known.generation(
        events.subjects[row], events.external_subjects[row], events.received_ats[row]
    )
    if generation == FIRST:
        return events.id_hashes[row]
    return id_hash(namespace, events.sources[row], events.ids[row], generation)
