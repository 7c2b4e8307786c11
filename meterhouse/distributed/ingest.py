"""Ingest as a process of its own."""

from __future__ import annotations

from meterhouse.assembly.ingest import ingest_beside
from meterhouse.distributed.process import Place, plain_app, serve_at
from meterhouse.distributed.stores import shared_log
from meterhouse.stores import open_telemetry, shared_catalog


async def serve(place: Place) -> None:
    """Accept events until SIGTERM. Raises OSError where the port is taken, and what opening raises."""
    async with (
        open_telemetry("meterhouse-ingest") as shown,
        shared_log() as log,
        shared_catalog(shown) as catalog,
    ):
        checks = {"event log": log.partitions, "catalog": catalog.newest}
        rest = plain_app(checks, shown.registry)
        await serve_at("ingest", ingest_beside(rest, log, catalog.keys, shown), place)
