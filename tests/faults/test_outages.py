"""PostgreSQL and ClickHouse fail under load: ingest goes on, and what was acknowledged is counted once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from threading import Event
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

import pytest

from meterhouse.domain.block import Table
from tests.api import Api
from tests.cutting_proxy import BUSY, CuttingProxy
from tests.faults.load import Load
from tests.faults.posting import create, metrics_of
from tests.running import wait_for
from tests.servers.distributed import Distributed

pytestmark = pytest.mark.faults

_OUTAGE: Final = 10.0  # seconds of each kind
_PAUSE: Final = 0.3  # seconds between two requests of a client
_PASSED: Final = 100  # events, to see that ingest goes on
_SERVICES: Final = ("ingest-1", "ingest-2", "aggregator-1", "aggregator-2", "query-1")
_ASK_CLICKHOUSE: Final = ("aggregator-1", "aggregator-2", "query-1")
_BACKFILLED: Final = (Table.METERED_EVENTS, Table.ROLLUPS)

Answer = Callable[[], bytes]


def accepts_on(load: Load) -> None:
    """Ingest takes events, however long it takes it on a busy machine."""
    before = load.acknowledged
    wait_for(lambda: load.acknowledged > before + _PASSED, "ingest accepts events")


def refusals(load: Load) -> int:
    """How often any client was not answered with 202."""
    return sum(poster.retries for poster in load.posters)


def usage(api: Api, metric: str) -> tuple[int, Any]:
    """Status and body of one question for usage; a refusal must have the contract's shape."""
    period = {"from": "2026-04-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}
    response = api.client.get(f"/v0/billableMetrics/{metric}/meter", params=period)
    body = response.json()
    if response.status_code != 200:
        assert response.status_code == 503, response.text
        assert body["error"] == "unavailable"
        assert "try again" in body["message"]
        assert response.headers["retry-after"] == "1"
    return response.status_code, body


def refused(api: Api, metric: str) -> str:
    """Why usage is not answered now."""
    status, body = usage(api, metric)
    assert status == 503, body
    return str(body["message"])


def wait_until_asked(api: Api, metric: str) -> None:
    wait_for(lambda: usage(api, metric)[0] == 200, "usage is answered again")


def test_postgres_may_be_stopped_and_killed(distributed: Distributed) -> None:
    with Load(distributed, pause=_PAUSE) as load, distributed.api() as api:
        metric = create(api, metrics_of(load.kind)["COUNT"])
        for end in (distributed.stop, distributed.kill):
            accepts_on(load)
            end("postgres")
            assert "the catalog is not available" in refused(api, metric)
            with pytest.raises(AssertionError, match="the catalog is not available"):
                load.create_late()
            accepts_on(load)
            distributed.start("postgres")
            wait_until_asked(api, metric)
        load.create_late()
        accepts_on(load)
    assert refusals(load) == 0
    load.assert_exact()
    distributed.check()
    assert all(map(distributed.runs, _SERVICES))


@contextmanager
def proxied(distributed: Distributed) -> Iterator[CuttingProxy]:
    """Whoever asks ClickHouse does so through a proxy."""
    url = urlsplit(distributed.environment["METERHOUSE_CLICKHOUSE_URL"])
    with CuttingProxy(url.geturl()) as proxy:
        place = f"{url.netloc.rpartition('@')[0]}@{urlsplit(proxy.url).netloc}"
        for name in _ASK_CLICKHOUSE:
            distributed.stop(name)
            distributed.start(name, METERHOUSE_CLICKHOUSE_URL=url._replace(netloc=place).geturl())
        yield proxy
        for name in _ASK_CLICKHOUSE:
            distributed.kill(name)


def test_clickhouse_may_be_away_hang_and_be_slow(distributed: Distributed) -> None:
    random, over = Random(1), Event()

    def hang(_: bytes, __: Answer) -> bytes:
        over.wait(2 * _OUTAGE)
        return b""

    def crawl(_: bytes, __: Answer) -> None:
        time.sleep(random.uniform(0.2, 2.0))

    with proxied(distributed) as proxy, distributed.api() as api:
        with Load(distributed, pause=_PAUSE) as load:
            metric = create(api, metrics_of(load.kind)["COUNT"])

            def go_on(question: Callable[[Api, str], object]) -> None:
                """Ask, and change definitions, while the load goes on."""
                until = time.monotonic() + _OUTAGE
                load.create_late()
                while time.monotonic() < until:
                    accepts_on(load)
                    question(api, metric)

            accepts_on(load)
            with proxy.away():
                go_on(refused)
            wait_until_asked(api, metric)
            proxy.fault = hang
            go_on(refused)
            over.set()
            proxy.fault = crawl
            go_on(usage)
            go_on(usage)
            proxy.fault = None
            wait_until_asked(api, metric)
            accepts_on(load)
            assert refusals(load) == 0
        assert all(map(distributed.runs, _SERVICES))
        load.assert_exact()
        distributed.check()


def place_of(request: bytes) -> str:
    """The table that an INSERT is into, with "backfill:" before one of a backfill; else nothing."""
    line = unquote_plus(request.partition(b"\r\n")[0].decode())
    token = re.search(r"insert_deduplication_token\W+[\w-]{22}:([^:]+):[^:]+:(\w+):", line)
    if not line.startswith("POST") or token is None:
        return ""
    return f"backfill:{token[2]}" if "/" in token[1] else token[2]


def test_an_insert_whose_answer_was_lost_counts_once(distributed: Distributed) -> None:
    places = {*Table, *[f"backfill:{table}" for table in _BACKFILLED]}
    lost: set[str] = set()

    def lose(instead: bytes, request: bytes, ask: Answer) -> bytes | None:
        place = place_of(request)
        if place in lost | {""}:
            return None
        lost.add(place)
        assert ask().startswith(b"HTTP/1.1 200")
        return instead

    with proxied(distributed) as proxy:
        with Load(distributed, pause=_PAUSE) as load:
            for instead in (b"", BUSY):
                accepts_on(load)
                load.wait_until_counted()  # a backfill is of what was counted without its metric
                lost.clear()
                proxy.reset = instead == b""
                proxy.fault = partial(lose, instead)
                load.create_late()
                for place in places:
                    wait_for(partial(lost.__contains__, place), f"an answer for {place} was lost", 240)
            proxy.fault = None
            accepts_on(load)
        load.assert_exact()
        distributed.check()
