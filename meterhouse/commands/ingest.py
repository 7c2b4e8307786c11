"""`meterhouse ingest`."""

from __future__ import annotations

import typer

from meterhouse.commands.service import Host, Port, run_service

app = typer.Typer(add_completion=False)


@app.command()
def ingest(host: Host = "127.0.0.1", port: Port = 8081) -> None:
    """Run ingest as a process of its own: events over HTTP into the log on Kafka."""
    run_service("ingest", host, port)
