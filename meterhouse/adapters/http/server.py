"""HTTP servers among the tasks of a process, and how such a process starts and stops."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

# Whoever asks us over kept connections is to close them first, since a request that meets our closing is lost
# to its sender: most load balancers keep an idle one for 60 s.
_IDLE_SECONDS: Final = 75

# What goes on beside the servers until the event is set; it finishes what it is in the middle of.
Work = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


def quiet(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """Uvicorn's settings for `app`, with `options` beside: no log and no layer of its own."""
    return uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_config=None,
        http="httptools",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        **options,
    )


class Server(uvicorn.Server):
    """Uvicorn on a socket that listens already, leaving signals to us."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        super().__init__(quiet(app, timeout_keep_alive=_IDLE_SECONDS))
        self.listener = listener
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def spare_the_collector() -> None:
    """Keep Python's garbage collector from work that finds nothing.

    What lives as long as the process need not be walked by every collection, and a batch of tens of
    thousands of live tuples is no sign of garbage (docs/benchmarks.md has the ratios).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def share_the_interpreter() -> None:
    """Let requests be answered promptly while batches are folded, or answers read, in threads beside them.

    A request waits for the interpreter lock one switch interval at a time, and 5 ms each is most of its
    latency. A process that answers no requests is better off with the interval as it is.
    """
    sys.setswitchinterval(0.0005)


async def serve_until_stopped(
    servers: Sequence[Server],
    ready: Callable[[], None],
    work: Iterable[Work] = (),
) -> None:
    """Run the servers, and `work` beside them, until SIGTERM or SIGINT; then both finish what they began.

    `ready` is called once every server listens. The first failure of any of them stops the others and is
    raised.
    """
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            for one in work:
                tasks.create_task(one(stop))
            for server in servers:
                tasks.create_task(server.serve(sockets=[server.listener]))
            with _stopped_by_signals(stop):
                for server in servers:
                    await server.listening.wait()
                ready()
                await stop.wait()
                for server in servers:
                    server.should_exit = True
    except ExceptionGroup as group:
        first: Exception = group  # the first failure is why the others were stopped
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from group


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT ask for a stop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=2048) as listener:
        yield listener


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
