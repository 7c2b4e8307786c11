"""An aggregator stops in the middle of a batch, another takes over, and then it goes on as if nothing was.

It still believes that the partitions are its own and that what it planned is to be inserted. What it then
sends is dropped for its token; or, where that is forgotten by now, is not sent at all, for its age. And the
catalog takes no progress from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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

GoOn = Callable[[Load], None]

# By what was seen that long ago nothing is inserted, since tokens may be forgotten.
_LOOK_AGE: Final = 4.0
_SHORT_MEMORY: Final = {
    "METERHOUSE_AGGREGATOR_TOKEN_MEMORY": f"PT{2 * _LOOK_AGE:g}S",
    "METERHOUSE_AGGREGATOR_SETTLE": "PT2S",
}
# All of the load: what else the zombie counted might be stopped between a check and its INSERT, and no rule
# helps one that sleeps there for longer than tokens are remembered (docs/guarantees.md).
_PARTITION: Final = 7


def test_a_zombie_whose_tokens_are_remembered_counts_nothing_twice(distributed: Distributed) -> None:
    def go_on(load: Load) -> None:
        load.wait_until_counted()
        before = _batches(distributed)
        wait_for(lambda: _batches(distributed) > before + 10, f"{_OTHER} counts on")

    with Load(distributed, clients=3, pause=1.0) as load:
        _halt(distributed, load, "planned", go_on)
        _halt_at_insert(distributed, load, Table.EVENTS, go_on, late=False)
        _halt_at_insert(distributed, load, Table.METERED_EVENTS, go_on, late=True)
    load.assert_exact()
    distributed.check()


def test_a_zombie_whose_tokens_are_forgotten_counts_nothing_twice(distributed: Distributed) -> None:
    def go_on(load: Load) -> None:
        _forget_tokens(distributed)  # of what the zombie inserted, so that only marks tell of it
        distributed.start(_OTHER, ready=True, **_SHORT_MEMORY)
        load.wait_until_counted()
        load.wait(_LOOK_AGE)
        _forget_tokens(distributed)  # of what the other inserted in its place
        assert distributed.runs(_ZOMBIE)

    with Load(distributed, clients=3, pause=1.0, partition=_PARTITION) as load:
        for point in ("planned", f"before:{Table.METERED_EVENTS}"):
            distributed.kill(_OTHER)
            _halt(distributed, load, point, go_on, **_SHORT_MEMORY)
            assert "LookTooOld" in distributed.words(_ZOMBIE)
        distributed.kill(_OTHER)
        _halt_at_insert(distributed, load, Table.METERED_EVENTS, go_on, late=False, **_SHORT_MEMORY)
        assert "LookTooOld" in distributed.words(_ZOMBIE)
    load.assert_exact()
    distributed.check()


def _halt(distributed: Distributed, load: Load, point: str, go_on: GoOn, **environment: str) -> None:
    """An aggregator stops at the point, and goes on when another has gone on for it."""
    distributed.kill(_ZOMBIE)
    distributed.start(_ZOMBIE, ready=False, METERHOUSE_FAULT=f"{point}:1:stop", **environment)
    distributed.wait_until_paused(_ZOMBIE)
    go_on(load)
    _wake(distributed, load)


def _halt_at_insert(
    distributed: Distributed, load: Load, table: Table, go_on: GoOn, *, late: bool, **environment: str
) -> None:
    """An aggregator stops when its INSERT has left, and goes on when another has gone on for it.

    The INSERT arrives at once, or `late`: only when the other has replayed the batch. It is one of a batch of
    its own: where it goes on for one that was killed, it asks before each INSERT whose the partition is.
    """
    caught, answered, taken_over = Event(), Event(), Event()

    def stop_sender(request: bytes, answer: Callable[[], bytes]) -> bytes | None:
        statement = unquote_plus(request[:2000].decode(errors="replace"))
        if caught.is_set() or f"INSERT INTO `default`.`{table}`" not in statement:
            return None
        if _is_replayed(distributed, statement):
            return None
        caught.set()
        distributed.pause(_ZOMBIE)
        if late:
            assert taken_over.wait(PATIENCE)
        response = answer()
        answered.set()
        return response

    parts = urlsplit(distributed.environment["METERHOUSE_CLICKHOUSE_URL"])
    with CuttingProxy(parts.geturl()) as proxy:
        proxy.fault = stop_sender
        login = parts.netloc.rpartition("@")[0]
        way = parts._replace(netloc=f"{login}@{urlsplit(proxy.url).netloc}").geturl()
        distributed.kill(_ZOMBIE)
        distributed.start(_ZOMBIE, ready=False, METERHOUSE_CLICKHOUSE_URL=way, **environment)
        assert caught.wait(PATIENCE), distributed.words(_ZOMBIE)
        assert late or answered.wait(PATIENCE)
        go_on(load)
        taken_over.set()
        assert answered.wait(PATIENCE)
        _wake(distributed, load)
        distributed.kill(_ZOMBIE)


def _is_replayed(distributed: Distributed, statement: str) -> bool:
    """Whether the INSERT is of a batch that the zombie found planned."""
    span = re.search(r":(\d+):(\d+)-(\d+):", statement)
    assert span is not None, statement
    replay = '"partition": {}, "first": {}, "last": {}, "event": "replaying"'.format(*span.groups())
    return replay in distributed.words(_ZOMBIE)


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


def _forget_tokens(distributed: Distributed) -> None:
    """Every table forgets which INSERTs it has met, as if its window had been too small for them."""
    client = clickhouse_connect.get_client(dsn=distributed.environment["METERHOUSE_CLICKHOUSE_URL"])
    with client:
        for table in Table:
            for window in (0, TOKEN_WINDOW):
                setting = f"non_replicated_deduplication_window = {window}"
                client.command(f"ALTER TABLE {table} MODIFY SETTING {setting}")
