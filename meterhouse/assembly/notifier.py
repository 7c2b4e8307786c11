"""The notifier over what is opened, by the environment's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aggregator.fault import fault_of
from meterhouse.adapters.clickhouse.news import ClickHouseNews
from meterhouse.adapters.clickhouse.phases import ClickHousePhases
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.http.server import Work
from meterhouse.adapters.receivers.carrier import HttpCarrier
from meterhouse.assembly.holdings import holdings_of, limits_of
from meterhouse.domain.instant import microseconds
from meterhouse.settings import FaultSettings, QuerySettings, WebhookSettings
from meterhouse.stores import Stores
from meterhouse.telemetry.instruments import NotifierInstruments
from meterhouse.telemetry.shown import Telemetry
from notifier.delivery import Courier
from notifier.watch import Watch
from query.entitlements.sightings import BalanceObserver


@asynccontextmanager
async def notifier_over(stores: Stores, shown: Telemetry) -> AsyncIterator[Sequence[Work]]:
    """Whoever tells merchants of what happens: one finds what there is to tell, another delivers it."""
    settings, fault = WebhookSettings(), fault_of(FaultSettings().fault)
    clock, instruments = SystemClock(), NotifierInstruments(shown.registry)
    phases = ClickHousePhases(stores.clickhouse, limits_of(QuerySettings()))
    watch = Watch(
        looks=stores.catalog.looks,
        news=ClickHouseNews(stores.clickhouse),
        watermark=stores.catalog.watermark(stores.log.log_id),
        observer=BalanceObserver(holdings_of(stores.catalog, phases), stores.catalog.metrics),
        clock=clock,
        log_id=stores.log.log_id,
        instruments=instruments,
        every_seconds=settings.interval.total_seconds(),
        at_most=settings.looks,
        sweep=microseconds(settings.sweep),
        fault=fault,
    )
    async with HttpCarrier.open(clock, settings.urls(), timeout=settings.timeout) as carrier:
        courier = Courier(
            outbox=stores.catalog.deliveries,
            carrier=carrier,
            clock=clock,
            instruments=instruments,
            every_seconds=settings.interval.total_seconds(),
            timeout=microseconds(settings.timeout),
            at_once=settings.at_once,
            retention=microseconds(settings.retention),
            fault=fault,
        )
        yield watch.run, courier.run
