"""From the command to the ready line, and the memory of a server that does nothing.

`python -m benchmarks.startup [--runs N]`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.processes import cpu_seconds, resident_megabytes
from benchmarks.report import show
from tests.running import Server

_IDLE_SECONDS = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        _started(Path(folder) / "warm")  # compiled modules and a warm page cache
        fresh = [_started(Path(folder) / f"fresh{number}") for number in range(runs)]
        again = [_started(Path(folder) / "warm") for _ in range(runs)]
        memory, cpu = _idle(Path(folder) / "warm")
    show(
        "Start and rest",
        [
            {"what": "ready on a new folder, s", "median": _median(fresh), "worst": f"{max(fresh):.2f}"},
            {"what": "ready on an old folder, s", "median": _median(again), "worst": f"{max(again):.2f}"},
            {"what": "idle memory, MB", "median": f"{memory:.0f}", "worst": ""},
            {"what": "idle CPU, % of a core", "median": f"{cpu:.1f}", "worst": ""},
        ],
    )


def _started(data: Path) -> float:
    began = time.perf_counter()
    with Server(data) as server:
        ready = time.perf_counter() - began
        server.stop()
    return ready


def _idle(data: Path) -> tuple[float, float]:
    with Server(data) as server:
        time.sleep(_IDLE_SECONDS)
        before = cpu_seconds(server.process.pid)
        time.sleep(_IDLE_SECONDS)
        used = cpu_seconds(server.process.pid) - before
        return resident_megabytes(server.process.pid), used / _IDLE_SECONDS * 100


def _median(values: list[float]) -> str:
    return f"{sorted(values)[len(values) // 2]:.2f}"


if __name__ == "__main__":
    main()
