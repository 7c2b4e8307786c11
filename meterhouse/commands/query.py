"""`meterhouse query`."""

from __future__ import annotations

import typer

from meterhouse.commands.service import Host, Port, run_service

app = typer.Typer(add_completion=False)


@app.command()
def query(host: Host = "127.0.0.1", port: Port = 8083) -> None:
    """Run query as a process of its own: the API over ClickHouse and the catalog."""
    run_service("query", host, port)
