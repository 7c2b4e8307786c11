"""Data that chDB is to read: it takes none with a statement, but it reads the files of its machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile


@contextmanager
def memory_file(data: bytes) -> Iterator[str]:
    """Yield the path, in this process, of a file that holds `data`.

    On Linux it is in memory: nothing reaches a disk, and nothing is left of it when the process is killed.
    """
    if sys.platform != "linux":
        with NamedTemporaryFile(prefix="meterhouse-") as file:
            file.write(data)
            file.flush()
            yield file.name
        return
    with open(os.memfd_create("meterhouse"), "wb", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        yield f"/proc/self/fd/{file.fileno()}"
