"""The last page of metrics of each worker, in memory that outlives it, so that a sum over workers never falls.

To Prometheus a counter that falls has begun anew, and all that it counts from there on is new. So a worker goes on
where its predecessor was last seen, and while one does not answer its siblings show what it has counted so far.
"""

import os
import struct
from zlib import crc32

from orchestrator.telemetry.exposition import counters, summed

_HEADER = struct.Struct("=QII")  # number and length of the page, CRC-32 of number and page
# A worker writes into its two halves by turns: one that dies while it writes leaves the page before. What no page
# fills takes no memory.
HALF_BYTES = 1024 * 1024


def new_kept(workers: int) -> int:
    """Memory for so many workers, without a page yet: its file descriptor, to be inherited by them."""
    descriptor = os.memfd_create("goassist-metrics")
    os.ftruncate(descriptor, 2 * HALF_BYTES * workers)
    return descriptor


class Kept:
    """The memory behind a descriptor of `new_kept`, as the worker `own` sees it; only that one writes its pages."""

    def __init__(self, descriptor: int, *, own: int) -> None:
        self._descriptor = descriptor
        self._own = own
        self._number, last = self._newest(own)
        self._before = counters(last)

    def keep(self, page: str) -> str:
        """This worker's page, and with it what its predecessors have counted."""
        if self._before:
            page = summed([page, self._before])
        encoded = page.encode()
        self._number += 1
        record = _HEADER.pack(self._number, len(encoded), _checksum(self._number, encoded)) + encoded
        if len(record) <= HALF_BYTES:
            os.pwrite(self._descriptor, record, self._offset(self._own, self._number % 2))
        return page

    def last(self, worker: int) -> str:
        """The page that a worker showed last; "" before the first."""
        return self._newest(worker)[1]

    def _newest(self, worker: int) -> tuple[int, str]:
        return max(self._read(self._offset(worker, half)) for half in (0, 1))

    def _read(self, offset: int) -> tuple[int, str]:
        number, length, checksum = _HEADER.unpack(os.pread(self._descriptor, _HEADER.size, offset))
        page = os.pread(self._descriptor, length, offset + _HEADER.size)
        return (number, page.decode()) if _checksum(number, page) == checksum else (0, "")

    def _offset(self, worker: int, half: int) -> int:
        return (2 * worker + half) * HALF_BYTES


def _checksum(number: int, page: bytes) -> int:
    return crc32(page, number & 0xFFFFFFFF)
