"""Blocks as Arrow tables, with the columns of the ClickHouse table they are meant for.

Everything is laid out column by column: a Python object for a cell costs more than all of ClickHouse's work
on it. 128-bit hashes travel as 16 little-endian bytes, which is how ClickHouse reads a UInt128.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Final, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from meterhouse.domain.block import (
    Block,
    FirstSeenColumns,
    IdentityColumns,
    MeteredColumns,
    MeteredGroup,
    RepeatColumns,
)
from meterhouse.domain.event import IdHash
from meterhouse.domain.instant import Instant, month_start

T = TypeVar("T")

# Arrow's own choice gives the memory of each batch back and has it cleared anew for the next, which was a
# fifth of all that an aggregator's CPU did.
if "jemalloc" in pa.supported_memory_backends():
    pa.set_memory_pool(pa.jemalloc_memory_pool())

_TIME: Final = pa.timestamp("us", "UTC")
_DECIMAL: Final = pa.decimal128(38, 18)
_HASH: Final = pa.binary(16)
_DIMENSIONS: Final = pa.map_(pa.string(), pa.string())


def arrow_table(block: Block) -> pa.Table:
    """The block's rows, and its mark row where the table is kept by month.

    Raises pyarrow.ArrowInvalid for a value that Decimal(38, 18) cannot hold exactly.
    """
    match block.rows:
        case FirstSeenColumns() as rows:
            return _events(rows)
        case RepeatColumns() as rows:
            return _repeats(rows)
        case IdentityColumns() as rows:
            return _identities(rows)
        case MeteredColumns() as rows:
            marked = MeteredColumns(rows.partition, (_mark(block), *rows.groups))
            shared = _Shared()
            return pa.concat_tables([_metered(group, rows.partition, shared) for group in marked.groups])


def arrow_file(table: pa.Table, compression: Literal["lz4", "zstd"] | None = None) -> bytes:
    """The table in Arrow's file format, as one record batch, its buffers compressed.

    The file's end says where everything in it is, so a reader refuses one that was cut short.
    """
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        for batch in table.combine_chunks().to_batches():
            writer.write_batch(batch)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def hashes(id_hashes: Sequence[IdHash]) -> pa.Array:
    """UInt128 numbers in the bytes ClickHouse keeps them in."""
    if any(id_hashes):
        raw = b"".join([number.to_bytes(16, "little") for number in id_hashes])
    else:
        raw = bytes(16 * len(id_hashes))
    return pa.FixedSizeBinaryArray.from_buffers(_HASH, len(id_hashes), [None, pa.py_buffer(raw)])


def _events(rows: FirstSeenColumns) -> pa.Table:
    events = rows.events
    return pa.table(
        {
            "log_partition": _same(events.partition, len(rows), pa.uint32()),
            "log_offset": _offsets(events.offsets),
            "id_hash": hashes(events.id_hashes),
            "namespace": pa.array(events.namespaces, pa.string()),
            "source": pa.array(events.sources, pa.string()),
            "id": pa.array(events.ids, pa.string()),
            "type": pa.array(events.types, pa.string()),
            "subject": pa.array(events.subjects, pa.string()),
            "external_subject": pa.array(events.external_subjects, pa.string()),
            "external_id": pa.array(events.external_ids, pa.string()),
            "time": _times(events.times),
            "received_at": _times(events.received_ats),
            "data": pa.array(events.data, pa.binary()),
            "attributes": pa.array(events.attributes, pa.binary()),
            "disposition": pa.array(rows.dispositions, pa.string()),
        }
    )


def _repeats(rows: RepeatColumns) -> pa.Table:
    return pa.table(
        {
            "id_hash": hashes(rows.id_hashes),
            "log_partition": _same(rows.partition, len(rows), pa.uint32()),
            "log_offset": _offsets(rows.offsets),
            "first_partition": pa.array(rows.first_partitions, pa.uint32()),
            "first_offset": pa.array(rows.first_offsets, pa.uint64()),
            "received_at": _times(rows.received_ats),
            "payload": pa.array(rows.payloads, pa.binary()),
        }
    )


def _identities(rows: IdentityColumns) -> pa.Table:
    return pa.table(
        {
            "id_hash": hashes(rows.id_hashes),
            "log_partition": _same(rows.partition, len(rows), pa.uint32()),
            "log_offset": _offsets(rows.offsets),
            "payload_hash": pa.array(rows.payload_hashes, pa.uint64()),
        }
    )


class _Shared:
    """Columns that the groups of one block have in common, each laid out once."""

    def __init__(self) -> None:
        self._built: dict[int, pa.Array] = {}

    def of(self, column: list[T], build: Callable[[list[T]], pa.Array]) -> pa.Array:
        found = self._built.get(id(column))  # the block holds its columns, so an id stays their own
        return found if found is not None else self._built.setdefault(id(column), build(column))


def _metered(group: MeteredGroup, partition: int, shared: _Shared) -> pa.Table:
    size = len(group)
    return pa.table(
        {
            "namespace": _same(group.namespace, size, pa.string()),
            "billable_metric_id": _same(group.billable_metric_id, size, pa.string()),
            "version": _same(group.version, size, pa.uint32()),
            "subject": shared.of(group.subjects, _texts),
            "external_subject": shared.of(group.external_subjects, _texts),
            "time": shared.of(group.times, _times),
            "received_at": shared.of(group.received_ats, _times),
            "log_partition": _same(partition, size, pa.uint32()),
            "log_offset": shared.of(group.offsets, _offsets),
            "dimensions": _dimensions(group.dimension_names, group.dimensions, size),
            "value": _decimals(group.values),
            "unique_hash": hashes(group.unique_hashes),
        }
    )


def _mark(block: Block) -> MeteredGroup:
    """The row that proves the block landed: nobody's metric, its stream, its last offset."""
    start = month_start(block.month)
    return MeteredGroup(
        "", "", 0, (), [block.stream], [""], [start], [start], [block.mark], [], [None], [0], False
    )


