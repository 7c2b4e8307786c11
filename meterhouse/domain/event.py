"""Events, their identity, and the columns in which many of them travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Final, NamedTuple

from meterhouse.domain.instant import Instant
from meterhouse.domain.tombstone import FIRST

IdHash = int


class Event(NamedTuple):
    """One CloudEvent as it was accepted.

    `time` equals `received_at` when the sender gave none. `subject` is empty while the event is known only
    by its `external_subject`. `data` is the JSON text exactly as sent, empty when there was none;
    `attributes` holds every other CloudEvents attribute (datacontenttype, dataschema, data_base64,
    extensions) as text, number or bool.
    """

    namespace: str
    source: str
    id: str
    type: str
    time: Instant
    received_at: Instant
    subject: str = ""
    external_subject: str = ""
    external_id: str = ""
    data: bytes = b""
    attributes: Mapping[str, str | int | bool] = MappingProxyType({})


# Copying a hash that is begun costs less than beginning it.
_begun: Final = blake2b(digest_size=16).copy


def id_hash(namespace: str, source: str, id: str, generation: Instant = FIRST) -> IdHash:
    """The identity of an event in 128 bits; stable for ever, because it is stored.

    BLAKE2b with a 16-byte digest over the three parts in UTF-8 joined by NUL bytes, which no part can
    contain (control characters are refused), read as a big-endian number. A generation but the first is a
    fourth part, in decimal.
    """
    digest = _begun()
    digest.update(f"{namespace}\0{source}\0{id}".encode())
    if generation != FIRST:
        digest.update(b"\0%d" % generation)
    return int.from_bytes(digest.digest(), "big")


def value_hash(text: str) -> IdHash:
    """A counted value of UNIQUE_COUNT in 128 bits, as rollups store it."""
    digest = _begun()
    digest.update(text.encode())
    return int.from_bytes(digest.digest(), "big")


@dataclass(slots=True)
class EventColumns:
    """Events of one log partition, column by column; row i is the i-th entry of every list.

    `data` and `attributes` are JSON text (`attributes` is `{}` for none).
    """

    partition: int
    offsets: list[int] = field(default_factory=list)
    id_hashes: list[IdHash] = field(default_factory=list)
    payload_hashes: list[int] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    external_subjects: list[str] = field(default_factory=list)
    external_ids: list[str] = field(default_factory=list)
    times: list[Instant] = field(default_factory=list)
    received_ats: list[Instant] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    attributes: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, slots=True)
class Facts:
    """First-seen events of one namespace and type, as far as metrics look at them, column by column.

    `aliases` has the external subjects of events without a subject, and is "" elsewhere.
    """

    offsets: list[int] = field(default_factory=list)
    id_hashes: list[IdHash] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    times: list[Instant] = field(default_factory=list)
    received_ats: list[Instant] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offsets)


def alias_of(subject: str, external_subject: str) -> str:
    """Whoever is known by a subject is not also kept under an alias of theirs."""
    return "" if subject else external_subject
