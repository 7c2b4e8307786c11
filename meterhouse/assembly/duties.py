"""What there is to do beside counting, wherever events are counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from meterhouse.adapters.http.server import Work
from meterhouse.assembly.aggregator import publisher_over, retirement_over
from meterhouse.assembly.notifier import notifier_over
from meterhouse.stores import Stores
from meterhouse.telemetry.shown import Telemetry


@asynccontextmanager
async def duties_over(stores: Stores, shown: Telemetry) -> AsyncIterator[Sequence[Work]]:
    """Tell readers of the tables of metrics, merchants of what happens, and delete what is read no more."""
    async with notifier_over(stores, shown) as notifying:
        yield publisher_over(stores).run, retirement_over(stores).run, *notifying
