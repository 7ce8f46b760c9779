"""Which of several workers serve, how many calls each holds, and how hard it is pressed: a few bytes that all share.

So the workers have one limit of calls together, and a new call goes to the worker that has most room.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Container, Generator, Mapping, Sequence
from contextlib import contextmanager

from orchestrator.core.pressure import Level

_SLOT = struct.Struct("=III")  # calls, level, whether it serves
_TOLD = struct.Struct("=II")  # the first two, which their worker alone writes


def new_places(workers: int) -> int:
    """Shared memory for so many workers, none of which serves yet: its file descriptor, to be inherited by them."""
    descriptor = os.memfd_create("goassist-places")
    os.ftruncate(descriptor, _SLOT.size * workers)
    return descriptor


def occupy(descriptor: int, worker: int) -> None:
    """A worker's HTTP server has started: from now on it is sent requests."""
    os.pwrite(descriptor, struct.pack("=I", 1), _SLOT.size * worker + _TOLD.size)


def vacate(descriptor: int, worker: int) -> None:
    """A worker has died, and its calls with it: it is sent nothing until its successor serves."""
    os.pwrite(descriptor, bytes(_SLOT.size), _SLOT.size * worker)


class Places:
    """The shared memory behind a descriptor of `new_places`, as the worker `own` sees it. It begins with no calls."""

    def __init__(self, descriptor: int, *, workers: int, own: int) -> None:
        self._descriptor = descriptor
        self._workers = workers
        self._own = own
        self._calls, self._level = 0, Level.NORMAL
        self._memory = mmap.mmap(descriptor, _SLOT.size * workers)
        self._tell()

    @property
    def taken(self) -> int:
        """Calls of all workers."""
        return sum(calls for calls, _, _ in self._slots())

    def serves(self, worker: int) -> bool:
        """Whether a worker's HTTP server has started, and is not known to have died."""
        _, _, serves = self._slots()[worker]
        return bool(serves)

    def note(self, calls: int) -> None:
        """This worker holds so many calls now."""
        self._calls = calls
        self._tell()

    def press(self, level: Level) -> None:
        """This worker is under that much pressure now."""
        self._level = level
        self._tell()

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        """No other worker takes a place meanwhile. The kernel releases the lock of a worker that dies."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def freest(self, *, busy: bool, coming: Mapping[int, int], silent: Container[int] = ()) -> int:
        """Which worker a new call is for: the one of fewest calls among those that take any; this one at a tie.

        `busy`: this one takes none. `coming`: calls that were sent to a worker and may not be counted yet. `silent`:
        workers that did not answer.
        """

        def rank(worker: int) -> tuple[bool, int, bool]:
            calls, level, _ = slots[worker]
            is_busy = busy if worker == self._own else calls > 0 and level >= Level.SESSION_QUEUE
            return is_busy, calls + coming.get(worker, 0), worker != self._own

        slots = self._slots()
        others = (worker for worker, (_, _, serves) in enumerate(slots) if serves and worker not in silent)
        return min({self._own, *others}, key=rank)

    def _tell(self) -> None:
        _TOLD.pack_into(self._memory, _SLOT.size * self._own, self._calls, self._level)

    def _slots(self) -> Sequence[tuple[int, int, int]]:
        return list(_SLOT.iter_unpack(self._memory[:]))
