"""The examples of docs/queries.md, word for word but for the port, the metric's id, and what is written as ….

An answer may have more fields than the page shows of it, but no more items in a list.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Server

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text()
SETUP, *EXAMPLES = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
PAIRS = list(zip(EXAMPLES[::2], EXAMPLES[1::2], strict=True))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The server's address, and the metric's id."""
    with Server(tmp_path_factory.mktemp("queries")) as server:
        answers = _run(SETUP[1], server.url, "")
        metric, end = json.JSONDecoder().raw_decode(answers)
        assert json.loads(answers[end:])["accepted"] == 7
        yield server.url, str(metric["id"])


@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_an_example_answers_what_the_page_says(asked: tuple[str, str], number: int) -> None:
    (language, script), (form, shown) = PAIRS[number]
    assert language == "sh"
    url, id = asked
    answer = _run(script, url, id)
    if form == "csv":
        assert answer.replace("\r\n", "\n").strip() == shown.strip()
    else:
        assert form == "json"
        assert _fits(json.loads(shown.replace('"ID"', f'"{id}"')), json.loads(answer)), answer


def _run(script: str, url: str, id: str) -> str:
    script = script.replace("http://127.0.0.1:8080", url)
    script = re.sub(r"\bID\b", id, script) if id else script
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def _fits(shown: Any, answer: Any) -> bool:
    if shown == "…":
        return answer is not None
    if isinstance(shown, dict):
        return isinstance(answer, dict) and all(
            name in answer and _fits(value, answer[name]) for name, value in shown.items()
        )
    if isinstance(shown, list):
        return isinstance(answer, list) and len(answer) == len(shown) and all(map(_fits, shown, answer))
    return type(shown) is type(answer) and bool(shown == answer)
