"""What needs Kafka, whose driver is an extra: loaded by the commands that cannot do without."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import typer


def needing_kafka(module: str) -> ModuleType:
    """The module; raises BadParameter where the extra is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("aiokafka"):
            raise
        raise typer.BadParameter("this needs the extra: pip install 'meterhouse[kafka]'") from error
