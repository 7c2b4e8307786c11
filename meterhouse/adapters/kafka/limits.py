"""How much a producer takes on, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """What a producer takes on.

    `delivery_timeout` is how long a request may take from its arrival on. `waiting_bytes` bounds what waits
    for the brokers; one request may be larger when nothing else waits. `batch_bytes` bounds a record batch
    before compression, and so a record: `max.message.bytes` of the topic must not be smaller. `compression`
    is none, gzip, snappy, lz4 or zstd.
    """

    delivery_timeout: timedelta = timedelta(seconds=4)
    waiting_bytes: int = 128 * MIB
    batch_bytes: int = 1_000_000
    compression: str = "none"
