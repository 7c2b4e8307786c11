"""Which partition a key belongs to: as Kafka's own producers decide, so that all of them agree.

aiokafka's partitioner gives the same answers and takes twice as long, more than all the rest of producing.
"""

from __future__ import annotations

import struct
from typing import Final

_MASK: Final = 0xFFFFFFFF
_MULTIPLIER: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key` among 0 … partitions - 1."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2)."""
    size = len(data)
    hash = _SEED ^ size
    for word in struct.unpack_from(f"<{size >> 2}I", data):
        mixed = word * _MULTIPLIER & _MASK
        hash = (hash * _MULTIPLIER ^ (mixed ^ mixed >> 24) * _MULTIPLIER) & _MASK
    if rest := size & 3:
        hash = (hash ^ int.from_bytes(data[-rest:], "little")) * _MULTIPLIER & _MASK
    hash = (hash ^ hash >> 13) * _MULTIPLIER & _MASK
    return hash ^ hash >> 15
