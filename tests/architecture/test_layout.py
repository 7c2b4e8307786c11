"""Rules about the code itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("meterhouse", "ingest", "aggregator", "query", "notifier")
_BANNED: Final = {
    "utils",
    "util",
    "common",
    "helpers",
    "helper",
    "core",
    "base",
    "managers",
    "manager",
    "services",
}

# Where numbers of events are handled; elsewhere a float may be a duration in seconds.
_VALUE_CODE: Final = (
    "meterhouse/domain",
    "meterhouse/adapters/cloudevents_json.py",
    "ingest",
    "aggregator",
    "query",
    "notifier",
)
# A float that is a duration says so in its name.
_SECONDS: Final = re.compile(
    r"second|waited|clock|now|_at$|age|settle|jitter|sleep|timeout|backoff|wait|deadline", re.I
)


def _modules(*places: str) -> list[Path]:
    found: list[Path] = []
    for place in places:
        path = _ROOT / place
        found += [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
    assert found
    return found


def test_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_package_markers_are_empty() -> None:
    markers = [path for path in _modules(*_PACKAGES, "tests") if path.name == "__init__.py"]
    assert [str(path) for path in markers if path.stat().st_size] == []


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in _modules(*_PACKAGES, "tests", "benchmarks")}
    migrations = {folder for folder in folders if "migrations" in folder.parts or "versions" in folder.parts}
    assert [str(one) for one in folders - migrations if not (one / "__init__.py").exists()] == []


def test_no_module_is_named_for_nothing() -> None:
    names = [path for path in _modules(*_PACKAGES) if {path.stem, path.parent.name} & _BANNED]
    assert names == []


def test_modules_stay_readable() -> None:
    long = {str(path.relative_to(_ROOT)): _lines(path) for path in _modules(*_PACKAGES) if _lines(path) > 500}
    assert long == {}


def _lines(path: Path) -> int:
    return path.read_text("utf-8").count("\n")


@pytest.mark.parametrize("path", _modules(*_VALUE_CODE), ids=lambda path: str(path.relative_to(_ROOT)))
def test_no_float_touches_a_value(path: Path) -> None:
    assert list(_floats(ast.parse(path.read_text("utf-8")))) == []


def _floats(tree: ast.Module) -> Iterator[str]:
    """Every `float(...)` call, and every float annotation or default whose name is not of a duration."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="float")):
                yield f"line {node.lineno}: float(...)"
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if node.returns and _says_float(node.returns) and not _SECONDS.search(node.name):
                    yield f"line {node.lineno}: {node.name} returns float"
            case ast.arg(arg=name, annotation=annotation) if annotation and _says_float(annotation):
                if not _SECONDS.search(name):
                    yield f"line {node.lineno}: {name} is a float"
            case ast.AnnAssign(target=target, annotation=annotation) if _says_float(annotation):
                if not _SECONDS.search(ast.unparse(target)):
                    yield f"line {node.lineno}: {ast.unparse(target)} is a float"


def _says_float(annotation: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "float" for part in ast.walk(annotation))


def test_no_import_hides_inside_a_function() -> None:
    hidden = [
        f"{path.relative_to(_ROOT)}:{node.lineno}"
        for path in _modules(*_PACKAGES)
        for outer in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(outer)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_only_settings_and_entry_points_read_the_environment() -> None:
    allowed = {"meterhouse/settings.py", "meterhouse/cli.py"}
    readers = [
        str(path.relative_to(_ROOT))
        for path in _modules(*_PACKAGES)
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text("utf-8"))
    ]
    assert set(readers) <= allowed


def test_every_test_that_the_guarantees_name_exists() -> None:
    text = (_ROOT / "docs" / "guarantees.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert named, "docs/guarantees.md names no tests"
    missing = [f"{file}::{name}" for file, name in named if name not in _functions(_ROOT / file)]
    assert missing == []


def _functions(path: Path) -> set[str]:
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
