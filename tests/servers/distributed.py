"""The distributed form of meterhouse, started once for all tests that break it or only use it.

Kafka, PostgreSQL, the ClickHouse stand-in, two ingest processes, two aggregators, query and a gateway, by
`deploy/local/ctl`. Tests kill, stop and restart what they like; what they leave behind is put right before
the next one. They share its tables, so each has an event type, a source and metrics of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest

from deploy.local.control import Installation, is_ready
from deploy.local.machine import halt, is_halted
from deploy.local.units import Unit
from tests.api import Api
from tests.running import PATIENCE, clean_environment, free_port, run_cli, wait_for

PARTITIONS: Final = 12
_START_SECONDS: Final = 60.0

# Silent for that long, an aggregator is taken for dead; and fewer, larger batches cost less. No INSERT of a
# test is on its way for more than half a minute, so that replays need not wait longer than that.
_SETTINGS: Final = {
    "METERHOUSE_AGGREGATOR_SETTLE": "PT40S",
    "METERHOUSE_KAFKA_SESSION_TIMEOUT": "PT2S",
    "METERHOUSE_AGGREGATOR_FLUSH_AGE": "PT0.5S",
}


def ctl(*arguments: str, folder: Path) -> str:
    """Run deploy/local/ctl to its end, which must be a good one."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local.control", *arguments, "--dir", str(folder)],
        env=clean_environment(_SETTINGS),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(slots=True)
