"""How results are shown: a table, and the machine they are from."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table


def show(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Print `rows` under their keys, then the machine."""
    table = Table(*rows[0], title=title, box=box.MARKDOWN)
    for row in rows:
        table.add_row(*row.values())
    console = Console()
    if not console.is_terminal:
        console.width = 200  # nothing is cut where nobody's window bounds it
    console.print(table)
    console.print(machine(), markup=False, highlight=False)
    console.print(f"yardstick: {yardstick():.0f} ms", markup=False, highlight=False)


def machine() -> str:
    """Processor, cores, memory, system and Python in one line."""
    cpus = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    model = cpus[0].partition(":")[2].strip() if cpus else platform.processor() or platform.machine()
    kilobytes = next(
        (int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0
    )
    return (
        f"{len(cpus) or '?'} cores of {model}, {kilobytes / 2**20:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def yardstick() -> float:
    """Milliseconds that a bare loop takes now: shared machines are not always equally fast."""
    began = time.perf_counter()
    for _ in range(5_000_000):
        pass
    return (time.perf_counter() - began) * 1000


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
