"""An aggregator as a process of its own."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from typing import Final

import structlog

from meterhouse.adapters.kafka.assignment import GroupAssignment, Membership
from meterhouse.assembly.duties import duties_over
from meterhouse.distributed.crew import Crew
from meterhouse.distributed.process import Place, plain_app, serve_at
from meterhouse.distributed.stores import open_stores
from meterhouse.domain.errors import Unavailable
from meterhouse.ports.counting import Watermark
from meterhouse.settings import AggregatorSettings, KafkaSettings
from meterhouse.stores import Stores, open_telemetry
from meterhouse.telemetry.instruments import AggregatorInstruments

_REPORT_SECONDS: Final = 5.0  # between two looks at what lag monitors are shown

_log: Final = structlog.get_logger("meterhouse")


async def serve(place: Place) -> None:
    """Count the partitions that the group gives us until SIGTERM."""
    kafka = KafkaSettings()
    async with open_telemetry("meterhouse-aggregator") as shown, open_stores(shown) as stores:
        instruments = AggregatorInstruments(shown.registry)
        crew = Crew(stores, instruments, shown.spans, AggregatorSettings())
        checks = {
            "event log": stores.log.partitions,
            "catalog": stores.catalog.newest,
            "ClickHouse": stores.clickhouse.answers,
            "partitions": crew.require_whole,
        }

        async def work(stop: asyncio.Event) -> None:
            membership = Membership(
                topic=kafka.topic, group=kafka.group, session_timeout=kafka.session_timeout
            )
            async with duties_over(stores, shown) as duties, TaskGroup() as tasks:
                crew.work_in(tasks)
                for duty in duties:
                    tasks.create_task(duty(stop))
                async with GroupAssignment.open(
                    kafka.servers(), membership, gained=crew.start, lost=crew.stop
                ) as assignment:
                    reporting = tasks.create_task(_report(assignment, stores))
                    await stop.wait()
                    await crew.finish()  # before others take over what we are in the middle of
                    reporting.cancel()

        await serve_at("aggregator", plain_app(checks, shown.registry), place, work)


async def _report(assignment: GroupAssignment, stores: Stores) -> None:
    """Keep lag monitors up to date; what they show counts for nothing else."""
    watermark: Watermark = stores.catalog.watermark(stores.log.log_id)
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        try:
            await assignment.report(await watermark.counted())
        except Unavailable as error:
            _log.info("progress not shown to lag monitors", error=str(error))
