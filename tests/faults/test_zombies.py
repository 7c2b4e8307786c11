"""An aggregator stops in the middle of a batch, another takes over, and then it goes on as if nothing was.

It still believes that the partitions are its own and that what it planned is to be inserted. What it then
sends is dropped for its token; or, where that is forgotten by now, is not sent at all, for its age. And the
catalog takes no progress from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final
from urllib.parse import unquote_plus, urlsplit

import clickhouse_connect
import httpx
import pytest

from meterhouse.adapters.clickhouse.tables import TOKEN_WINDOW
from meterhouse.domain.block import Table
from tests.cutting_proxy import CuttingProxy
from tests.faults.load import Load
from tests.running import PATIENCE, wait_for
from tests.servers.distributed import Distributed

pytestmark = pytest.mark.faults

_ZOMBIE: Final = "aggregator-1"
_OTHER: Final = "aggregator-2"

# So few tokens are forgotten after a second of load; and by what was seen that long ago nothing is inserted.
_FEW_TOKENS: Final = 5
_LOOK_AGE: Final = 4.0
_OLD_LOOKS: Final = {
    "METERHOUSE_AGGREGATOR_TOKEN_MEMORY": f"PT{2 * _LOOK_AGE:g}S",
    "METERHOUSE_AGGREGATOR_SETTLE": "PT2S",
}

GoOn = Callable[[Distributed, Load], None]


def test_a_zombie_whose_tokens_are_remembered_counts_nothing_twice(distributed: Distributed) -> None:
    with Load(distributed, clients=3, pause=1.0) as load:
        _halt(distributed, load, "planned", _go_on_a_little)
        _halt_at_insert(distributed, load, Table.EVENTS, _go_on_a_little, late=False)
        _halt_at_insert(distributed, load, Table.METERED_EVENTS, _go_on_a_little, late=True)
        _halt_at_insert(distributed, load, Table.ROLLUPS_HOUR, _go_on_a_little, late=True)
    load.assert_exact()
    distributed.check()


def test_a_zombie_whose_tokens_are_forgotten_counts_nothing_twice(distributed: Distributed) -> None:
    distributed.kill(_OTHER)
    distributed.start(_OTHER, ready=True, **_OLD_LOOKS)
    with _few_tokens(distributed), Load(distributed, clients=3, pause=1.0) as load:
        for point in ("planned", f"before:{Table.METERED_EVENTS}"):
            _halt(distributed, load, point, _go_on_till_tokens_are_forgotten, **_OLD_LOOKS)
            assert "LookTooOld" in distributed.words(_ZOMBIE)
        _halt_at_insert(
            distributed,
            load,
            Table.METERED_EVENTS,
            _go_on_till_tokens_are_forgotten,
            late=False,
            **_OLD_LOOKS,
        )
        distributed.kill(_ZOMBIE)
        load.wait_until_counted()
    load.assert_exact()
    distributed.check()


def _halt(distributed: Distributed, load: Load, point: str, go_on: GoOn, **environment: str) -> None:
    """An aggregator stops at the point, and goes on when another has gone on for it."""
    distributed.kill(_ZOMBIE)
    distributed.start(_ZOMBIE, ready=False, METERHOUSE_FAULT=f"{point}:1:stop", **environment)
    distributed.wait_until_paused(_ZOMBIE)
    go_on(distributed, load)
    _wake(distributed, load)


def _halt_at_insert(
    distributed: Distributed, load: Load, table: Table, go_on: GoOn, *, late: bool, **environment: str
) -> None:
    """An aggregator stops when its INSERT has left, and goes on when another has gone on for it.

    The INSERT arrives at once, or `late`: only when the other has replayed the batch.
    """
    caught, taken_over = Event(), Event()

    def stop_sender(request: bytes, answer: Callable[[], bytes]) -> bytes | None:
        statement = unquote_plus(request[:2000].decode(errors="replace"))
        if caught.is_set() or f"INSERT INTO `default`.`{table}`" not in statement:
            return None
        caught.set()
        distributed.pause(_ZOMBIE)
        if late:
            assert taken_over.wait(PATIENCE)
        return answer()

    parts = urlsplit(distributed.environment["METERHOUSE_CLICKHOUSE_URL"])
    with CuttingProxy(parts.geturl()) as proxy:
        proxy.fault = stop_sender
        login = parts.netloc.rpartition("@")[0]
        way = parts._replace(netloc=f"{login}@{urlsplit(proxy.url).netloc}").geturl()
        distributed.kill(_ZOMBIE)
        distributed.start(_ZOMBIE, ready=False, METERHOUSE_CLICKHOUSE_URL=way, **environment)
        assert caught.wait(PATIENCE), distributed.words(_ZOMBIE)
        distributed.wait_until_paused(_ZOMBIE)
        go_on(distributed, load)
        taken_over.set()
        _wake(distributed, load)
        distributed.kill(_ZOMBIE)


def _go_on_a_little(distributed: Distributed, load: Load) -> None:
    """Return when the other has counted all that was posted by now, and some more."""
    _go_on(distributed, load, batches=10)


def _go_on_till_tokens_are_forgotten(distributed: Distributed, load: Load) -> None:
    """Return when the other has counted so many batches more that no table remembers a token of today."""
    load.wait(_LOOK_AGE + 0.5)
    _go_on(distributed, load, batches=8 * _FEW_TOKENS)


def _go_on(distributed: Distributed, load: Load, batches: int) -> None:
    load.wait_until_counted()
    before = _batches(distributed)
    wait_for(lambda: _batches(distributed) > before + batches, f"{_OTHER} counts on")


def _batches(distributed: Distributed) -> int:
    """How many the other aggregator has counted."""
    shown = httpx.get(f"{distributed.address(_OTHER)}/metrics", timeout=30).text
    found = re.search(r"^meterhouse_aggregator_batch_events_count (\S+)$", shown, re.MULTILINE)
    assert found is not None, shown
    return int(float(found[1]))


def _wake(distributed: Distributed, load: Load) -> None:
    """Let the zombie go on until it has learnt that the world went on without it."""
    assert not _gave_up(distributed)
    distributed.resume(_ZOMBIE)
    wait_for(lambda: _gave_up(distributed), f"{_ZOMBIE} gives up what it was about")
    load.wait_until_counted()


def _gave_up(distributed: Distributed) -> bool:
    return any(f'"{reason}"' in distributed.words(_ZOMBIE) for reason in ("Fenced", "LookTooOld"))


@contextmanager
def _few_tokens(distributed: Distributed) -> Iterator[None]:
    """Every table remembers the tokens of only so many INSERTs, until the end."""
    _remember(distributed, _FEW_TOKENS)
    try:
        yield
    finally:
        _remember(distributed, TOKEN_WINDOW)


def _remember(distributed: Distributed, tokens: int) -> None:
    client = clickhouse_connect.get_client(dsn=distributed.environment["METERHOUSE_CLICKHOUSE_URL"])
    with client:
        for table in Table:
            client.command(
                f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = {tokens}"
            )
