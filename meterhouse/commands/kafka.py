"""What needs Kafka, whose driver is an extra: loaded by the commands that cannot do without."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Annotated

import typer
import uvloop

from meterhouse.distributed.process import Place

Host = Annotated[str, typer.Option(envvar="METERHOUSE_HOST", help="The address to listen on.")]
Port = Annotated[int, typer.Option(envvar="METERHOUSE_PORT", min=0, max=65535, help="0 takes a free one.")]


def needing_kafka(module: str) -> ModuleType:
    """The module; raises BadParameter where the extra is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("aiokafka"):
            raise
        raise typer.BadParameter("this needs the extra: pip install 'meterhouse[kafka]'") from error


def run_service(name: str, host: str, port: int) -> None:
    """Run it as a process of its own until SIGTERM."""
    service = needing_kafka(f"meterhouse.distributed.{name}")
    uvloop.run(service.serve(Place(host, port, lambda line: print(line, flush=True))))  # noqa: T201 - scripts wait for it
