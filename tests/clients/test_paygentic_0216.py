"""The client of June 2026, which calls some operations differently, in an environment of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.clients.conftest import Running
from tests.running import clean_environment


def test_the_older_client_gets_every_answer_it_expects(server: Running, old_python: Path) -> None:
    script = Path(__file__).with_name("paygentic_0216.py")
    done = subprocess.run(
        [str(old_python), str(script), server.url, server.key],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
