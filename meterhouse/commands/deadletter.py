"""`meterhouse deadletter`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from meterhouse.commands.kafka import needing_kafka
from meterhouse.settings import KafkaSettings

app = typer.Typer(
    help="Records on Kafka that could not be read as events.", no_args_is_help=True, add_completion=False
)


@app.command("list")
def list_letters(
    limit: Annotated[int, typer.Option(min=1, help="Show that many at most, the newest.")] = 100,
) -> None:
    """Show dead letters: where they lay, when and why they were set aside, and how they begin."""
    on_kafka = needing_kafka("meterhouse.commands.on_kafka")
    on_kafka.list_dead_letters(KafkaSettings(), Console(soft_wrap=True), limit)


@app.command()
def requeue(
    places: Annotated[
        list[str] | None, typer.Argument(help="Dead letters as `list` shows them, partition:offset.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every one that was not requeued yet.")] = False,
) -> None:
    """Send dead letters to the log again, once what made them unreadable is mended."""
    if bool(places) == all:
        raise typer.BadParameter("name dead letters as partition:offset, or give --all")
    on_kafka = needing_kafka("meterhouse.commands.on_kafka")
    on_kafka.requeue_dead_letters(KafkaSettings(), set(places or ()))
