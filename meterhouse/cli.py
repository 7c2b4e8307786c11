"""The command line: which commands there are. Each is a module of its own, loaded when it is asked for."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_command

from meterhouse.adapters.data_folder import FolderInUse
from meterhouse.domain.errors import MeterhouseError
from meterhouse.settings import LogSettings, what_is_wrong
from meterhouse.telemetry.logs import configure_logs

# In the order of `--help`; each is the `app` of the module of that name in meterhouse.commands.
_NAMES: Final = (
    "dev",
    "ingest",
    "aggregator",
    "query",
    "demo",
    "check",
    "rebuild",
    "migrate",
    "provision",
    "keys",
    "backfill",
    "topics",
    "deadletter",
    "webhooks",
)


class _Modules(Mapping[str, Any]):
    """Typer's commands by name. To load them all takes two seconds, which `keys list` can do without."""

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        gc.disable()  # what a module makes stays for good: looking for garbage in it is a sixth of the time
        try:
            command = get_command(import_module(f"meterhouse.commands.{name}").app)
        finally:
            gc.enable()
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


class _Commands(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = _Modules()


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False)


@app.callback()
def meterhouse() -> None:
    """Usage metering: CloudEvents in, exact usage out."""


def main() -> None:
    """The entry point: a failure that has a name is one sentence, not a traceback."""
    try:
        configure_logs(LogSettings().level)
        app()
    except ValidationError as error:
        _fail(what_is_wrong(error), error)
    except (MeterhouseError, FolderInUse, OSError) as error:
        _fail(str(error), error)


def _fail(sentence: str, error: Exception) -> NoReturn:
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"meterhouse: {sentence}", style="red", markup=False, highlight=False)
    raise SystemExit(1) from error
