"""The query service's ports in memory, over events that a test hands in, and the service on top of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx

from meterhouse.adapters.cloudevents_json import parse_data
from meterhouse.assembly import reader_of_events
from meterhouse.domain.billable_metric import (
    BillableMetric,
    Definition,
    MetricVersion,
    Product,
    VersionState,
    parse_path,
)
from meterhouse.domain.condition import holds
from meterhouse.domain.customer import Consumer, Customer, CustomerFilter, caseless
from meterhouse.domain.disposition import Counted, Disposition, disposition_of
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.domain.event import Event, value_hash
from meterhouse.domain.event_search import (
    DUPLICATE,
    EVER,
    EventCount,
    EventFilter,
    EventPlace,
    EventSearch,
    EventStatistics,
)
from meterhouse.domain.instant import Instant
from meterhouse.domain.matching import outcome_of
from meterhouse.domain.position import Position
from meterhouse.domain.rollup import Latest, RollupState
from meterhouse.domain.usage import (
    DimensionCount,
    EventPage,
    EventPageQuestion,
    GroupTotal,
    Repeat,
    StoredEvent,
    TextCount,
    TextsQuestion,
    Usage,
    UsageCell,
    UsageQuestion,
)
from meterhouse.domain.window import Window
from meterhouse.ports import Page, Serving, VersionProgress
from meterhouse.settings import QuerySettings
from query.app import create_app

KEY = "key_a"
MERCHANT = "org_a"
OTHER_KEY = "key_b"
OTHER_MERCHANT = "org_b"
NOW = 1_777_636_800_000_000  # 2026-05-01T12:00:00Z

Group = tuple[str, ...]
Row = tuple[Event, int, Counted]


def definition_of(metric: BillableMetric) -> Definition:
    """What a billable metric counts."""
    dimensions = sorted((metric.group_by or {}).items())
    return Definition(
        billable_metric_id=metric.id,
        version=metric.version,
        namespace=metric.merchant_id,
        aggregation=metric.aggregation,
        event_type=metric.event_type,
        value_path=None if metric.value_property is None else parse_path(metric.value_property),
        dimensions=tuple((name, parse_path(path)) for name, path in dimensions),
        event_from=metric.event_from,
    )


class FakeProducts:
    """Implements ProductCatalog."""

    def __init__(self) -> None:
        self.rows: dict[str, Product] = {}

    async def create(self, product: Product) -> Product:
        self.rows[product.id] = product
        return product

    async def get(self, merchant_id: str, id: str) -> Product:
        product = self.rows.get(id)
        if product is None or product.merchant_id != merchant_id:
            raise NotFound(f"there is no product {id}")
        return product

    async def page(self, merchant_id: str, limit: int, offset: int) -> Page[Product]:
        own = tuple(product for product in self.rows.values() if product.merchant_id == merchant_id)
        return Page(own[offset : offset + limit], len(own))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, Any]) -> Product:
        self.rows[id] = replace(await self.get(merchant_id, id), **changes)
        return self.rows[id]


class FakeCustomers:
    """Implements CustomerCatalog."""

    def __init__(self) -> None:
        self.rows: dict[str, Customer] = {}
        self.consumers: dict[tuple[str, str], Consumer] = {}

    async def create(self, customer: Customer) -> Customer:
        key = (customer.merchant_id, caseless(customer.consumer.email))
        consumer = self.consumers.setdefault(key, customer.consumer)
        known = [one for one in self._own(customer.merchant_id) if one.consumer.id == consumer.id]
        new = known[0] if known else replace(customer, consumer=consumer)
        self._require_free(customer.merchant_id, customer.external_id, new.id)
        return self.rows.setdefault(new.id, new)

    async def consumer(self, merchant_id: str, id: str) -> Consumer:
        for (owner, _), consumer in self.consumers.items():
            if (owner, consumer.id) == (merchant_id, id):
                return consumer
        raise NotFound(f"there is no consumer {id}")

    async def get(self, merchant_id: str, id: str) -> Customer:
        customer = self.rows.get(id)
        if customer is None or customer.merchant_id != merchant_id:
            raise NotFound(f"there is no customer {id}")
        return customer

    async def page(self, merchant_id: str, wanted: CustomerFilter, limit: int, offset: int) -> Page[Customer]:
        found = tuple(
            customer
            for customer in self._own(merchant_id)
            if caseless(wanted.name or "") in caseless(customer.consumer.name)
            and caseless(wanted.email or "") in caseless(customer.consumer.email)
            and wanted.external_id in (None, customer.external_id)
        )
        return Page(found[offset : offset + limit], len(found))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, Any]) -> Customer:
        customer = await self.get(merchant_id, id)
        self._require_free(merchant_id, changes.get("external_id"), id)
        settings = {name: value for name, value in changes.items() if hasattr(customer.notifications, name)}
        others = {name: value for name, value in changes.items() if name not in settings}
        wanted = replace(customer.notifications, **settings)
        self.rows[id] = replace(customer, notifications=wanted, **others)
        return self.rows[id]

    async def delete(self, merchant_id: str, id: str) -> None:
        await self.get(merchant_id, id)
        del self.rows[id]

    async def linked(self, merchant_id: str) -> Mapping[str, str]:
        return {one.external_id: one.id for one in self._own(merchant_id) if one.external_id is not None}

    async def external_ids(self, merchant_id: str, ids: Sequence[str]) -> Mapping[str, str]:
        linked = await self.linked(merchant_id)
        return {id: external_id for external_id, id in linked.items() if id in ids}

    def _own(self, merchant_id: str) -> list[Customer]:
        return [customer for customer in self.rows.values() if customer.merchant_id == merchant_id]

    def _require_free(self, merchant_id: str, external_id: str | None, id: str) -> None:
        for other in self._own(merchant_id):
            if external_id is not None and other.external_id == external_id and other.id != id:
                raise Conflict(f"the externalId {external_id} is taken by the customer {other.id}")


class FakeMetrics:
    """Implements MetricCatalog and MetricDirectory.

    A version is active at once, unless `building` is set; then `activate` makes the newest one active.
    """

    def __init__(self) -> None:
        self.rows: dict[str, BillableMetric] = {}
        self.active: dict[str, Definition] = {}
        self.building = False

    def activate(self, id: str) -> None:
        self.active[id] = definition_of(self.rows[id])

    async def create(self, metric: BillableMetric) -> BillableMetric:
        self.rows[metric.id] = metric
        if not self.building:
            self.activate(metric.id)
        return metric

    async def get(self, merchant_id: str, id: str) -> Serving:
        metric = self.rows.get(id)
        if metric is None or metric.merchant_id != merchant_id:
            raise NotFound(f"there is no billable metric {id}")
        definition = definition_of(metric)
        active = self.active.get(id)
        state = VersionState.ACTIVE if active == definition else VersionState.BUILDING
        newest = MetricVersion(definition=definition, state=state)
        if active is None:
            return Serving(metric, newest, newest)
        return Serving(metric, MetricVersion(definition=active, state=VersionState.ACTIVE), newest)

    async def page(
        self, merchant_id: str, product_id: str | None, item_id: str | None, limit: int, offset: int
    ) -> Page[BillableMetric]:
        own = tuple(
            metric
            for metric in self.rows.values()
            if metric.merchant_id == merchant_id
            and product_id in (None, metric.product_id)
            and item_id in (None, metric.item_id)
        )
        return Page(own[offset : offset + limit], len(own))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, Any]) -> BillableMetric:
        old = (await self.get(merchant_id, id)).metric
        new = replace(old, **changes)
        if replace(definition_of(new), version=0) != replace(definition_of(old), version=0):
            new = replace(new, version=old.version + 1)
        self.rows[id] = new
        if not self.building:
            self.activate(id)
        return new

    async def serving(self, merchant_id: str) -> Sequence[Serving]:
        return [one for one in await self.all_serving() if one.metric.merchant_id == merchant_id]

    async def all_serving(self) -> Sequence[Serving]:
        return [await self.get(metric.merchant_id, metric.id) for metric in self.rows.values()]


def window_in(question: UsageQuestion | EventStatistics, at: Instant) -> Window | None:
    """The window of the question that `at` lies in."""
    if question.window_size is not None:
        return question.window_size.window_of(at)
    return next((window for window in question.local_windows if at in window), None)


@dataclass
class FakeVersions:
    """Implements VersionCatalog over metrics whose versions are counted as soon as they are activated."""

    metrics: FakeMetrics

    async def of(self, merchant_id: str, id: str) -> Sequence[VersionProgress]:
        serving = await self.metrics.get(merchant_id, id)
        versions = {one.definition.version: one for one in (serving.shown, serving.newest)}
        return [
            VersionProgress(version=one, name=serving.metric.name, counted=0, total=0)
            for one in versions.values()
        ]

    async def building(self) -> Sequence[VersionProgress]:
        raise NotImplementedError

    async def cancel(self, merchant_id: str, id: str, version: int) -> None:
        found = {one.version.definition.version: one.version for one in await self.of(merchant_id, id)}
        if version not in found:
            raise NotFound(f"there is no version {version} of {id}")
        if found[version].state is not VersionState.BUILDING:
            raise Conflict(f"version {version} of {id} is {found[version].state}")
        rows = self.metrics.rows
        active = self.metrics.active[id]
        rows[id] = replace(rows[id], version=active.version, event_type=active.event_type)


def _subject(event: Event, links: Mapping[str, str]) -> str:
    return event.subject or links.get(event.external_subject, "")


class FakeUsage:
    """Implements UsageReader by folding every event for every question."""

    def __init__(self) -> None:
        self.events_of_log: list[Event] = []
        self.repeats: dict[str, tuple[Repeat, ...]] = {}

    async def usage(self, question: UsageQuestion) -> Usage:
        cells: dict[tuple[Window | None, Group], RollupState] = defaultdict(RollupState)
        groups: dict[Group, RollupState] = defaultdict(RollupState)
        total = RollupState()
        for event, offset, counted in self._rows(question.definition, question.period):
            named = dict(zip(question.definition.dimension_names, counted.dimensions, strict=True))
            named["subject"] = _subject(event, question.links)
            if not holds(question.condition, named.__getitem__):
                continue
            window = window_in(question, event.time)
            group = tuple(named[name] for name in question.group_by)
            state = _state(event, offset, counted)
            total = total.merge(state)
            cells[window, group] = cells[window, group].merge(state)
            groups[group] = groups[group].merge(state)
        asked = question.has_windows or question.group_by
        ordered = sorted(cells.items(), key=lambda one: (one[0][0] or Window(0, 0), one[0][1]))
        return Usage(
            total.reading(),
            tuple(UsageCell(window, group, one.reading()) for (window, group), one in ordered)
            if asked
            else (),
            tuple(GroupTotal(group, one.reading()) for group, one in groups.items())
            if question.group_by
            else (),
        )

    async def texts(self, question: TextsQuestion) -> Sequence[TextCount]:
        found = Counter(self._texts(question.definition, question.period, question.name, question.links))
        listed = [
            TextCount(text, number)
            for text, number in sorted(found.items())
            if text.startswith(question.prefix) and (question.after is None or text > question.after)
        ]
        return listed[: question.limit]

    async def dimensions(self, definition: Definition, period: Window) -> Sequence[DimensionCount]:
        some = {
            name: [text for text in self._texts(definition, period, name, {}) if text]
            for name in definition.dimension_names
        }
        return [DimensionCount(name, len(set(texts)), len(texts)) for name, texts in some.items()]

    def _texts(
        self, definition: Definition, period: Window, name: str, links: Mapping[str, str]
    ) -> list[str]:
        names = (*definition.dimension_names, "subject")
        rows = self._rows(definition, period)
        return [
            (*counted.dimensions, _subject(event, links))[names.index(name)] for event, _, counted in rows
        ]

    async def events(self, question: EventPageQuestion) -> EventPage:
        wanted = {
            "external_id": question.external_id,
            "external_subject": question.external_subject,
        }
        links = {} if question.linked is None else {question.linked: question.subject or ""}
        found = [
            event
            for event, _, _ in self._rows(question.definition, question.period)
            if all(text is None or getattr(event, name) == text for name, text in wanted.items())
            and question.subject in (None, _subject(event, links))
        ]
        found.sort(key=lambda event: event.time, reverse=True)
        return EventPage(tuple(found[question.offset : question.offset + question.limit]), len(found))

    async def search(self, search: EventSearch) -> Sequence[StoredEvent]:
        found = [
            (EventPlace(event.received_at, 0, offset), event, offset)
            for offset, event in enumerate(self.events_of_log)
            if self._matches(search.filter, event)
        ]
        newest_first = sorted(found, reverse=True)
        older = [one for one in newest_first if search.before is None or one[0] < search.before]
        return [self._stored(event, offset) for _, event, offset in older[: search.limit]]

    async def count(self, asked: EventStatistics) -> Sequence[EventCount]:
        counts: Counter[tuple[Window | None, str, str]] = Counter()
        for event in self.events_of_log:
            if self._matches(asked.filter, event):
                became = _disposition(asked.filter.definitions, event)
                counts[window_in(asked, event.received_at), event.type, became] += 1
            if self._matches(replace(asked.filter, received=EVER), event) and not asked.filter.disposition:
                for repeat in self.repeats.get(event.id, ()):
                    if repeat.received_at in asked.filter.received:
                        counts[window_in(asked, repeat.received_at), event.type, DUPLICATE] += 1
        ordered = sorted(counts.items(), key=lambda one: (one[0][0] or Window(0, 0), one[0][1:]))
        return [EventCount(*key, number) for key, number in ordered]

    def _matches(self, filter: EventFilter, event: Event) -> bool:
        counted_by = filter.counted_by
        return (
            event.namespace == filter.namespace
            and event.received_at in filter.received
            and event.time in filter.time
            and all(getattr(event, column) in texts for column, texts in filter.texts.items())
            and filter.disposition in (None, _disposition(filter.definitions, event))
            and (counted_by is None or _disposition((counted_by,), event) is Disposition.COUNTED)
        )

    async def lookup(self, namespace: str, event_id: str, source: str | None) -> Sequence[StoredEvent]:
        return [
            self._stored(event, offset)
            for offset, event in enumerate(self.events_of_log)
            if (event.namespace, event.id) == (namespace, event_id) and source in (None, event.source)
        ]

    def _stored(self, event: Event, offset: int) -> StoredEvent:
        repeats = self.repeats.get(event.id, ())
        return StoredEvent(event, Position(0, offset + 1), "counted", repeats, len(repeats))

    def _rows(self, definition: Definition, period: Window) -> list[Row]:
        rows: list[Row] = []
        for offset, event in enumerate(self.events_of_log):
            own = (event.namespace, event.type) == (definition.namespace, definition.event_type)
            if not own or event.time not in period:
                continue
            outcome = outcome_of(definition, event.time, parse_data(event.data))
            if isinstance(outcome, Counted):
                rows.append((event, offset, outcome))
        return rows


def _disposition(definitions: Sequence[Definition], event: Event) -> Disposition:
    return disposition_of(
        [
            outcome_of(one, event.time, parse_data(event.data))
            for one in definitions
            if (one.namespace, one.event_type) == (event.namespace, event.type)
        ]
    )


def _state(event: Event, offset: int, counted: Counted) -> RollupState:
    value = counted.value
    if isinstance(value, Decimal):
        latest = Latest(event.time, event.received_at, 0, offset, value)
        return RollupState(1, value, value, value, latest)
    text = f"event {offset}" if value is None else value
    return RollupState(1, unique=frozenset({value_hash(text)}))


class FakeWatermark:
    """Implements Watermark. Each question finds `step` more of the log counted."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {0: 0}
        self.step = 0
        self.asked = 0

    async def counted(self) -> Mapping[int, int]:
        self.asked += 1
        self.at = {partition: offset + self.step for partition, offset in self.at.items()}
        return dict(self.at)


