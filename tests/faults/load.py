"""Clients that post to the distributed installation while a test breaks parts of it, and their ledger."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from tests.faults.posting import (
    CLIENTS,
    Poster,
    assert_exact,
    create,
    late_of,
    metrics_of,
    wait_until_counted,
)
from tests.servers.distributed import Distributed

_FINISH_SECONDS: Final = 150  # a client insists for two minutes at most


class Load:
    """Posts from entering until leaving, with an event type, a source and metrics of its own.

    Clients give up nothing: on leaving, every event that one of them sent was acknowledged. `pause` bounds
    the seconds between two requests of a client; all of them may post to one `partition` alone.
    """

    def __init__(
        self,
        distributed: Distributed,
        *,
        clients: int = CLIENTS,
        pause: float = 0.05,
        partition: int | None = None,
    ) -> None:
        self.kind: Final = f"fault.{uuid4().hex[:12]}"
        self._distributed = distributed
        self._over = Event()
        url, key = distributed.url, distributed.key
        self.posters: Final = [
            Poster(number, url, self._over, self.kind, key, pause, partition) for number in range(clients)
        ]
        self._threads = ThreadPoolExecutor(clients)
        self._running: list[Future[None]] = []
        self._ids: dict[str, str] = {}
        self._late: list[str] = []

    @property
    def acknowledged(self) -> int:
        """How many events are safe so far, repeats among them."""
        return sum(len(poster.acknowledged) for poster in self.posters)

    def wait(self, seconds: float) -> None:
        """Let it go on for so long; raises what a client has met."""
        self._over.wait(seconds)
        for one in self._running:
            if one.done():
                one.result()

    def create_late(self) -> str:
        """Create one metric more, for which all that was posted so far is counted in arrears."""
        with self._distributed.api() as api:
            self._late.append(create(api, late_of(self.kind)))
        return self._late[-1]

    def wait_until_counted(self) -> None:
        """Return once all that is acknowledged by now is counted, while the load goes on."""
        with self._distributed.api() as api:
            wait_until_counted(api, self._ids["SUM"], self.posters)

    def assert_exact(self) -> None:
        """The ledger, once the load is over; waits until all of it is counted."""
        with self._distributed.api() as api:
            assert_exact(api, self._ids, self._late, self.posters)

    def __enter__(self) -> Self:
        with self._distributed.api() as api:
            self._ids = {name: create(api, metric) for name, metric in metrics_of(self.kind).items()}
        self._running = [self._threads.submit(poster.run) for poster in self.posters]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        try:
            for one in self._running:
                one.result(_FINISH_SECONDS if kind is None else None)
        finally:
            self._threads.shutdown()
