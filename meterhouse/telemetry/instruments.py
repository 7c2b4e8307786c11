"""Every instrument, with its unit and meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from meterhouse.domain.disposition import Disposition, Flaw
from meterhouse.domain.webhook import DeliveryState

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def new_registry() -> CollectorRegistry:
    """A registry that shows the process itself: memory, CPU, open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


# What is hidden was written as something else before.
_WRITTEN: Final = [one for one in Disposition if one is not Disposition.HIDDEN]
_FAILURES: Final = ("Fenced", "LookTooOld", "StoreUnavailable", "CatalogUnavailable", "LogUnavailable")

Observe = Callable[[float], None]


def unobserved(_seconds: float) -> None:
    """For adapters that show nobody what they measure."""


class PoolInstruments:
    """What the pools of connections show of themselves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waits = Histogram(
            "meterhouse_pool_wait_seconds",
            "How long a call waited for a connection of the pool to be free: clickhouse or catalog.",
            ["pool"],
            buckets=_SECONDS,
            registry=registry,
        )

    def waits_for(self, pool: str) -> Observe:
        """Where the waits for that pool are shown."""
        return self._waits.labels(pool).observe


class IngestInstruments:
    """What ingest shows of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.accepted = Counter(
            "meterhouse_ingest_accepted_events", "Events answered with 202.", registry=registry
        )
        self.refused = Counter(
            "meterhouse_ingest_refused_requests",
            "Requests that wrote nothing, by the error of their answer.",
            ["reason"],
            registry=registry,
        )
        self.request_events = Histogram(
            "meterhouse_ingest_request_events",
            "Events in one accepted request.",
            buckets=(1, 10, 100, 1_000, 10_000),
            registry=registry,
        )
        self.append_seconds = Histogram(
            "meterhouse_ingest_append_seconds",
            "From handing a request's events to the log until it has them for good.",
            buckets=_SECONDS,
            registry=registry,
        )


class QueryInstruments:
    """What the query service shows of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "meterhouse_query_seconds",
            "From a request to its answer, by route and status.",
            ["route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )


class NotifierInstruments:
    """What the duties show of themselves that tell merchants, by webhooks, of what happens."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.looks = Counter(
            "meterhouse_notifier_looks",
            "Entitlements looked at for what there is to tell of them.",
            registry=registry,
        )
        self.notices = Counter(
            "meterhouse_notifier_notices",
            "What such looks found that was new: thresholds, resets, ends of balances and of grants.",
            registry=registry,
        )
        self.attempts = Counter(
            "meterhouse_notifier_attempts",
            "Attempts to deliver a notice, by what the delivery is then: "
            f"{', '.join(DeliveryState)}; pending is to be tried again, dead is given up.",
            ["state"],
            registry=registry,
        )
        self.delivery_seconds = Histogram(
            "meterhouse_notifier_delivery_seconds",
            "From the beginning of an attempt to the receiver's answer, or to giving up on it.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.failures = Counter(
            "meterhouse_notifier_failures",
            "Rounds that were put off because a store was not available, by what was not.",
            ["reason"],
            registry=registry,
        )
        for state in DeliveryState:
            self.attempts.labels(state)
        for reason in ("StoreUnavailable", "CatalogUnavailable"):
            self.failures.labels(reason)


class AggregatorInstruments:
    """What the aggregator shows of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "meterhouse_aggregator_events",
            f"First-seen events written, by what became of them: {', '.join(_WRITTEN)}.",
            ["disposition"],
            registry=registry,
        )
        self.unusable = Counter(
            "meterhouse_aggregator_unusable",
            f"Times a billable metric could not use a first-seen event, by reason: {', '.join(Flaw)}.",
            ["reason"],
            registry=registry,
        )
        self.repeats = Counter(
            "meterhouse_aggregator_repeats",
            "Repeats of identities seen before, which count nothing.",
            registry=registry,
        )
        self.dead_letters = Counter(
            "meterhouse_aggregator_dead_letters", "Records that could not be read.", registry=registry
        )
        self.batch_events = Histogram(
            "meterhouse_aggregator_batch_events",
            "Records in one live batch.",
            buckets=(1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000),
            registry=registry,
        )
        self.insert_seconds = Histogram(
            "meterhouse_aggregator_insert_seconds",
            "Time to bring one block into its table.",
            ["table"],
            registry=registry,
        )
        self.unread = Gauge(
            "meterhouse_aggregator_unread_records",
            "Records of the partition that are not counted yet.",
            ["partition"],
            registry=registry,
        )
        self.counted_offset = Gauge(
            "meterhouse_aggregator_counted_offset",
            "The watermark: every record before it is counted.",
            ["partition"],
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "meterhouse_aggregator_lag_seconds",
            "How long ago the oldest record that is not counted yet was received; 0 while there is none.",
            ["partition"],
            registry=registry,
        )
        self.counted_until = Gauge(
            "meterhouse_aggregator_counted_until_timestamp_seconds",
            "When the last counted record was received.",
            ["partition"],
            registry=registry,
        )
        self.pending_since = Gauge(
            "meterhouse_aggregator_pending_since_timestamp_seconds",
            "When the range that is being inserted was planned; 0 while there is none.",
            ["partition"],
            registry=registry,
        )
        self.stopped = Gauge(
            "meterhouse_aggregator_partition_stopped",
            "1 when the partition is not counted any more: log and stores contradict each other. Else 0.",
            ["partition"],
            registry=registry,
        )
        self.failures = Counter(
            "meterhouse_aggregator_failures",
            "Times a partition had to be claimed again, or was lost, by reason: Fenced is an epoch lost to"
            " another aggregator, LookTooOld a pause that was too long, others name what was unavailable.",
            ["reason"],
            registry=registry,
        )
        # What begins at 0 is seen to grow from the first time on.
        for disposition in _WRITTEN:
            self.events.labels(disposition)
        for flaw in Flaw:
            self.unusable.labels(flaw)
        for reason in _FAILURES:
            self.failures.labels(reason)

    def forget(self, partition: int) -> None:
        """Show nothing more of a partition that is another aggregator's now."""
        for gauge in (
            self.unread,
            self.counted_offset,
            self.lag_seconds,
            self.counted_until,
            self.pending_since,
            self.stopped,
        ):
            gauge.remove(str(partition))