def _same(value: str | int, size: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), size)


def _texts(column: Sequence[str]) -> pa.Array:
    return pa.array(column, pa.string())


def _offsets(column: Sequence[int]) -> pa.Array:
    return _whole(column, pa.uint64())


def _times(instants: Sequence[Instant]) -> pa.Array:
    return _whole(instants, _TIME)


def _whole(column: Sequence[int], kind: pa.DataType) -> pa.Array:
    """64-bit numbers, or whatever they stand for, without pyarrow's look at each of them."""
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(array("q", column))])


def _decimals(values: Sequence[Decimal | int | None]) -> pa.Array:
    """Through text, unless all of them are whole or none is there: a Decimal with a fraction costs pyarrow
    8 µs, its text 0.3 µs.
    """
    if values.count(None) == len(values):
        return pa.nulls(len(values), _DECIMAL)
    try:
        return _whole(values, pa.int64()).cast(_DECIMAL)  # type: ignore[arg-type] # anything else raises
    except (TypeError, OverflowError):
        texts = [None if value is None else str(value) for value in values]
        return pa.array(texts, pa.string()).cast(_DECIMAL)


def _dimensions(names: tuple[str, ...], columns: Sequence[Sequence[str]], size: int) -> pa.Array:
    """A map a row, each distinct one built once, for rows mostly share theirs."""
    places = pa.repeat(pa.scalar(0, pa.int32()), size)
    distinct: list[tuple[str, ...]] = [()]
    for column in columns:
        # Every pair of an earlier combination and a text of this column is a number of its own.
        texts = pa.array(column, pa.string()).dictionary_encode()
        width = max(1, len(texts.dictionary))
        pairs = pc.add(pc.multiply(places.cast(pa.int64()), width), texts.indices.cast(pa.int64()))
        numbered = pairs.dictionary_encode()
        known: list[str] = texts.dictionary.to_pylist()
        distinct = [
            (*distinct[pair // width], known[pair % width]) for pair in numbered.dictionary.to_pylist()
        ]
        places = numbered.indices
    ends = range(0, len(names) * len(distinct) + 1, len(names)) if names else [0] * (len(distinct) + 1)
    maps = pa.MapArray.from_arrays(
        pa.array(ends, pa.int32()),
        pa.array(names * len(distinct), pa.string()),
        pa.array(list(chain.from_iterable(distinct)), pa.string()),
        type=_DIMENSIONS,
    )
    return maps.take(places)