class Distributed:
    """A running installation; its processes go by their names: `aggregator-1`, `postgres`, …

    Aggregators of any number may be started, of the other services those that are there from the start.
    """

    folder: Path
    _planned: Installation = field(init=False)
    _units: dict[str, Unit] = field(init=False)
    _altered: set[str] = field(init=False, default_factory=set)
    _ended: set[str] = field(init=False, default_factory=set)
    _pids: dict[str, int] = field(init=False, default_factory=dict)
    _silent_until: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._planned = Installation.load(self.folder)
        self._units = {one.name: one for one in self._planned.units}

    @property
    def environment(self) -> Mapping[str, str]:
        """What `up` left for whoever wants to use the installation."""
        return self._planned.left

    @property
    def url(self) -> str:
        """The gateway's address, which has all routes."""
        return self.environment["METERHOUSE_URL"]

    @property
    def key(self) -> str:
        return self.environment["METERHOUSE_KEY"]

    def address(self, name: str) -> str:
        """Where that one process answers."""
        return f"http://127.0.0.1:{self._unit(name).port}"

    def api(self) -> Api:
        """Calls through the gateway."""
        return Api(self.url, self.key)

    # --- processes ---

    def runs(self, name: str) -> bool:
        """Whether there is such a process, stopped ones included."""
        if name == "postgres":
            return self._planned.postgres.pid is not None
        return self._unit(name).pid is not None

    def start(self, name: str, *, ready: bool = True, **environment: str) -> None:
        """Start it, with that beside its environment, and return once it serves if it is to be `ready`."""
        if name == "postgres":
            self._planned.postgres.start()
            return
        unit = self._unit(name)
        assert unit.pid is None, f"{name} runs already"
        if environment:
            self._altered.add(name)
        else:
            self._altered.discard(name)
        altered = replace(unit, environment={**unit.environment, **_SETTINGS, **environment})
        self._silent_until[name] = unit.output.stat().st_size if unit.output.exists() else 0
        self._pids[name] = altered.launch()
        self._ended.discard(name)
        if ready:
            unit.wait_until(is_ready, _START_SECONDS)

    def kill(self, name: str) -> None:
        """SIGKILL; returns once it is gone."""
        if name == "postgres":
            self._planned.postgres.kill()
        else:
            self._end(name, signal.SIGKILL)

    def stop(self, name: str) -> None:
        """SIGTERM; returns once it is gone."""
        if name == "postgres":
            self._planned.postgres.stop()
        else:
            self._end(name, signal.SIGTERM)

    def _end(self, name: str, how: signal.Signals) -> None:
        self._unit(name).end(how)
        self._over(name)

    def _over(self, name: str) -> None:
        """It ended as a test meant it to."""
        self._altered.discard(name)
        self._ended.add(name)

    def pause(self, name: str) -> None:
        """SIGSTOP: its connections stay open, and nobody answers any more once this returns."""
        self._altered.add(name)
        halt(self._pid(name))

    def resume(self, name: str) -> None:
        """SIGCONT."""
        os.kill(self._pid(name), signal.SIGCONT)

    def wait_until_paused(self, name: str) -> None:
        """Return once something has stopped it."""
        wait_for(lambda: is_halted(self._pid(name)), f"{name} is paused")

    def wait_until_killed(self, name: str, seconds: float = PATIENCE) -> None:
        """Return once it has died of a SIGKILL; it must be one that `start` started."""
        pid = self._pids.pop(name)
        deadline = time.monotonic() + seconds
        while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < deadline, f"{name} runs on:\n{self.words(name)}"
            time.sleep(0.02)
        self._over(name)
        status = os.waitstatus_to_exitcode(ended[1])
        assert status == -signal.SIGKILL, f"{name} ended with {status}:\n{self.words(name)}"

    def words(self, name: str) -> str:
        """What it has said since it was started, the last of it."""
        said = self._unit(name).output.read_bytes()[self._silent_until.get(name, 0) :]
        return said[-20_000:].decode(errors="replace")

    def _unit(self, name: str) -> Unit:
        if name not in self._units:
            assert name.startswith("aggregator-")
            port = free_port()
            first = self._units["aggregator-1"]
            command = [str(port) if part == str(first.port) else part for part in first.command]
            self._units[name] = replace(first, name=name, port=port, command=command)
        return self._units[name]

    def _pid(self, name: str) -> int:
        pid = self._unit(name).pid
        assert pid is not None, f"{name} does not run:\n{self.words(name)}"
        return pid

    # --- all of it ---

    def put_right(self) -> None:
        """Everything runs as it did at first, and nothing else does."""
        first = {one.name for one in self._planned.units}
        for name, unit in self._units.items():
            if unit.pid is not None and (name in self._altered or name not in first):
                self.kill(name)
        self._planned.postgres.start()
        for name in first:
            if self._unit(name).pid is None:
                self.start(name)

    def assert_none_crashed(self) -> None:
        """Every process runs but those that a test ended, or started with a fault that ends it."""
        expected = self._units.keys() - self._ended - self._altered
        crashed = [name for name in expected if not self.runs(name)]
        told = [f"{name} ended by itself{self._status(name)}:\n{self.words(name)}" for name in crashed]
        assert not crashed, "\n".join(told)

    def _status(self, name: str) -> str:
        """How it ended, where we started it ourselves."""
        try:
            _, status = os.waitpid(self._pids[name], os.WNOHANG)
        except (KeyError, ChildProcessError):
            return ""
        return f" with {os.waitstatus_to_exitcode(status)}"

    def check(self) -> None:
        """`meterhouse check` must find nothing."""
        checked = run_cli("check", seconds=300, env=self.environment)
        assert checked.returncode == 0, checked.stdout + checked.stderr

    def end(self) -> None:
        """Kill every process; nobody needs the data again."""
        for unit in self._units.values():
            unit.end(signal.SIGKILL)
        self._planned.postgres.kill()


@pytest.fixture(scope="session")
def started() -> Iterator[Distributed]:
    """The one installation of the whole run; tests take `distributed`."""
    folder = Path(tempfile.mkdtemp(prefix="meterhouse-local-"))  # pytest's are removed by other runs of it
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        stack.callback(_end, folder)
        ctl("up", "--partitions", str(PARTITIONS), folder=folder)
        running = Distributed(folder)
        stack.callback(running.end)
        yield running
        running.put_right()
        ctl("down", folder=folder)
        assert not running.runs("postgres")
        assert not [one.name for one in Installation.load(folder).units if one.pid is not None]


def _end(folder: Path) -> None:
    """Whatever came up of an installation that did not come up as a whole."""
    if (folder / "plan.json").exists():
        Distributed(folder).end()


@pytest.fixture
def distributed(started: Distributed) -> Iterator[Distributed]:
    """The installation with everything running."""
    started.put_right()
    yield started
    started.assert_none_crashed()
