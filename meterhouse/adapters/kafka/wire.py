"""The two requests of Kafka's protocol that aiokafka does not speak yet: those that know a topic's id.

A topic's name outlives the topic: deleted and made anew, it is another log with the same name. Since
KIP-516 each topic has a UUID, Metadata tells it (version 10 on) and Fetch can ask by it (version 13 on), so
that the broker itself refuses to read another log than the one we know. Kafka 3.1 and later.
"""

from __future__ import annotations

import base64
from io import BytesIO
from typing import ClassVar, Final, NamedTuple, TypeAlias

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

_TAGS: Final = ("tags", TaggedFields)
_NO_TAGS: Final[dict[int, bytes]] = {}
_STRING: Final = CompactString("utf-8")


class _Uuid(AbstractType[bytes]):
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


NO_ID: Final = bytes(16)


def render_id(topic_id: bytes) -> str:
    """A topic's id as Kafka's own tools print it."""
    return base64.urlsafe_b64encode(topic_id).decode().rstrip("=")


# --- Metadata ---


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("node_id", Int32), ("host", _STRING), ("port", Int32), ("rack", _STRING), _TAGS),
        ),
        ("cluster_id", _STRING),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _STRING),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _MetadataRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _STRING), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


_MetadataStruct: TypeAlias = _MetadataRequest


class TopicMetadata(NamedTuple):
    """What a broker knows of a topic: an error code (0: none), its id, and the leader of each partition."""

    error_code: int
    topic_id: bytes
    leaders: dict[int, int]


class TopicMetadataRequest(Request[_MetadataStruct]):
    """Asks about one topic, and never makes it."""

    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class([(NO_ID, self._topic, _NO_TAGS)], False, False, _NO_TAGS)

    @staticmethod
    def answer(response: Response) -> TopicMetadata:
        """What the response says about the topic."""
        ((error_code, _, topic_id, _, partitions, _, _),) = response.get_item("topics")
        return TopicMetadata(error_code, topic_id, {number: leader for _, number, leader, *_ in partitions})


# --- Fetch ---


class _FetchResponse(Response):
    API_KEY = 1
    API_VERSION = 13
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("session_id", Int32),
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("high_watermark", Int64),
                        ("last_stable_offset", Int64),
                        ("log_start_offset", Int64),
                        (
                            "aborted_transactions",
                            CompactArray(("producer_id", Int64), ("first_offset", Int64), _TAGS),
                        ),
                        ("preferred_read_replica", Int32),
                        ("records", CompactBytes),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _FetchRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 1
    API_VERSION = 13
    RESPONSE_TYPE = _FetchResponse
    SCHEMA = Schema(
        ("replica_id", Int32),
        ("max_wait_ms", Int32),
        ("min_bytes", Int32),
        ("max_bytes", Int32),
        ("isolation_level", Int8),
        ("session_id", Int32),
        ("session_epoch", Int32),
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("current_leader_epoch", Int32),
                        ("fetch_offset", Int64),
                        ("last_fetched_epoch", Int32),
                        ("log_start_offset", Int64),
                        ("max_bytes", Int32),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        (
            "forgotten_topics",
            CompactArray(("topic_id", _Uuid), ("partitions", CompactArray(Int32)), _TAGS),
        ),
        ("rack_id", _STRING),
        _TAGS,
    )


_FetchStruct: TypeAlias = _FetchRequest


class Fetched(NamedTuple):
    """One partition's answer: an error code (0: none), the end of what may be read, record batches."""

    error_code: int
    high_watermark: int
    records: bytes


class FetchByIdRequest(Request[_FetchStruct]):
    """Asks one partition of a topic, known by id, for record batches from `offset` on.

    The broker sends at most `max_bytes`, except that the first batch always comes whole, and waits up to
    `max_wait_ms` for there to be one byte at all.
    """

    API_KEY: ClassVar[int] = 1

    def __init__(
        self, topic_id: bytes, partition: int, offset: int, *, max_bytes: int, max_wait_ms: int
    ) -> None:
        self._topic_id = topic_id
        self._partition = partition
        self._offset = offset
        self._max_bytes = max_bytes
        self._max_wait_ms = max_wait_ms

    def build(self, request_struct_class: type[_FetchStruct]) -> _FetchStruct:
        place = (self._partition, -1, self._offset, -1, -1, self._max_bytes, _NO_TAGS)
        topics = [(self._topic_id, [place], _NO_TAGS)]
        return request_struct_class(
            -1, self._max_wait_ms, 1, self._max_bytes, 0, 0, -1, topics, [], "", _NO_TAGS
        )

    @staticmethod
    def answer(response: Response) -> Fetched:
        """What the response says about the partition."""
        if code := response.get_item("error_code"):
            return Fetched(code, -1, b"")
        ((_, ((_, code, high_watermark, _, _, _, _, records, _),), _),) = response.get_item("topics")
        return Fetched(code, high_watermark, records or b"")
