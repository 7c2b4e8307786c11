"""What deploy/Dockerfile builds, without a Docker engine: its own uv commands, in folders of the test's."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from tests.deploy.tools import ROOT, output_of

DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
_STAGE: Final = re.compile(r"(\S+) AS (\S+)")
_ENVIRONMENT: Final = re.compile(r"(\w+)=(\S+)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of the Dockerfile, and the stage that it belongs to."""

    stage: str
    word: str
    rest: str


def instructions() -> Sequence[Instruction]:
    """The Dockerfile, comments left out and continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    found, stage = [], ""
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, rest = line.split(maxsplit=1)
            if word == "FROM" and (match := _STAGE.fullmatch(rest)):
                stage = match.group(2)
            found.append(Instruction(stage, word, " ".join(rest.split())))
    return found


def chain(stage: str) -> Sequence[Instruction]:
    """All that `stage` is made of: the stage it begins with first."""
    own = [one for one in instructions() if one.stage == stage]
    begins_with = own[0].rest.split()[0]
    names = {one.stage for one in instructions()}
    return [*(chain(begins_with) if begins_with in names else ()), *own]


def environment(stage: str) -> dict[str, str]:
    """What ENV sets in `stage`."""
    return {
        name: value
        for one in chain(stage)
        if one.word == "ENV"
        for name, value in _ENVIRONMENT.findall(one.rest)
    }


def of_processes(stage: str) -> dict[str, str]:
    """The same for a process here: with this machine's PATH, and free to keep the bytecode it compiles."""
    ours = ("PATH", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in environment(stage).items() if name not in ours}


def sent_to_docker(path: str) -> bool:
    """Whether .dockerignore lets the path through: the last of its lines that matches says so."""
    parts = PurePosixPath(path)
    let = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!")
        if line[:1] not in ("", "#") and any(_is_meant(one, pattern) for one in (parts, *parts.parents)):
            let = line.startswith("!")
    return let


def _is_meant(place: PurePosixPath, pattern: str) -> bool:
    """A pattern begins at the top, or with **/ anywhere."""
    if pattern.startswith("**/"):
        return place.match(pattern.removeprefix("**/"))
    return len(place.parts) == pattern.count("/") + 1 and place.match(pattern)


def build(stage: str, folder: Path) -> Path:
    """Do what the stage does, in `folder`; the environment it makes. What was built before is built upon."""
    source, target = folder / "src", folder / "meterhouse"
    source.mkdir(parents=True, exist_ok=True)
    for one in chain(stage):
        match one.word:
            case "COPY" if "--from=" not in one.rest:
                *names, _ = one.rest.split()
                for name in names:
                    _copy(name, source)
            case "RUN":
                command = shlex.split(re.sub(r"--mount=\S+", "", one.rest))
                output_of(*command, cwd=source, env=_environment(stage, target))
    return target


def _environment(stage: str, target: Path) -> Mapping[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("METERHOUSE_", "VIRTUAL_"))
    }
    python = re.search(r"FROM python:(\d+\.\d+)", DOCKERFILE.read_text("utf-8"))
    assert python is not None
    ours = {"UV_PROJECT_ENVIRONMENT": str(target), "UV_PYTHON": python.group(1)}
    # What makes an image quick to start takes a minute here, and changes nothing that is looked at.
    hasty = {"UV_LINK_MODE": "hardlink", "UV_COMPILE_BYTECODE": "0"}
    return kept | environment(stage) | ours | hasty


def _copy(name: str, source: Path) -> None:
    for file in _files(ROOT / name):
        relative = file.relative_to(ROOT)
        if sent_to_docker(relative.as_posix()):
            (source / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, source / relative)


def _files(path: Path) -> Iterator[Path]:
    yield from [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
