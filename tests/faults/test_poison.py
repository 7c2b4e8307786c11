"""Another producer writes what is no event between good ones: it is set aside, and the partitions go on."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Final

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.control import MERCHANT
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.cloudevents_json import encode
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.domain.event import Event
from meterhouse.ports.log import LogRecord
from meterhouse.settings import KafkaSettings
from tests.faults.load import Load
from tests.faults.posting import create, metrics_of
from tests.running import run_cli, wait_for
from tests.servers.distributed import PARTITIONS, Distributed
from tests.servers.kafka import PATIENT

pytestmark = pytest.mark.faults

_KIND: Final = "fault.poison"
_PAUSE: Final = 0.3  # seconds between two requests of a client


def event(**members: object) -> bytes:
    """A good event, but for `members`."""
    good = {
        "specversion": "1.0",
        "id": "poison",
        "source": "/poison",
        "type": _KIND,
        "namespace": MERCHANT,
        "subject": "cus_1",
        "time": "2026-05-01T12:00:00Z",
    }
    return json.dumps(good | members).encode()


# What is no event, and a word of the reason.
_POISON: Final[Sequence[tuple[bytes | None, str]]] = (
    (None, "truncated"),
    (b"not JSON", "malformed"),
    (b"\xff\xfe", "utf-8"),
    (b"[]", "object"),
    (b"x" * 1_900_000, "malformed"),  # more than a letter holds
    (event(namespace=None), "namespace"),
    (event(specversion="0.3"), "specversion"),
    (event(id="a\0b"), "NUL"),
    (event(id="\ud800"), "surrogate"),
    (event(time="yesterday"), "time: is not"),
    (event(time="0001-01-01T00:00:00Z"), "time: lies outside the years"),
    (event(receivedat="yesterday"), "receivedat"),
    (event(data=json.loads("[" * 200 + "]" * 200)), "nested"),
)

# Events all the same, as odd as they may be.
_ODD: Final = (
    event(id="large", data="x" * 1_900_000),
    event(id="at the beginning of time", time=None),
    event(id="deep", data=json.loads("[" * 90 + "]" * 90)),
    event(id="extended", weather="sunny", answer=42),
)


async def write(distributed: Distributed) -> dict[str, str]:
    """Write all of it, to one partition after the other; the poison's places, with the reason's word."""
    topic = KafkaSettings().topic
    producer = AIOKafkaProducer(
        bootstrap_servers=distributed.environment["METERHOUSE_KAFKA"], max_request_size=1_950_000
    )
    places: dict[str, str] = {}
    try:
        await producer.start()
        for number, (value, word) in enumerate(_POISON):
            written = await producer.send_and_wait(topic, value, b"key", number % PARTITIONS)
            places[f"{written.partition}:{written.offset}"] = word
        written = await producer.send_and_wait(topic, event(), partition=0, timestamp_ms=-1)
        places[f"{written.partition}:{written.offset}"] = "receive time"
        for number, value in enumerate(_ODD):
            await producer.send_and_wait(topic, value, partition=number % PARTITIONS, timestamp_ms=0)
    finally:
        await producer.stop()
    return places


def listed(distributed: Distributed) -> dict[str, str]:
    """What `meterhouse deadletter list` shows: place → what it says of it."""
    shown = run_cli("deadletter", "list", "--limit", "1000", seconds=120, env=distributed.environment)
    assert shown.returncode == 0, shown.stderr
    return dict(re.findall(r"^(\d+:\d+)  (.*\n.*)$", shown.stdout, re.MULTILINE))


def requeue(distributed: Distributed, *places: str) -> tuple[dict[str, str], str]:
    """The places that `meterhouse deadletter requeue` gave them, and what it complained of."""
    done = run_cli("deadletter", "requeue", *places, seconds=120, env=distributed.environment)
    found = re.findall(r"^(\d+:\d+) is requeued as (\d+):(\d+)$", done.stdout, re.MULTILINE)
    return {place: f"{partition}:{int(end) - 1}" for place, partition, end in found}, done.stderr


async def put_mended(distributed: Distributed) -> str:
    """A letter that an earlier version left of an event that this one understands; its place."""
    servers = KafkaServers(bootstrap=distributed.environment["METERHOUSE_KAFKA"])
    now = SystemClock().now()
    mended = encode(Event(MERCHANT, "/poison", "mended", _KIND, now, now, "cus_1"))
    async with KafkaLog.open(servers, KafkaSettings().topic, SystemClock(), PATIENT) as log:
        await log.put(0, LogRecord(10**9, now, mended.value), "was not understood")
    return f"0:{10**9}"


def test_poison_is_set_aside_and_the_partitions_go_on(distributed: Distributed) -> None:
    with Load(distributed, pause=_PAUSE) as load, distributed.api() as api:
        metric = create(api, metrics_of(_KIND)["COUNT"])
        load.wait(1)
        places = asyncio.run(write(distributed))
        before = load.acknowledged
        wait_for(lambda: load.acknowledged > before + 100, "there are good events behind the poison")
        load.create_late()
        wait_for(lambda: api.total(metric) == len(_ODD), "every odd event is counted")
    load.assert_exact()
    letters = listed(distributed)
    for place, word in places.items():
        assert word in letters[place]

    whole = [place for place in places if "1900000 bytes" not in letters[place]]
    assert len(whole) == len(places) - 1
    again, complaint = requeue(distributed, *places)
    assert again.keys() == set(whole)
    assert "of 1900000 bytes" in complaint
    mended = asyncio.run(put_mended(distributed))
    requeued, complaint = requeue(distributed, mended)
    assert (list(requeued), complaint) == ([mended], "")
    distributed.check()  # it waits until all is counted
    letters = listed(distributed)
    for place, new in again.items():
        assert f"requeued as {new.split(':')[0]}:" in letters[place]
        assert places[place] in letters[new]
    with distributed.api() as api:
        assert api.total(metric) == len(_ODD) + 1
    assert all(map(distributed.runs, ("aggregator-1", "aggregator-2")))
