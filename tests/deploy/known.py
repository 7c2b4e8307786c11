"""What the environment and the command line may say: as meterhouse itself declares it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_settings import BaseSettings
from typer.main import get_command

from meterhouse import settings
from meterhouse.cli import app


def known_variables() -> frozenset[str]:
    """Every environment variable that a setting or an option of a command is read from."""
    return frozenset([*_of_settings(), *_of_options(get_command(app))])


def _of_settings() -> Iterator[str]:
    for kind in vars(settings).values():
        if isinstance(kind, type) and issubclass(kind, BaseSettings):
            prefix = kind.model_config.get("env_prefix", "")
            for name, field in kind.model_fields.items():
                alias = field.validation_alias
                yield alias if isinstance(alias, str) else f"{prefix}{name}".upper()


def _of_options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.envvar:
            yield parameter.envvar
    for inner in getattr(command, "commands", {}).values():
        yield from _of_options(inner)


def parse(arguments: Sequence[str]) -> str:
    """The command that `meterhouse ARGUMENTS` runs, such as "topics create"; raises where it is none."""
    command: Any = get_command(app)
    names, rest = [], list(arguments)
    while hasattr(command, "commands"):
        name = rest.pop(0)
        command = command.commands[name]
        names.append(name)
    command.make_context(name, rest).close()
    return " ".join(names)


def commands_of_script(script: str) -> list[str]:
    """The commands of a shell script in which every line is one of meterhouse's."""
    lines = [shlex.split(line) for line in script.splitlines() if line.strip()]
    assert all(line[0] == "meterhouse" for line in lines), script
    return [parse(line[1:]) for line in lines]