class FakeKeys:
    """Implements KeyRing."""

    async def merchant_of(self, key: str) -> str | None:
        return {KEY: MERCHANT, OTHER_KEY: OTHER_MERCHANT}.get(key)


class FakeClock:
    """Implements Clock; each look is a second later."""

    def __init__(self) -> None:
        self._now = NOW

    def now(self) -> Instant:
        self._now += 1_000_000
        return self._now


@dataclass
class QueryService:
    """The service over fakes, and a client of merchant `org_a`, which has the product `prod_a`."""

    products: FakeProducts = field(default_factory=FakeProducts)
    customers: FakeCustomers = field(default_factory=FakeCustomers)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    usage: FakeUsage = field(default_factory=FakeUsage)
    watermark: FakeWatermark = field(default_factory=FakeWatermark)
    after_timeout: timedelta = timedelta(seconds=10)
    extra_openapi: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = create_app(
            products=self.products,
            customers=self.customers,
            metrics=self.metrics,
            directory=self.metrics,
            versions=FakeVersions(self.metrics),
            watermark=self.watermark,
            usage=self.usage,
            read_events=reader_of_events(),
            keys=FakeKeys(),
            clock=FakeClock(),
            settings=QuerySettings(after_timeout=self.after_timeout),
            extra_openapi=self.extra_openapi,
        )
        self.client = self.client_of(KEY)
        for merchant, id in ((MERCHANT, "prod_a"), (OTHER_MERCHANT, "prod_b")):
            self.products.rows[id] = Product(
                id=id,
                merchant_id=merchant,
                name=id,
                description="",
                metadata={},
                created_at=NOW,
                updated_at=NOW,
            )

    def client_of(self, key: str | None) -> httpx.AsyncClient:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://query.test", headers=headers)

    def add(self, *events: Event) -> None:
        """Put events into the log, counted at once."""
        self.usage.events_of_log.extend(events)
        self.watermark.at[0] = len(self.usage.events_of_log)

    async def metric(self, **fields: object) -> str:
        """A SUM of `$.n` over events of type `t`, but for `fields`; answers its id."""
        response = await self.client.post("/v0/billableMetrics", json=metric_body(**fields))
        assert response.status_code == 201, response.text
        return str(response.json()["id"])


def metric_body(**fields: object) -> dict[str, object]:
    """A good request for a billable metric, but for `fields`; those that are `...` are left out."""
    body: dict[str, object] = {
        "aggregation": "SUM",
        "name": "Tokens",
        "description": "d",
        "unit": "tokens",
        "merchantId": MERCHANT,
        "eventType": "t",
        "valueProperty": "$.n",
    }
    return {name: value for name, value in (body | fields).items() if value is not ...}


def customer_body(**fields: object) -> dict[str, object]:
    """A good request for a customer, but for `fields`; those that are `...` are left out."""
    consumer = {"name": "Acme", "email": "billing@acme.example", "address": {}}
    body: dict[str, object] = {"merchantId": MERCHANT, "consumer": consumer}
    return {name: value for name, value in (body | fields).items() if value is not ...}


def event(id: str, data: bytes = b"{}", *, minute: int = 0, subject: str = "cus_1", **fields: Any) -> Event:
    """An event of type `t` so many minutes after NOW."""
    time = NOW + minute * 60_000_000
    standard: dict[str, Any] = {"namespace": MERCHANT, "source": "s", "type": "t", "received_at": time}
    return Event(id=id, data=data, time=time, subject=subject, **(standard | fields))
