"""All that a process shows of itself, for whoever puts one together."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from meterhouse.telemetry.instruments import PoolInstruments, new_registry
from meterhouse.telemetry.spans import Spans


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Instruments for `/metrics` and spans for a collector, none unless tracing is on."""

    spans: Spans = field(default_factory=Spans)
    registry: CollectorRegistry = field(default_factory=new_registry)
    pools: PoolInstruments = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pools", PoolInstruments(self.registry))
