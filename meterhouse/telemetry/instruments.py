"""Every instrument, with its unit and meaning."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class AggregatorInstruments:
    """What the aggregator shows of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "meterhouse_aggregator_events",
            "First-seen events written, by what became of them.",
            ["disposition"],
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
        self.failures = Counter(
            "meterhouse_aggregator_failures",
            "Times the aggregator had to claim its partition again, by reason.",
            ["reason"],
            registry=registry,
        )
