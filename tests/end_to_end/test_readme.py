"""The README's lines, word for word but for the port and the metric's id."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.running import Server

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_readme_gives_the_usage_that_it_prints(tmp_path: Path) -> None:
    shell = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if block.startswith("curl")]
    (printed,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    with Server(tmp_path) as server:
        create_and_post, meter, look_up, unusable, dry_run = (
            block.replace("http://127.0.0.1:8080", server.url) for block in shell
        )
        metric, ingested = _json_lines(_run(create_and_post))
        id = str(metric["id"])
        assert ingested == {"object": "ingest", "accepted": 3, "position": "0:3"}
        assert _run(meter.replace("ID", id)) == printed.replace("ID", id).strip()
        (record,) = _json_lines(_run(look_up))
        assert (record["disposition"], record["repeats"]["count"]) == ("counted", 1)
        assert record["usage"][0]["billableMetricId"] == id
        (found,) = _json_lines(_run(unusable))
        assert found["data"] == []
        (tried,) = _json_lines(_run(dry_run))
        assert tried["data"][0]["identity"] == {"state": "first"}
        assert tried["data"][0]["metrics"][0]["reason"] == "the value is text that is not a number"


def _run(script: str) -> str:
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()


def _json_lines(text: str) -> list[dict[str, Any]]:
    decoder, values = json.JSONDecoder(), []
    while text:
        value, end = decoder.raw_decode(text)
        values.append(value)
        text = text[end:].lstrip()
    return values
