"""A service of the distributed form as a process of its own, and the options that all of them have."""

from __future__ import annotations

from typing import Annotated

import typer
import uvloop

from meterhouse.commands.kafka import needing_kafka
from meterhouse.distributed.process import Place

Host = Annotated[str, typer.Option(envvar="METERHOUSE_HOST", help="The address to listen on.")]
Port = Annotated[int, typer.Option(envvar="METERHOUSE_PORT", min=0, max=65535, help="0 takes a free one.")]


def run_service(name: str, host: str, port: int) -> None:
    """Run it until SIGTERM."""
    service = needing_kafka(f"meterhouse.distributed.{name}")
    uvloop.run(service.serve(Place(host, port, lambda line: print(line, flush=True))))  # noqa: T201 - scripts wait for it
