"""The outside world on one page, and what is sold on another, sales_ports.py.

Every docstring says what a repeated call does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar, overload

from meterhouse.domain.billable_metric import BillableMetric, Definition, MetricVersion, Product
from meterhouse.domain.block import Block, Seen
from meterhouse.domain.customer import Consumer, Customer, CustomerFilter
from meterhouse.domain.event import Event, Facts, IdHash
from meterhouse.domain.event_search import EventCount, EventLookup, EventSearch, EventStatistics
from meterhouse.domain.instant import Instant
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.position import Position
from meterhouse.domain.rollup import Reading
from meterhouse.domain.tombstone import Tombstones
from meterhouse.domain.usage import (
    DimensionCount,
    EventPage,
    EventPageQuestion,
    StoredEvent,
    TextCount,
    TextsQuestion,
    Usage,
    UsageQuestion,
)
from meterhouse.domain.window import Window

T = TypeVar("T")


class Entry(NamedTuple):
    """One event on its way into the log: its identity as `key`, structured CloudEvents JSON as `value`."""

    key: bytes
    value: bytes
    received_at: Instant


class LogRecord(NamedTuple):
    """One event as the log holds it; a log may keep `received_at` to the millisecond only."""

    offset: int
    received_at: Instant
    value: bytes


class LogRecords(Sequence[LogRecord]):
    """Records column by column; most of them are never looked at one by one."""

    __slots__ = ("offsets", "received_ats", "values")

    def __init__(
        self, offsets: Sequence[int], received_ats: Sequence[Instant], values: Sequence[bytes]
    ) -> None:
        self.offsets = offsets
        self.received_ats = received_ats
        self.values = values

    @classmethod
    def of(cls, records: Sequence[LogRecord]) -> LogRecords:
        """The same records in columns."""
        if isinstance(records, LogRecords):
            return records
        offsets, received_ats, values = zip(*records, strict=True) if records else ((), (), ())
        return cls(offsets, received_ats, values)

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # as with any other list

    @overload
    def __getitem__(self, place: int) -> LogRecord: ...
    @overload
    def __getitem__(self, place: slice) -> LogRecords: ...
    def __getitem__(self, place: int | slice) -> LogRecord | LogRecords:
        if isinstance(place, slice):
            return LogRecords(self.offsets[place], self.received_ats[place], self.values[place])
        return LogRecord(self.offsets[place], self.received_ats[place], self.values[place])


@dataclass(frozen=True, slots=True)
class Bounds:
    """The offsets that a partition holds: [first, end)."""

    first: int
    end: int


class LogWriter(Protocol):
    """The way into the event log."""

    async def append(self, entries: Sequence[Entry]) -> tuple[Position, ...]:
        """Add all of `entries` or none; return once they are durable, with one position a partition touched.

        Appending the same entries again adds them again: the aggregator tells repeats by identity.
        Raises Overloaded; then none of them will ever be read. Raises LogUnavailable; then none of them will
        be, or (a lost acknowledgement) what went to one partition will be: a retry repeats it harmlessly.
        """


class LogReader(Protocol):
    """The way out of the event log. Reading changes nothing; reading again gives the same records."""

    async def partitions(self) -> Sequence[int]: ...

    async def bounds(self, partition: int) -> Bounds: ...

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        """Up to `limit` records from offset `start` on, without gaps; empty at the end of the log."""

    async def wait(self, partition: int, offset: int, seconds: float) -> bool:
        """Return True as soon as the partition holds a record at `offset`, False after `seconds`."""


class DeadLetters(Protocol):
    """Records that cannot be parsed, set aside with their reason."""

    async def put(self, partition: int, record: LogRecord, reason: str) -> None:
        """Keep the record. Putting one of the same place again changes nothing."""

    async def holds(self, partition: int, offset: int) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one stream of a log is counted, and who may say so.

    `stream` is the log partition ("0"), or for a backfill the partition and the metric version
    ("0/bm_x/2"). [next_offset, pending_last] is what is being inserted under `catalog_version`;
    `pending_last` is None between batches. A backfill ends at `until`; a live stream has None there.
    """

    stream: str
    partition: int
    epoch: int
    next_offset: int
    pending_last: int | None = None
    catalog_version: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """What is still to be counted for one metric version on one partition."""

    progress: Progress
    definition: Definition


class ProgressLedger(Protocol):
    """The exactly-once protocol's memory. Every write is a compare-and-set under the claimed epoch."""

    async def claim(self, partition: int) -> Progress:
        """Take the partition over: raise its epoch, so that every earlier owner is fenced."""

    async def plan(self, progress: Progress, last: int, received_until: Instant = 0) -> Progress:
        """Record that [next_offset, last] is about to be inserted, under the newest catalog version.

        None of its events was received after `received_until`: what appears in the catalog later can tell by
        that which events were counted without it. For the live stream the same transaction starts the
        backfill of every metric version that this catalog version knows and the partition had not met: up to
        `next_offset`. Raises Fenced.
        """

    async def confirm(self, progress: Progress) -> None:
        """Return while the claim still stands. Raises Fenced."""

    async def advance(self, progress: Progress) -> Progress:
        """Record that the pending range is in every table: next_offset = pending_last + 1. Raises Fenced."""

    async def backfills(self, progress: Progress) -> Sequence[Backfill]:
        """Start what the newest catalog version asks for and list what is unfinished on the partition.

        A backfill that reaches `until` is finished by `advance`; when a version's backfills are finished
        on every partition, that same transaction makes the version the active one. Raises Fenced.
        """


