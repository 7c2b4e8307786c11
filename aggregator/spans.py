"""The spans of the aggregator: a batch, which counts events of many traces and so links to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from meterhouse.adapters.cloudevents_json import trace_contexts
from meterhouse.domain.block import Block
from meterhouse.domain.event import EventColumns
from meterhouse.ports.counting import Progress
from meterhouse.ports.log import LogRecord
from meterhouse.telemetry.spans import (
    DESTINATION,
    MESSAGING,
    NO_SPANS,
    Attributes,
    Link,
    SpanKind,
    Spans,
    links_to,
)

_PROCESS: Final = f"process {DESTINATION}"


@dataclass(slots=True)
class BatchSpans:
    """The spans of one worker. Each links to the traces of the batch's events, as far as they are sampled."""

    spans: Spans = NO_SPANS
    _links: Sequence[Link] = ()

    @staticmethod
    def now() -> int:
        """Nanoseconds since 1970, for `batch`."""
        return time.time_ns()

    @contextmanager
    def batch(
        self, events: EventColumns, records: Sequence[LogRecord], *, began_at_ns: int, read_at_ns: int
    ) -> Iterator[None]:
        """The span of counting `records`, which were read between those two moments and hold `events`."""
        if not self.spans.are_made:
            yield
            return
        attributes: Attributes = {
            **MESSAGING,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.partition.id": str(events.partition),
            "messaging.batch.message_count": len(records),
            "meterhouse.first_offset": records[0].offset,
            "meterhouse.last_offset": records[-1].offset,
        }
        self._links = links_to(trace_contexts(events))
        try:
            with self.spans.span(
                _PROCESS, attributes, kind=SpanKind.CONSUMER, links=self._links, began_at_ns=began_at_ns
            ):
                self.spans.past("read", began_at_ns, read_at_ns, self._links)
                yield
        finally:
            self._links = ()

    @contextmanager
    def backfill(self, planned: Progress) -> Iterator[None]:
        """The span of counting stored events for a metric version; their traces are long over."""
        with self.spans.span("backfill", {"meterhouse.stream": planned.stream}):
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """The span of a part of that."""
        with self.spans.span(name, links=self._links):
            yield

    @contextmanager
    def insert(self, block: Block) -> Iterator[None]:
        """The span of bringing `block` into its table."""
        if not self.spans.are_made:
            yield
            return
        attributes: Attributes = {
            "db.system.name": "clickhouse",
            "db.operation.name": "INSERT",
            "db.collection.name": block.table.value,
            "db.operation.batch.size": len(block.rows),
            "meterhouse.month": block.month,
        }
        with self.spans.span(f"insert {block.table}", attributes, links=self._links):
            yield
