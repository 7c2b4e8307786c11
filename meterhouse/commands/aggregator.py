"""`meterhouse aggregator`."""

from __future__ import annotations

import typer

from meterhouse.commands.service import Host, Port, run_service

app = typer.Typer(add_completion=False)


@app.command()
def aggregator(host: Host = "127.0.0.1", port: Port = 8082) -> None:
    """Run an aggregator as a process of its own: from the log on Kafka into ClickHouse."""
    run_service("aggregator", host, port)
