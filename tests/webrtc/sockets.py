"""Sockets and other files that a test's process holds, or may not open."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def open_sockets() -> int:
    sockets = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # another thread closed it after it was listed
            sockets += os.readlink(entry).startswith("socket:")
    return sockets


@contextmanager
def no_more_files() -> Iterator[None]:
    """The process can open none; those that are open stay so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
