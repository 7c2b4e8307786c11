"""Faults strike where they are placed, and only there."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Final

import pytest

from deploy.local.machine import is_halted
from tests.running import wait_for

_PASS: Final = """
import sys
from aggregator.fault import fault_of
for point in ("before:events", "planned", "planned", "planned"):
    fault_of(sys.argv[1])(point)  # as each worker of a process asks for it
    print(point, flush=True)
"""


@pytest.mark.parametrize(
    ("text", "passed"), [("", 4), ("planned:2", 2), ("planned:9", 4), ("before:events:1", 0)]
)
def test_a_fault_kills_at_that_passing_of_its_point(text: str, passed: int) -> None:
    command = [sys.executable, "-c", _PASS, text]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert len(done.stdout.splitlines()) == passed
    assert done.returncode == (0 if passed == 4 else -signal.SIGKILL)


def test_a_stopped_process_goes_on_when_it_is_continued() -> None:
    command = [sys.executable, "-c", _PASS, "planned:2:stop"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: is_halted(process.pid), "it stopped itself", seconds=60)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=60)
    assert len(out.splitlines()) == 4
    assert process.returncode == 0
