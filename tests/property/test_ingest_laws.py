"""What holds for every body that can come."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from itertools import pairwise

import anyio
import httpx
import msgspec
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingest import cloudevents, event_request
from ingest.arrival import Arrival, ReceiveTimes
from ingest.json_text import is_deeper
from ingest.limits import Limits
from ingest.media_type import parse
from meterhouse.domain.errors import Forbidden, Invalid
from meterhouse.domain.event import Event
from tests.ingest_service import (
    AUTHORIZED,
    BATCHED,
    MERCHANT,
    NOW,
    STRUCTURED,
    StoppedClock,
    cloud_event,
    ingest_service,
)
from tests.ingest_service import event_request as request_of

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=5) | st.dictionaries(st.text(), children, max_size=5),
    max_leaves=15,
)
members = st.sampled_from(
    [None, "", "x", "org_1", "org_2", "a b", "\0", "\ufffe", "2026-05-01T00:00:00Z", "2027-01-01", 1, 2.5,
     True, [1], {"a": 1}, "1.0", "AAAA", 2**40]
)  # fmt: skip


def _arrival() -> Arrival:
    return Arrival(MERCHANT, Limits(), ReceiveTimes(StoppedClock()).next)


def _outcome(read: Callable[[], Event]) -> object:
    try:
        return read()
    except (Invalid, Forbidden) as error:
        return type(error)


def _post(
    headers: dict[str, str], body: bytes, path: str = "/api/v1/events"
) -> tuple[httpx.Response, list[bytes]]:
    async def ask() -> tuple[httpx.Response, list[bytes]]:
        async with ingest_service() as service:
            response = await service.client.post(path, content=body, headers={**AUTHORIZED, **headers})
            return response, [entry.value for entry in service.log.entries]

    return anyio.run(ask)


@given(value=json_values, indent=st.sampled_from([None, 0, 2]))
def test_any_json_as_data_is_kept_to_the_letter(value: Json, indent: int | None) -> None:
    text = msgspec.json.encode(value)
    if indent is not None:
        text = msgspec.json.format(text, indent=indent)
    head = msgspec.json.encode(cloud_event(data=None))[:-1]
    event = cloudevents.read_event(head + b',"data":' + text + b"}", _arrival())
    assert event.data == text
    wrapped = b'{"type":"t","source":"s","subject":"c","data":{"value":' + text + b"}}"
    assert event_request.read_request(wrapped, _arrival()).data == b'{"value":' + text + b"}"


@given(
    changes=st.dictionaries(
        st.sampled_from(
            ["specversion", "id", "source", "type", "subject", "time", "namespace", "externalsubject",
             "externalid", "datacontenttype", "dataschema", "data"]
        ),
        members,
        max_size=4,
    )
)  # fmt: skip
def test_the_short_and_the_long_way_agree_on_cloudevents(changes: dict[str, object]) -> None:
    text = msgspec.json.encode({**cloud_event(), **changes})
    arrival = _arrival()
    short = cloudevents._plain_event(text, arrival, NOW)
    long = _outcome(lambda: cloudevents._explained(text, arrival, NOW))
    assert short is None or short == long


@given(
    changes=st.dictionaries(
        st.sampled_from(
            ["type", "source", "subject", "timestamp", "namespace", "externalSubject", "externalId", "data"]
        ),
        members,
        max_size=4,
    )
)
def test_the_short_and_the_long_way_agree_on_the_contracts_events(changes: dict[str, object]) -> None:
    text = msgspec.json.encode({**request_of(idempotencyKey="k"), **changes})
    arrival = _arrival()
    short = event_request._plain_event(text, arrival, NOW)
    long = _outcome(lambda: event_request._explained(text, arrival, NOW))
    assert (long if short is None else short) == long
    assert (short is None) == isinstance(long, type)


@given(
    body=st.binary(max_size=200),
    headers=st.sampled_from([STRUCTURED, BATCHED, {"content-type": "application/json"}]),
)
def test_arbitrary_bytes_are_refused_in_the_wires_shape(body: bytes, headers: dict[str, str]) -> None:
    for path in ("/api/v1/events", "/v0/events"):
        response, kept = _post(headers, body, path)
        assert 400 <= response.status_code < 500
        assert {"error", "message"} <= response.json().keys()
        assert kept == []


@given(
    document=st.dictionaries(
        st.sampled_from(["specversion", "id", "source", "type", "subject", "time", "data", "data_base64"])
        | st.text(max_size=3),
        json_values | st.sampled_from(["1.0", "t"]),
    )
)  # fmt: skip
def test_arbitrary_documents_are_accepted_or_refused_with_reasons(document: dict[str, Json]) -> None:
    for path in ("/api/v1/events", "/v0/events"):
        response, kept = _post({"content-type": "application/json"}, msgspec.json.encode(document), path)
        assert response.status_code in {202, 400, 403}
        assert (response.status_code == 202) == (len(kept) == 1)
        if response.status_code != 202:
            assert {"error", "message"} <= response.json().keys()
            json = response.json()
            assert all({"field", "message", "code"} <= problem.keys() for problem in json.get("errors", []))


@given(
    names=st.dictionaries(
        st.from_regex(r"ce-[a-z0-9_%-]{0,12}", fullmatch=True)
        | st.sampled_from(["content-type", "content-encoding"]),
        st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0")),
        max_size=6,
    ),
    body=st.binary(max_size=20),
)  # fmt: skip
def test_arbitrary_headers_never_break_it(names: dict[str, bytes], body: bytes) -> None:
    async def ask() -> httpx.Response:
        async with ingest_service() as service:
            raw = [(name.encode(), value) for name, value in names.items()]
            authorization = [(b"authorization", AUTHORIZED["authorization"].encode())]
            return await service.client.post("/api/v1/events", content=body, headers=authorization + raw)

    response = anyio.run(ask)
    assert response.status_code in {202, 400, 403, 415}


@given(count=st.integers(1, 12), data=st.data())
def test_a_batch_is_accepted_whole_or_its_bad_ones_are_listed(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, count - 1)))
    batch = [cloud_event(id=f"e{at}", type=5 if at in bad else "t") for at in range(count)]
    response, kept = _post(BATCHED, msgspec.json.encode(batch))
    if bad:
        assert [problem["index"] for problem in response.json()["errors"]] == sorted(bad)
        assert kept == []
    else:
        assert [msgspec.json.decode(value)["id"] for value in kept] == [f"e{at}" for at in range(count)]


@given(pieces=st.lists(st.binary(max_size=600), min_size=1, max_size=4))
def test_compression_changes_nothing(pieces: list[bytes]) -> None:
    text = "".join([piece.hex() for piece in pieces])
    document = msgspec.json.encode(cloud_event(data=text))
    _, plain = _post(STRUCTURED, document)
    for coding, packed in (("gzip", gzip.compress(document)), ("zstd", zstandard.compress(document))):
        _, kept = _post({**STRUCTURED, "content-encoding": coding}, packed)
        assert kept == plain


@given(ticks=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=30))
def test_receive_times_grow_whatever_the_clock_does(ticks: list[int]) -> None:
    clock = StoppedClock()
    times = ReceiveTimes(clock)
    seen = []
    for tick in ticks:
        clock.instant += tick
        seen.append(times.next())
    assert all(earlier < later for earlier, later in pairwise(seen))


@given(value=json_values, levels=st.integers(0, 6))
def test_depth_is_what_a_walk_finds(value: Json, levels: int) -> None:
    assert is_deeper(msgspec.json.encode(value), levels) == (_depth(value) > levels)


def _depth(value: Json) -> int:
    match value:
        case list():
            return 1 + max(map(_depth, value), default=0)
        case dict():
            return 1 + max(map(_depth, value.values()), default=0)
    return 0


@given(text=st.text(max_size=60))
def test_a_media_type_is_read_or_refused_without_fuss(text: str) -> None:
    media_type = parse(text)
    assert media_type is None or media_type.essence == media_type.essence.lower()
