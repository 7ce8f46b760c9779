"""Received packets back in the order they were sent: a window so small that it never becomes a delay."""

from typing import Generic, TypeVar

Item = TypeVar("Item")

WAITING = 2  # packets that wait for a missing one; the next makes it lost
MEMORY = 64  # sequence numbers back to which a late packet and a duplicate can be told apart
MAX_DROPOUT = 3000  # a larger jump is a sender that began anew (RFC 3550 appendix A.1)
_RECENT = (1 << MEMORY) - 1


class ReorderWindow(Generic[Item]):
    """16-bit sequence numbers in any order → items in order, each with the number of packets lost before it.

    A packet in order passes at once. One that comes early waits for those before it until more than `WAITING` wait or
    `flush` is called; what is missing then is lost, and is dropped as late if it comes after all. Two packets in a row
    from far outside the window are a sender that began anew, and are followed from the second on.
    """

    def __init__(self) -> None:
        self.lost = self.late = self.duplicate = self.reordered = 0
        self._expected: int | None = None
        self._seen = 0  # bit i: packet expected - 1 - i came
        self._waiting: dict[int, Item] = {}
        self._anew: int | None = None  # where a sender that began anew would go on

    @property
    def waiting(self) -> bool:
        """Whether packets wait for a missing one."""
        return bool(self._waiting)

    def push(self, sequence: int, item: Item) -> list[tuple[int, Item]]:
        """Take one packet; returns every (packets lost before it, packet) that is due now."""
        if self._expected is None:
            self._expected = sequence
        ahead = (sequence - self._expected) & 0xFFFF
        if ahead == 0 and not self._waiting:
            self._pass(sequence)
            return [(0, item)]
        if ahead <= MAX_DROPOUT:
            return self._wait(sequence, item)
        behind = 0x10000 - ahead
        if behind <= MEMORY:
            if self._seen >> (behind - 1) & 1:
                self.duplicate += 1
            else:
                self._seen |= 1 << (behind - 1)
                self.late += 1
            return []
        if sequence != self._anew:
            self._anew = (sequence + 1) & 0xFFFF
            self.late += 1
            return []
        due = self.flush()
        self._seen = 0
        self._pass(sequence)
        return [*due, (0, item)]

    def flush(self) -> list[tuple[int, Item]]:
        """Give up on what is missing: returns all that waits."""
        return self._release(keep=0)

    def forget(self) -> None:
        """Begin anew with the next packet, whatever its number."""
        self._expected = self._anew = None
        self._seen = 0
        self._waiting.clear()

    def _wait(self, sequence: int, item: Item) -> list[tuple[int, Item]]:
        if sequence in self._waiting:
            self.duplicate += 1
            return []
        if any((sequence - other) & 0xFFFF >= 0x8000 for other in self._waiting):
            self.reordered += 1
        self._waiting[sequence] = item
        return self._release(keep=WAITING)

    def _release(self, *, keep: int) -> list[tuple[int, Item]]:
        due = []
        while self._waiting and self._expected is not None:
            expected = self._expected
            missing = min((sequence - expected) & 0xFFFF for sequence in self._waiting)
            if missing and len(self._waiting) <= keep:
                break
            self.lost += missing
            self._seen = (self._seen << min(missing, MEMORY)) & _RECENT
            sequence = (expected + missing) & 0xFFFF
            due.append((missing, self._waiting.pop(sequence)))
            self._pass(sequence)
        return due

    def _pass(self, sequence: int) -> None:
        self._expected = (sequence + 1) & 0xFFFF
        self._seen = (self._seen << 1 | 1) & _RECENT
        self._anew = None
