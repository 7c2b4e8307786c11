"""Keys hashed side by side go where they go one by one."""

from __future__ import annotations

from aiokafka.partitioner import murmur2 as plain_murmur2
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.adapters.kafka.partitioning import murmur2, partitions_of

KEYS = st.one_of(
    st.lists(st.binary(max_size=40)),
    st.integers(0, 20).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), max_size=60)),
)


@given(KEYS, st.integers(1, 100))
def test_every_key_goes_where_kafkas_hash_puts_it(keys: list[bytes], partitions: int) -> None:
    hashes = [plain_murmur2(key) for key in keys]
    assert [murmur2(key) for key in keys] == hashes
    assert partitions_of(keys, partitions) == [hash % 2**31 % partitions for hash in hashes]