class Definitions(Protocol):
    """What the fold needs to know of the catalog."""

    async def at(self, catalog_version: int) -> Sequence[Definition]:
        """Every metric version, active or building, of that catalog version; the same answer for ever."""

    async def newest(self) -> int:
        """The newest catalog version; it grows with every definition created or changed, and every reset."""

    async def tombstones(self, catalog_version: int) -> Mapping[str, Tombstones]:
        """Those of that catalog version by merchant, for those who have any; the same answer for ever."""


class BlockStore(Protocol):
    """Where blocks go."""

    async def find(self, id_hashes: Sequence[IdHash]) -> Mapping[IdHash, Seen]:
        """Where each of the identities was first seen; those never seen are left out."""

    async def insert(self, block: Block, token: str) -> None:
        """Insert the block as one part. The same token again inserts nothing, while it is remembered.

        Raises StoreUnavailable when it failed or nothing is known of it.
        """

    async def landed(self, block: Block) -> bool:
        """Whether the block's mark is in its table (for `event_ids`: whether its last identity is)."""

    async def held(self, partition: int, start: int) -> Bounds:
        """From the first to the last record at `start` or after it that `events` or `event_repeats` hold.

        Without one, empty bounds at `start`.
        """


class Placement(Protocol):
    """Which shard of the store holds which partition of one log."""

    async def shard_of(self, partition: int, shards: Sequence[int]) -> int:
        """The shard that the partition was given once; else the one of `shards` with the fewest, for ever.

        However often and by however many it is asked, the answer is the same.
        """


class EventArchive(Protocol):
    """Accepted events, to be counted again."""

    async def stored(
        self, partition: int, start: int, until: int, *, of: Definition, limit: int | None = None
    ) -> Facts:
        """First-seen events `of` the definition's type, with offsets in [start, until), ascending; without
        those from before the last tombstone over everybody.

        The first `limit` of them, if that is given.
        """


class UsageReader(Protocol):
    """What the query service asks of ClickHouse. All of it is bound to the definition's namespace."""

    async def usage(self, question: UsageQuestion) -> Usage: ...

    async def usages(self, questions: Sequence[UsageQuestion]) -> Sequence[Usage]:
        """Of each question in turn: all of one merchant, they differ in their definitions alone.

        However many there are, it takes a statement for each aggregation among them.
        """

    async def texts(self, question: TextsQuestion) -> Sequence[TextCount]: ...

    async def dimensions(self, definition: Definition, period: Window) -> Sequence[DimensionCount]:
        """Of every dimension of the definition, in its order."""

    async def events(self, question: EventPageQuestion) -> EventPage: ...

    async def search(self, search: EventSearch) -> Sequence[StoredEvent]:
        """First-seen events, newest first."""

    async def count(self, asked: EventStatistics) -> Sequence[EventCount]:
        """By window, then type, then disposition; what there is none of is left out."""

    async def lookup(self, asked: EventLookup) -> Sequence[StoredEvent]:
        """With their repeats, by source; at most 100."""


