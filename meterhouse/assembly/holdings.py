"""What customers hold and how it is burned down, for those who answer and those who tell."""

from __future__ import annotations

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.usage import UsageLimits
from meterhouse.ports.entitlements import Holdings
from meterhouse.ports.usage import PhaseReader
from meterhouse.settings import QuerySettings


def holdings_of(catalog: Catalog, phases: PhaseReader) -> Holdings:
    """What customers hold, and the usage it is burned down by."""
    return Holdings(
        entitlements=catalog.entitlements, grants=catalog.grants, purchases=catalog.grants, phases=phases
    )


def limits_of(settings: QuerySettings) -> UsageLimits:
    return UsageLimits(
        max_cells=settings.max_cells,
        max_rows=settings.max_rows,
        max_bytes=settings.max_bytes,
        max_time=settings.max_time,
    )
