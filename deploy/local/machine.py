"""What is true of this machine just now: which ports and processes there are."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

# Nobody on the loopback speaks TLS, and to read the certificates that a client would trust takes it 50 ms.
NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def listens(port: int) -> bool:
    """Whether somebody takes connections on that port of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def is_gone(pid: int) -> bool:
    """Whether the process has ended; a zombie counts as ended unless it is ours to bury."""
    with suppress(ChildProcessError):  # another process started it
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return state_of(pid) in ("", "Z")


def state_of(pid: int) -> str:
    """The state of the process as Linux writes it: "T" is stopped, "Z" ended but not buried; "" of none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
