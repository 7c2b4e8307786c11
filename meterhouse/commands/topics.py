"""`meterhouse topics`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from meterhouse.commands.kafka import needing_kafka
from meterhouse.settings import KafkaSettings

app = typer.Typer(
    help="The log's topics on Kafka; METERHOUSE_KAFKA says where.", no_args_is_help=True, add_completion=False
)


@app.command()
def create(
    partitions: Annotated[int, typer.Option(min=1, help="The most aggregators that share the work.")] = 12,
    replicas: Annotated[int, typer.Option(min=1, help="Brokers that hold each partition.")] = 3,
    min_insync: Annotated[int, typer.Option(min=1, help="Of them, those that must have an event.")] = 2,
    retention_days: Annotated[
        int | None, typer.Option(min=7, help="Delete older records; without it nothing is deleted.")
    ] = None,
) -> None:
    """Make the topics of events and dead letters with the settings that the guarantees need."""
    needing_kafka("meterhouse.commands.on_kafka").create_topics(
        KafkaSettings(),
        partitions=partitions,
        replicas=replicas,
        min_insync=min_insync,
        retention_days=retention_days,
    )


@app.command()
def describe() -> None:
    """Show the topics; exit 1 and say what to do where a setting breaks a guarantee."""
    on_kafka = needing_kafka("meterhouse.commands.on_kafka")
    if not on_kafka.describe_topics(KafkaSettings(), Console(soft_wrap=True)):
        raise typer.Exit(1)
