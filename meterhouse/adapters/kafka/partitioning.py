"""Which partition a key belongs to: as Kafka's own producers decide, so that all of them agree.

Hashing keys one by one in Python takes longer than all the rest of producing. So the keys of a request that
are equally long, as identities mostly are, are hashed side by side: each has a lane of 64 bits in one large
integer, wide enough for the product of two 32-bit numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

_MASK: Final = 0xFFFFFFFF
_MULTIPLIER: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C

_SIDE_BY_SIDE: Final = 12  # keys; fewer are faster one by one


def partitions_of(keys: Sequence[bytes], partitions: int) -> list[int]:
    """The partition of each key among 0 … partitions - 1."""
    found = [0] * len(keys)
    alike: dict[int, list[int]] = {}
    for number, key in enumerate(keys):
        alike.setdefault(len(key), []).append(number)
    for numbers in alike.values():
        some = [keys[number] for number in numbers]
        hashes = _hashes(some) if len(some) >= _SIDE_BY_SIDE else [murmur2(key) for key in some]
        for number, hash in zip(numbers, hashes, strict=True):
            found[number] = (hash & 0x7FFFFFFF) % partitions
    return found


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2)."""
    size = len(data)
    hash = _SEED ^ size
    for word in struct.unpack_from(f"<{size >> 2}I", data):
        mixed = word * _MULTIPLIER & _MASK
        hash = (hash * _MULTIPLIER ^ (mixed ^ mixed >> 24) * _MULTIPLIER) & _MASK
    return _finished(hash, data)


def _hashes(keys: Sequence[bytes]) -> list[int]:
    """`murmur2` of keys that are all of one size."""
    count, size = len(keys), len(keys[0])
    low_32 = _in_every_lane(_MASK, count)
    low_8 = _in_every_lane(0xFF, count)
    hash = _in_every_lane(_SEED ^ size, count)
    words = struct.unpack(f"<{f'{size >> 2}I{size & 3}x' * count}", b"".join(keys))
    for place in range(size >> 2):
        word = struct.pack(f"<{count}Q", *words[place :: size >> 2])
        mixed = int.from_bytes(word, "little") * _MULTIPLIER & low_32
        # What the shift brings in from the lane above is not ours.
        mixed = (mixed ^ mixed >> 24 & low_8) * _MULTIPLIER & low_32
        hash = hash * _MULTIPLIER & low_32 ^ mixed
    lanes = struct.unpack(f"<{count}Q", hash.to_bytes(8 * count, "little"))
    return [_finished(lane, key) for lane, key in zip(lanes, keys, strict=True)]


def _in_every_lane(number: int, count: int) -> int:
    return int.from_bytes(struct.pack("<Q", number) * count, "little")


def _finished(hash: int, data: bytes) -> int:
    """Mix in the last one to three bytes, and then the bits among themselves."""
    if rest := len(data) & 3:
        hash = (hash ^ int.from_bytes(data[-rest:], "little")) * _MULTIPLIER & _MASK
    hash = (hash ^ hash >> 13) * _MULTIPLIER & _MASK
    return hash ^ hash >> 15
