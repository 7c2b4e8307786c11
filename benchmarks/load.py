"""A load generator light enough to share two cores with what it measures: raw sockets, prepared requests.

`python -m benchmarks.load --port P …` prints one JSON object. It is a process of its own, so that its work
is not the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from typing import cast

import httptools
import uvloop

from benchmarks.report import percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send. `rate` is events per second over all connections; 0 sends as fast as answers come."""

    port: int
    connections: int = 64
    seconds: float = 10.0
    batch: int = 1
    rate: float = 0.0
    event_type: str = "load"
    key: str = "mh_dev"

    def lasting(self, seconds: float) -> Plan:
        """The same for that long."""
        return replace(self, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back; latencies in milliseconds, from sending a request to the end of its answer."""

    acknowledged: int
    refused: int
    seconds: float
    p50: float
    p99: float
    worst: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        return self.acknowledged / self.seconds


def run(plan: Plan) -> Outcome:
    """Carry out `plan` in a process of its own."""
    return finish(start(plan))


def start(plan: Plan) -> subprocess.Popen[str]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(plan).items()]
    command = [sys.executable, "-m", "benchmarks.load", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> Outcome:
    printed, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    return Outcome(**json.loads(printed))


@dataclass(slots=True)
class Tally:
    """What the connections have seen so far."""

    latencies: list[float] = field(default_factory=list)
    acknowledged: int = 0
    refused: int = 0


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request on its way at a time."""

    def __init__(self, requests: Iterator[bytes], plan: Plan, tally: Tally, ends_at: float) -> None:
        self._requests = requests
        self._plan = plan
        self._tally = tally
        self._ends_at = ends_at
        self._interval = plan.connections * plan.batch / plan.rate if plan.rate else 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self._due_at = time.perf_counter()
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.done = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._tally.latencies.append(now - self._sent_at)
        if self._parser.get_status_code() == 202:
            self._tally.acknowledged += self._plan.batch
        else:
            self._tally.refused += self._plan.batch
        if now >= self._ends_at:
            self._finish()
            return
        if self._interval:
            self._due_at += self._interval
            if self._due_at > now:
                self._loop.call_later(self._due_at - now, self._send)
                return
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(exc or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        assert self._transport is not None
        request = next(self._requests)
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def _finish(self, error: Exception | None = None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


def requests_of(plan: Plan, connection: int) -> Iterator[bytes]:
    """Requests whose ids no other connection and no other run uses."""
    prefix = f"{os.getpid()}-{time.time_ns():x}-{connection}"
    made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path, kind = "/v0/events", "application/json"
    if plan.batch > 1:
        path, kind = "/api/v1/events", "application/cloudevents-batch+json"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {plan.key}\r\nContent-Type: {kind}"
    )
    for first in count(step=plan.batch):
        events = [
            f'{{"type":"{plan.event_type}","source":"/load","subject":"cus_{number % 1000}",'
            f"{_identity(plan, f'{prefix}-{number}', made_at)},"
            f'"data":{{"tokens":{number % 4096},"model":"m{number % 5}","region":"eu"}}}}'
            for number in range(first, first + plan.batch)
        ]
        body = events[0] if plan.batch == 1 else f"[{','.join(events)}]"
        yield f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def _identity(plan: Plan, id: str, made_at: str) -> str:
    if plan.batch == 1:
        return f'"timestamp":"{made_at}","idempotencyKey":"{id}"'
    return f'"specversion":"1.0","time":"{made_at}","id":"{id}"'


async def _main(plan: Plan) -> Outcome:
    tally = Tally()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    connections = []
    for number in range(plan.connections):
        _, connection = await loop.create_connection(
            lambda number=number: Connection(requests_of(plan, number), plan, tally, began + plan.seconds),  # type: ignore[misc] # mypy does not type lambda defaults
            "127.0.0.1",
            plan.port,
        )
        connections.append(connection)
    await asyncio.gather(*[connection.done for connection in connections])
    seconds = time.perf_counter() - began
    milliseconds = [latency * 1000 for latency in tally.latencies]
    return Outcome(
        tally.acknowledged,
        tally.refused,
        seconds,
        percentile(milliseconds, 0.5),
        percentile(milliseconds, 0.99),
        max(milliseconds, default=0.0),
        sum(os.times()[:2]),
    )


def _parsed() -> Plan:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in asdict(Plan(port=0)).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return Plan(**vars(parser.parse_args()))


if __name__ == "__main__":
    gc.disable()  # its pauses would show up as the server's
    print(json.dumps(asdict(uvloop.run(_main(_parsed())))))
