"""ClickHouse's own compression, which clients ask for with `compress=1`: blocks, each with a checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import zstandard
from clickhouse_cityhash.cityhash import CityHash128
from lz4.block import compress as lz4_compress

_LARGEST: Final = 1 << 20  # bytes of a block before compression, as ClickHouse makes them
_HEADER: Final = 9  # bytes: the method, and both lengths


def _lz4(block: bytes) -> bytes:
    compressed: bytes = lz4_compress(block, store_size=False)
    return compressed


_METHODS: Final[dict[str, tuple[int, Callable[[bytes], bytes]]]] = {
    "LZ4": (0x82, _lz4),
    "ZSTD": (0x90, zstandard.ZstdCompressor(level=1).compress),
}


def compressed(data: bytes, method: str) -> bytes:
    """`data` in blocks of that method; LZ4 is taken where a client names another one."""
    return b"".join(_blocks(data, *_METHODS.get(method.upper(), _METHODS["LZ4"])))


def _blocks(data: bytes, code: int, compress: Callable[[bytes], bytes]) -> Iterator[bytes]:
    for start in range(0, len(data), _LARGEST):
        block = data[start : start + _LARGEST]
        content = compress(block)
        lengths = (_HEADER + len(content)).to_bytes(4, "little") + len(block).to_bytes(4, "little")
        framed = bytes([code]) + lengths + content
        low, high = divmod(CityHash128(framed), 1 << 64)
        yield low.to_bytes(8, "little") + high.to_bytes(8, "little")
        yield framed
