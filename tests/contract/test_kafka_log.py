"""What the log on Kafka promises beyond the ports: other consumers, crowds, retention."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import anyio
import anyio.to_thread
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions

from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.cloudevents_json import decode_columns, encode
from meterhouse.adapters.kafka import reader
from meterhouse.adapters.kafka.dead_letters import SUFFIX, DeadLetter
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.partitioning import murmur2, partitions_of
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.domain.errors import LogBroken, LogUnavailable, Overloaded, TooLarge
from meterhouse.domain.event import Event
from meterhouse.domain.position import Position
from meterhouse.ports.log import Bounds, LogRecord
from tests.logged import PATIENCE, consumed, entry, eventually, opened, texts
from tests.servers.kafka import PATIENT, TestTopic, admin, delete_and_make_anew, delete_before

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log(kafka_topic: TestTopic) -> AsyncIterator[KafkaLog]:
    async with opened(kafka_topic) as log:
        yield log


# --- what other consumers and producers see ---


async def test_any_consumer_finds_structured_cloudevents_at_their_receive_time(
    log: KafkaLog, kafka_topic: TestTopic
) -> None:
    event = Event(
        namespace="org_a",
        source="/api",
        id="e1",
        type="call",
        subject="cus_1",
        external_subject="",
        external_id="",
        time=1_600_000_000_000_000,
        received_at=1_777_640_400_123_456,
        data=b'{"tokens":12}',
        attributes={},
    )
    written = encode(event)
    (position,) = await log.append([written])
    (record,) = await consumed(kafka_topic, kafka_topic.name, 1)
    assert record.headers == (("content-type", b"application/cloudevents+json"),)
    assert (record.key, record.value) == (b"org_a\0/api\0e1", written.value)
    assert (record.timestamp, record.timestamp_type) == (1_777_640_400_123, 0)  # 0: the producer's
    assert Position(record.partition, record.offset + 1) == position


async def test_keys_go_where_every_other_producer_puts_them(log: KafkaLog, kafka_topic: TestTopic) -> None:
    keys = [f"org_a\0/api\0{'é' * number}{number}" for number in range(40)]
    ours = {key: (await log.append([entry("ours", key)]))[0].partition for key in keys}
    producer = AIOKafkaProducer(bootstrap_servers=kafka_topic.servers.bootstrap)
    await producer.start()
    try:
        theirs = {
            key: (await producer.send_and_wait(kafka_topic.name, b"theirs", key.encode())).partition
            for key in keys
        }
    finally:
        await producer.stop()
    assert ours == theirs
    assert len(set(ours.values())) == 3


@pytest.mark.parametrize(
    ("key", "hash"),  # from Kafka's UtilsTest.testMurmur2, signed there
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_of_a_key_is_kafkas_own(key: bytes, hash: int) -> None:
    assert murmur2(key) == hash % 2**32
    assert partitions_of([key], 7) == [(hash % 2**31) % 7]


async def test_records_of_another_producer_are_read_whatever_they_are(
    log: KafkaLog, kafka_topic: TestTopic
) -> None:
    for compression in ("gzip", "snappy", "lz4", "zstd"):
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka_topic.servers.bootstrap, compression_type=compression
        )
        await producer.start()
        await producer.send_and_wait(kafka_topic.name, compression.encode() * 50, partition=0, timestamp_ms=5)
        await producer.stop()
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka_topic.servers.bootstrap, transactional_id=kafka_topic.name
    )
    await producer.start()
    async with producer.transaction():
        await producer.send(kafka_topic.name, None, b"a tombstone", partition=0, timestamp_ms=5)
    await producer.stop()
    with anyio.fail_after(PATIENCE):
        await log.wait(0, 5, PATIENCE)
    found = await log.read(0, 0, 100)
    assert [record.offset for record in found] == [0, 1, 2, 3, 4, 5]
    assert [record.value[:4] for record in found[:5]] == [b"gzip", b"snap", b"lz4l", b"zstd", b""]
    assert [record.offset for record, _ in decode_columns(0, found)[1]] == [0, 1, 2, 3, 4, 5]
    assert {record.received_at for record in found[:5]} == {5000}


async def test_a_read_stops_when_it_holds_enough_bytes(
    log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        (position,) = await log.append([entry("x" * 60)])
    monkeypatch.setattr(reader, "READ_BYTES", 100)
    monkeypatch.setattr(reader, "FETCH_BYTES", 1)
    assert [record.offset for record in await log.read(position.partition, 1, 5)] == [1, 2]
    monkeypatch.setattr(reader, "READ_BYTES", 1)
    assert [record.offset for record in await log.read(position.partition, 4, 5)] == [4]


async def test_a_read_starts_and_ends_inside_record_batches(log: KafkaLog) -> None:
    wanted = [entry(f"{number}") for number in range(30)]
    for start in range(0, 30, 10):
        (position,) = await log.append(wanted[start : start + 10])
    for start in range(31):
        found = await log.read(position.partition, start, 7)
        assert [record.value for record in found] == [one.value for one in wanted[start : start + 7]]


# --- writing ---


async def test_requests_that_arrive_together_share_record_batches(
    log: KafkaLog, kafka_topic: TestTopic
) -> None:
    await log.append([entry("first")])
    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(log.append, [entry(str(number))])
    (partition,) = partitions_of([b"key"], 3)
    sizes: list[int] = []

    def count(batch: Iterable[LogRecord]) -> list[LogRecord]:
        records = list(batch)
        sizes.append(len(records))
        return records

    offset = 0
    while offset < 201:
        offset += len((await log._reader.page(partition, offset, count)).records)
    assert sum(sizes) == 201
    assert len(sizes) <= 4


async def test_a_request_larger_than_a_batch_keeps_its_order_and_covers_all_of_it(
    kafka_topic: TestTopic,
) -> None:
    wanted = [f"{number:06}" + "x" * 500 for number in range(300)]
    limits = replace(PATIENT, batch_bytes=20_000)
    async with opened(kafka_topic, limits) as log:
        (position,) = await log.append([entry(text) for text in wanted])
        assert position.offset == 300
        assert await texts(log) == wanted


async def test_an_event_that_fits_no_batch_is_refused_and_nothing_of_its_request_is_written(
    kafka_topic: TestTopic,
) -> None:
    limits = replace(PATIENT, batch_bytes=2000)
    async with opened(kafka_topic, limits) as log:
        with pytest.raises(TooLarge, match="2000 bytes"):
            await log.append([entry("small"), entry("x" * 2000)])
        await log.append([entry("next")])
        assert await texts(log) == ["next"]


async def test_a_batch_that_the_topic_refuses_is_an_error_and_the_next_one_is_written(
    kafka_topic: TestTopic,
) -> None:
    limits = replace(PATIENT, batch_bytes=10_000_000, compression="none")
    async with opened(kafka_topic, limits) as log:
        await log.append([entry("before")])
        with pytest.raises(LogUnavailable, match="MessageSizeTooLarge"):
            await log.append([entry("x" * 5_000_000)])
        await log.append([entry("after")])
        assert await texts(log) == ["before", "after"]


async def test_a_crowd_beyond_the_bound_is_turned_away_and_none_of_it_is_written(
    kafka_topic: TestTopic,
) -> None:
    outcomes: dict[str, object] = {}

    async def append(log: KafkaLog, number: int) -> None:
        batch = [entry(f"{number} {part}" + " " * 400, f"key {part}") for part in range(5)]
        try:
            outcomes[str(number)] = await log.append(batch)
        except Overloaded as error:
            outcomes[str(number)] = error

    limits = replace(PATIENT, waiting_bytes=50_000)
    async with opened(kafka_topic, limits) as log:
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(append, log, number)
        assert log._producer._size == 0
        written = {text.split()[0] for text in await texts(log)}
    accepted = {number for number, outcome in outcomes.items() if isinstance(outcome, tuple)}
    assert written == accepted
    assert 5 <= len(accepted) < 100


async def test_one_request_larger_than_the_bound_is_written_when_nothing_else_waits(
    kafka_topic: TestTopic,
) -> None:
    limits = replace(PATIENT, waiting_bytes=10)
    async with opened(kafka_topic, limits) as log:
        await log.append([entry("x" * 1000)] * 3)
        assert len(await texts(log)) == 3


async def test_closing_finishes_what_was_accepted(kafka_topic: TestTopic) -> None:
    results: list[Position] = []

    async def append(log: KafkaLog, number: int) -> None:
        results.extend(await log.append([entry(str(number))]))

    async with anyio.create_task_group() as tasks, opened(kafka_topic) as log:
        for number in range(50):
            tasks.start_soon(append, log, number)
        await anyio.lowlevel.checkpoint()
    assert sorted(position.offset for position in results) == list(range(1, 51))
    with pytest.raises(LogUnavailable, match="closing"):
        await log.append([entry("too late")])


async def test_a_cancelled_caller_does_not_keep_others_from_their_answer(log: KafkaLog) -> None:
    async def append_and_leave() -> None:
        await log.append([entry("left")])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append_and_leave)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    await log.append([entry("stayed")])
    assert (await texts(log))[-1] == "stayed"
    assert log._producer._size == 0


async def test_a_missing_topic_is_named_with_the_command_that_makes_it(kafka: str) -> None:
    with pytest.raises(LogUnavailable, match=r"nowhere does not exist.*meterhouse topics create"):
        async with KafkaLog.open(KafkaServers(bootstrap=kafka), "nowhere", SystemClock()):
            pytest.fail("it was opened")


async def test_no_broker_at_all_is_said_at_once() -> None:
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1 does not answer"):
        async with KafkaLog.open(KafkaServers(bootstrap="127.0.0.1:1"), "any", SystemClock()):
            pytest.fail("it was opened")


# --- a log that is not what it was ---


async def test_a_start_that_retention_deleted_is_named_and_never_skipped(
    log: KafkaLog, kafka_topic: TestTopic
) -> None:
    (position,) = await log.append([entry(str(number)) for number in range(10)])
    partition = position.partition
    await delete_before(kafka_topic, partition, 4)
    assert await log.bounds(partition) == Bounds(4, 10)
    with pytest.raises(LogBroken, match="begins at offset 4: the records from 2 on were deleted"):
        await log.read(partition, 2, 5)
    assert [record.value for record in await log.read(partition, 4, 2)] == [b"4", b"5"]


async def test_a_start_beyond_the_end_is_named_and_never_rewound(log: KafkaLog) -> None:
    (position,) = await log.append([entry("one")])
    with pytest.raises(LogBroken, match="ends at offset 1, before 7"):
        await log.read(position.partition, 7, 5)


async def test_a_log_keeps_its_id_and_another_log_has_another(kafka_topic: TestTopic) -> None:
    async with opened(kafka_topic) as log:
        first = log.log_id
    async with opened(kafka_topic) as again:
        assert again.log_id == first
    await delete_and_make_anew(kafka_topic)
    async with opened(kafka_topic) as other:
        assert other.log_id != first
    assert len(first) == 22


async def test_a_topic_made_anew_is_never_read_as_if_it_were_the_old_one(
    log: KafkaLog, kafka_topic: TestTopic
) -> None:
    (position,) = await log.append([entry("old")])
    await delete_and_make_anew(kafka_topic)
    async with opened(kafka_topic) as other:
        await other.append([entry("new")])
    with pytest.raises(LogBroken, match=f"deleted and made anew: its id was {log.log_id} and is"):
        await log.read(position.partition, 0, 10)
    with pytest.raises(LogBroken, match="made anew"):
        await log.partitions()


async def test_a_deleted_topic_is_named(log: KafkaLog, kafka_topic: TestTopic) -> None:
    async with admin(kafka_topic) as client:
        await client.delete_topics([kafka_topic.name])

    async def is_there() -> bool:
        await log.read(0, 0, 10)
        return False

    with pytest.raises(LogBroken, match="was deleted"):
        await eventually(is_there)


async def test_added_partitions_are_found(log: KafkaLog, kafka_topic: TestTopic) -> None:
    async with admin(kafka_topic) as client:
        await client.create_partitions({kafka_topic.name: NewPartitions(5)})

    async def are_found() -> bool:
        return await log.partitions() == [0, 1, 2, 3, 4]

    await eventually(are_found)
    assert await log.bounds(4) == Bounds(0, 0)


# --- dead letters ---


async def test_a_dead_letter_is_the_records_bytes_with_its_place_reason_and_time(
    log: KafkaLog, kafka_topic: TestTopic
) -> None:
    before = SystemClock().now()
    await log.put(2, LogRecord(7, 5_000, b"\xff\x00 not JSON"), "is not JSON")
    (record,) = await consumed(kafka_topic, kafka_topic.name + SUFFIX, 1)
    assert (record.key, record.value, record.timestamp) == (b"2:7", b"\xff\x00 not JSON", 5)
    headers = dict(record.headers)
    assert (headers["partition"], headers["offset"], headers["reason"]) == (b"2", b"7", b"is not JSON")
    (letter,) = [letter async for letter in log.letters.all()]
    assert before <= letter.set_aside_at <= SystemClock().now()


async def test_dead_letters_are_listed_once_each_with_the_reason_first_given(log: KafkaLog) -> None:
    old, new = LogRecord(3, 5_000, b"\xff"), LogRecord(9, 6_000, b"")
    await log.put(1, new, "is empty")
    await log.put(1, old, "is not JSON")
    await log.put(0, new, "is empty too")
    await log.put(1, old, "another reason")
    listed = [(one.partition, one.record, one.reason) async for one in log.letters.all()]
    assert listed == [(0, new, "is empty too"), (1, old, "is not JSON"), (1, new, "is empty")]


async def test_of_a_record_that_is_too_large_for_a_letter_the_beginning_is_kept(
    kafka_topic: TestTopic,
) -> None:
    async with opened(kafka_topic, replace(PATIENT, batch_bytes=2000)) as log:
        await log.put(1, LogRecord(7, 5_000, b"x" * 100_000), "is not JSON")
        await log.put(1, LogRecord(8, 5_000, b"y"), "is not JSON")
        assert await log.holds(1, 7)
        cut, whole = [letter async for letter in log.letters.all()]
        assert (cut.size, whole.size) == (100_000, 1)
        assert 1000 < len(cut.record.value) < 2000
        assert set(cut.record.value) == set(b"x")
        with pytest.raises(TooLarge, match=r"1:7 has only the first .* of 100000 bytes"):
            await log.requeue(cut)
        assert await texts(log) == []
        await log.requeue(whole)


async def test_a_requeued_letter_is_in_the_log_again_under_the_key_of_its_event(
    log: KafkaLog, kafka_topic: TestTopic
) -> None:
    event = b'{"specversion":"1.0","id":"e1","source":"/api","type":"call","namespace":"org_a"}'
    await log.put(0, LogRecord(3, 5_000, event), "was not understood")
    await log.put(0, LogRecord(4, 6_000, b"no event"), "is not JSON")
    positions = [await log.requeue(letter) async for letter in log.letters.all()]
    records = await consumed(kafka_topic, kafka_topic.name, 2)
    assert {(record.key, record.value, record.timestamp) for record in records} == {
        (b"org_a\0/api\0e1", event, 5),
        (b"0:4", b"no event", 6),
    }
    letters: list[DeadLetter] = [letter async for letter in log.letters.all()]
    assert [(one.record.offset, one.requeued_as) for one in letters] == list(
        zip((3, 4), positions, strict=True)
    )
