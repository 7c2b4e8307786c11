"""Query as a process of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from meterhouse.adapters.http.server import share_the_interpreter
from meterhouse.adapters.kafka.topic import Topic
from meterhouse.assembly.query import answered, query_over
from meterhouse.distributed.process import Place, serve_at
from meterhouse.settings import KafkaSettings
from meterhouse.stores import open_telemetry, shared_catalog, shared_clickhouse

# What a client of ours waits for; ClickHouse is told to give up sooner still.
_QUERY_TIMEOUT: Final = timedelta(seconds=5)


async def serve(place: Place) -> None:
    """Answer questions until SIGTERM. Kafka is asked once, for the identity of the log."""
    kafka = KafkaSettings()
    async with Topic.open(kafka.servers(), kafka.topic, timeout=kafka.delivery_timeout) as topic:
        log_id = topic.rendered_id
    async with (
        open_telemetry("meterhouse-query") as shown,
        shared_catalog(shown) as catalog,
        shared_clickhouse(_QUERY_TIMEOUT, shown) as clickhouse,
    ):
        query = query_over(catalog, clickhouse, log_id, shown)
        checks = {"catalog": catalog.newest, "ClickHouse": clickhouse.answers}
        share_the_interpreter()
        await serve_at("query", answered(query, checks, shown), place)
