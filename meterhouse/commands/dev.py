"""`meterhouse dev`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from meterhouse.commands.options import DEFAULT_DATA
from meterhouse.embedded import DevOptions, serve

app = typer.Typer(add_completion=False)


@app.command()
def dev(
    data: Annotated[
        Path, typer.Option("--data", envvar="METERHOUSE_DEV_DATA", help="The folder that keeps everything.")
    ] = DEFAULT_DATA,
    host: Annotated[
        str, typer.Option(envvar="METERHOUSE_DEV_HOST", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="METERHOUSE_DEV_PORT", min=0, max=65535, help="0 takes a free one.")
    ] = 8080,
    clickhouse_port: Annotated[
        int | None,
        typer.Option(
            envvar="METERHOUSE_DEV_CLICKHOUSE_PORT",
            min=0,
            max=65535,
            help="Also serve the tables read-only over ClickHouse's HTTP interface, on the loopback.",
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="METERHOUSE_DEV_API_KEY", help="The key of merchant org_dev; mh_dev on a loopback host."
        ),
    ] = None,
) -> None:
    """Run ingest, aggregator and query in one process."""
    options = DevOptions(
        data=data, host=host, port=port, clickhouse_port=clickhouse_port, api_key=api_key or None
    )
    uvloop.run(serve(options, lambda line: print(line, flush=True)))  # noqa: T201 - scripts wait for this line
