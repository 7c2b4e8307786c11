"""Processes that are found again by the name they were started under."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local.control import Installation
from deploy.local.kafka import KafkaNotStarted, fetch_jars, start_cluster
from deploy.local.machine import end, free_ports, halt, listens, state_of
from deploy.local.units import NotStarted, Unit
from tests.running import free_port


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


def test_a_port_that_was_chosen_is_nobody_else_s_meanwhile() -> None:
    """A server that takes long to start, or came back from a restart, would find it taken."""
    connections = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    first, last = map(int, connections.split())
    choose = [sys.executable, "-c", "from deploy.local.machine import free_ports; print(*free_ports(50))"]
    others = [subprocess.Popen(choose, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    chosen = [free_port() for _ in range(50)] + free_ports(50)
    for other in others:
        chosen += map(int, other.communicate(timeout=60)[0].split())
    assert len(chosen) == len(set(chosen)) == 250
    assert not [port for port in chosen if first <= port <= last]


def test_who_listens_on_its_port_is_not_taken_for_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        unit = Unit(name="late", command=["/bin/sleep", "60"], environment={}, port=port, folder=tmp_path)
        with pytest.raises(NotStarted, match=f"another process listens on its port {port}"):
            unit.launch()
        assert unit.pid is None


def test_another_process_with_its_number_is_left_alone() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        with pytest.raises(ProcessLookupError):
            end(other.pid, signal.SIGKILL, 1, is_it=lambda: False)
        assert other.poll() is None
        other.kill()


def test_a_process_that_heeds_no_signal_is_killed() -> None:
    deaf = "from signal import *; import time; signal(SIGTERM, SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        end(process.pid, signal.SIGTERM, 1, is_it=lambda: True)
        assert state_of(process.pid) == ""


# Listens, with a crowd of threads and much memory to tear down; whoever starts it is not its parent for long.
_LISTENER = """
import socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
memory = b"x" * 200_000_000
for _ in range(60):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print(flush=True)
time.sleep(60)
"""
_START = """
import subprocess, sys
command = [sys.executable, "-c", *sys.argv[1:]]
started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
started.stdout.readline()
print(started.pid)
"""


def test_a_process_that_was_killed_listens_no_more() -> None:
    """Whoever starts the next one on its port would take it for ready at once."""
    for _ in range(5):
        [port] = free_ports(1)
        start = [sys.executable, "-c", _START, _LISTENER, str(port)]
        pid = int(subprocess.run(start, capture_output=True, text=True, check=True, timeout=60).stdout)
        assert listens(port)
        end(pid, signal.SIGKILL, 10, is_it=lambda: True)
        assert not listens(port)


# Answers each byte from a thread that is not its first one, as servers do.
_ANSWERER = """
import socket, threading, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
asker, _ = listener.accept()
def answer():
    while byte := asker.recv(1):
        asker.send(byte)
for target in (answer, *60 * [lambda: time.sleep(60)]):
    threading.Thread(target=target, daemon=True).start()
time.sleep(60)
"""


def test_a_halted_process_answers_no_more() -> None:
    """Whoever asks it next would take a broker for one that hangs, and get an answer."""
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", _ANSWERER], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                with socket.create_connection(("127.0.0.1", int(process.stdout.readline()))) as asker:
                    asker.send(b"1")
                    assert asker.recv(1) == b"1"
                    time.sleep(0.05)  # until it sleeps on the next one
                    halt(process.pid)
                    asker.settimeout(0.2)
                    asker.send(b"2")
                    with pytest.raises(TimeoutError):
                        asker.recv(1)
            finally:
                process.kill()


def test_a_process_that_is_gone_cannot_be_halted() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        process.kill()
        with pytest.raises(ProcessLookupError):
            halt(process.pid)
    with pytest.raises(ProcessLookupError):
        halt(process.pid)


def test_a_password_that_begins_with_a_dash_is_no_option(tmp_path: Path) -> None:
    plan = {
        "postgres": {"port": 1, "password": "-p"},
        "clickhouse": {"port": free_port(), "password": "-p"},
        "gateway": 2,
        "kafka": [],
        "services": {},
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    unit = Installation.load(tmp_path).unit("clickhouse")
    unit.launch()
    try:
        unit.wait_until(Unit.listens, 60)
    finally:
        unit.end(signal.SIGTERM)


def test_a_broker_that_ends_by_itself_says_why(tmp_path: Path) -> None:
    try:
        fetch_jars()
    except KafkaNotStarted as error:
        pytest.skip(f"no Kafka: {error}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(KafkaNotStarted, match="Address already in use"):
            start_cluster(tmp_path, ports=[taken.getsockname()[1]])
