"""Processes that are found again by the name they were started under."""

from __future__ import annotations

import signal
from pathlib import Path

from deploy.local.units import Unit


def test_a_process_is_found_from_the_moment_it_was_launched_until_it_ended(tmp_path: Path) -> None:
    for number in range(100):  # a process in the middle of exec has no command to be known by
        unit = Unit(
            name=f"sleeper-{number}", command=["/bin/sleep", "60"], environment={}, port=1, folder=tmp_path
        )
        unit.launch()
        pid = unit.pid
        unit.end(signal.SIGKILL)
        assert pid is not None
        assert unit.pid is None
