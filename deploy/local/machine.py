"""What is true of this machine just now: which ports and processes there are."""

from __future__ import annotations

import fcntl
import itertools
import os
import select
import signal
import socket
import ssl
import time
from bisect import bisect
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Final

# Nobody on the loopback speaks TLS, and to read the certificates that a client would trust takes it 50 ms.
NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

_ENDED: Final = frozenset({"", "Z"})

_GIVEN_TO_CONNECTIONS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_PORT: Final = 10_000  # of those below, many are known as the ports of some service


def free_ports(count: int) -> list[int]:
    """Ports of the loopback, one at least, that nobody listens on just now.

    It may take long until a server listens on its port, and it keeps it while it is away for a restart. So
    they are none of those that Linux gives to connections by itself, and none that this user was told of
    before, by whichever process, until all others were.
    """
    first, last = map(int, _GIVEN_TO_CONNECTIONS.read_text().split())
    ports = [port for port in range(_FIRST_PORT, 2**16) if not first <= port <= last]
    with Path(gettempdir(), f"meterhouse-ports-{os.getuid()}").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        told = bisect(ports, int(file.read() or 0))
        chosen = list(itertools.islice(filter(_is_free, ports[told:] + ports[:told]), count))
        file.truncate(0)
        file.write(str(chosen[-1]))
    return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listens(port: int) -> bool:
    """Whether somebody takes connections on that port of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def end(pid: int, how: signal.Signals, seconds: float, is_it: Callable[[], bool]) -> None:
    """Send the signal and return once the process is gone; SIGKILL after so long.

    Gone are all of its threads, and with them its ports: its first one may be a zombie long before. Its
    number may come to mean another process by then, so `is_it` is asked once it is held by more than that.
    Raises ProcessLookupError where it is gone already.
    """
    process = os.pidfd_open(pid)
    try:
        if not is_it():
            raise ProcessLookupError(pid)
        for number in (how, signal.SIGKILL):
            signal.pidfd_send_signal(process, number)
            if select.select([process], [], [], seconds)[0]:
                break
        else:
            raise TimeoutError(f"process {pid} outlives SIGKILL")
    finally:
        os.close(process)
    is_gone(pid)  # buries it if it is ours


def halt(pid: int) -> None:
    """SIGSTOP, and return once the process has come to rest.

    Its threads stop one after the other, and until then they answer as before.
    Raises ProcessLookupError where it is gone.
    """
    os.kill(pid, signal.SIGSTOP)
    while not is_halted(pid):
        time.sleep(0.001)


def is_halted(pid: int) -> bool:
    """Whether something has stopped each of its threads. Raises ProcessLookupError where it is gone."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    states = {_state_in(thread / "stat") for thread in threads}
    if not states - _ENDED:
        raise ProcessLookupError(pid)
    return states - _ENDED == {"T"}


def is_gone(pid: int) -> bool:
    """Whether the process has ended; a zombie counts as ended unless it is ours to bury."""
    with suppress(ChildProcessError):  # another process started it
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return state_of(pid) in _ENDED


def state_of(pid: int) -> str:
    """The state of the process as Linux writes it: "Z" has ended but is not buried; "" of none."""
    return _state_in(Path(f"/proc/{pid}/stat"))


def _state_in(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