class PhaseReader(Protocol):
    """Usage phase by phase: what balances are burned down from."""

    async def phases(self, questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        """For each question, all of one merchant, a reading of each of its phases.

        Each is of the events of its phase alone. `unique` is how many texts are new there since the reset
        before, so that the readings of a period add up to the period's.
        """


@dataclass(frozen=True, slots=True, order=True)
class Changed:
    """A merchant's subject of events; `subject` is "" where only an external one is known."""

    namespace: str
    subject: str
    external_subject: str


class UsageNews(Protocol):
    """Whose usage changed."""

    async def changed(
        self, partition: int, start: int, end: int, namespaces: Collection[str]
    ) -> Sequence[Changed]:
        """The subjects of the events at offsets [start, end), each once, as far as these merchants' go."""


class EventReader(Protocol):
    """Reads a request's events as ingest does."""

    def __call__(self, headers: Mapping[bytes, bytes], body: bytes, merchant: str) -> Sequence[Event]:
        """At least one event; names of headers are lower-case. Raises Rejected."""


class KeyRing(Protocol):
    """Who may call."""

    async def merchant_of(self, key: str) -> str | None:
        """The merchant that the API key belongs to; None for an unknown or revoked key."""


class Clock(Protocol):
    """The only way to the time of day."""

    def now(self) -> Instant: ...


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, and how many there are in all."""

    items: tuple[T, ...]
    total: int


class ProductCatalog(Protocol):
    """Products of a merchant; every call is bound to it, so another merchant's product is NotFound."""

    async def create(self, product: Product) -> Product: ...

    async def get(self, merchant_id: str, id: str) -> Product: ...

    async def page(self, merchant_id: str, limit: int, offset: int) -> Page[Product]:
        """Oldest first, so that pages stay stable while products are added."""

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Product:
        """Set the named fields (of name, description, metadata, updated_at)."""


class CustomerCatalog(Protocol):
    """Customers of a merchant and their consumers; another merchant's are NotFound, and match nothing.

    Raises Conflict where an external id is taken by another customer of the merchant.
    """

    async def create(self, customer: Customer) -> Customer:
        """Store it, or answer with the customer that the consumer already is, which stays as it was.

        Where the merchant has a consumer of the same email, whatever its case, that one is the consumer.
        """

    async def consumer(self, merchant_id: str, id: str) -> Consumer: ...

    async def get(self, merchant_id: str, id: str) -> Customer: ...

    async def page(self, merchant_id: str, wanted: CustomerFilter, limit: int, offset: int) -> Page[Customer]:
        """Oldest first, so that pages stay stable while customers are added."""

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Customer:
        """Set the named fields (of tax_id, external_id, tax_rates, updated_at and Notifications)."""

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        """Forget the customer; again is NotFound. Its consumer stays, and may become a customer again.

        Raises Conflict with blockers while it has entitlements that have not ended `at` that instant.
        """

    async def linked(self, merchant_id: str) -> Mapping[str, str]:
        """The customer's id for every external id of the merchant's."""

    async def names(self, merchant_id: str, ids: Sequence[str] | None) -> Mapping[str, str]:
        """What those of these that are customers are called, by customer id; None is all customers."""

    async def external_ids(self, merchant_id: str, ids: Sequence[str]) -> Mapping[str, str]:
        """The external ids of those of these customers that have one, by customer id."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A billable metric, the version readers see, and the newest one (often the same)."""

    metric: BillableMetric
    shown: MetricVersion
    newest: MetricVersion


class MetricCatalog(Protocol):
    """Billable metrics of a merchant and their versions; another merchant's metric is NotFound."""

    async def create(self, metric: BillableMetric) -> BillableMetric:
        """Store it with version 1, building until every event accepted before it is counted."""

    async def get(self, merchant_id: str, id: str) -> Serving:
        """`shown` is the active version, or the newest where none is active yet."""

    async def page(
        self, merchant_id: str, product_id: str | None, item_id: str | None, limit: int, offset: int
    ) -> Page[BillableMetric]: ...

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> BillableMetric:
        """Set the named fields of BillableMetric. A change of event_type, value_property, group_by or
        event_from makes a new building version; a change to what already stands makes none.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionProgress:
    """A metric version, and how many records of the log, of those from before it, it has been shown."""

    version: MetricVersion
    name: str
    counted: int
    total: int


class VersionCatalog(Protocol):
    """The versions of billable metrics; another merchant's metric is NotFound."""

    async def of(self, merchant_id: str, id: str) -> Sequence[VersionProgress]:
        """Every version, oldest first."""

    async def building(self) -> Sequence[VersionProgress]:
        """Those of every merchant that are not complete yet."""

    async def cancel(self, merchant_id: str, id: str, version: int) -> None:
        """Retire a building version: the metric is defined again as its active version says.

        Raises Conflict for one that is not building, for the only one, and where a reset made it necessary.
        """


class RetiredVersions(Protocol):
    """Versions whose rows nobody needs."""

    async def droppable(self) -> Sequence[Definition]:
        """Retired ones that no worker writes any more."""

    async def dropped(self, definition: Definition) -> None:
        """Its rows are deleted. Again changes nothing."""


class VersionRows(Protocol):
    """Where the rows of versions are."""

    async def drop_version(self, namespace: str, billable_metric_id: str, version: int) -> None:
        """Delete them, on every shard. Doing it again changes nothing."""


class Watermark(Protocol):
    """How far the log is counted."""

    async def counted(self) -> Mapping[int, int]:
        """For each log partition the offset before which everything is counted by live definitions."""


class MetricDirectory(Protocol):
    """All that a merchant counts."""

    async def serving(self, merchant_id: str) -> Sequence[Serving]: ...

    async def all_serving(self) -> Sequence[Serving]:
        """Those of every merchant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedMetric:
    """What readers of the tables need to know of a billable metric; `version` is the one to read, or 0."""

    namespace: str
    billable_metric_id: str
    version: int
    aggregation: str
    name: str
    unit: str
    dimensions: tuple[str, ...]


class MetricPublication(Protocol):
    """The catalog's billable metrics where the rollups are, for whoever reads those without us."""

    async def published(self) -> Mapping[PublishedMetric, int]:
        """Every metric as it was last published, with its revision; those of version 0 are left out."""

    async def publish(self, metrics: Mapping[PublishedMetric, int]) -> None:
        """Add these revisions; of one metric the highest is shown. The same again changes nothing."""
