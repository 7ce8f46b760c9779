"""The last seconds of a microphone."""

from orchestrator.core.endpointing_rules import SAMPLE_RATE

SPARE_BYTES = 4 * SAMPLE_RATE  # forgotten in one go


class RecentSound:
    """Keeps at least the last `samples` of INT16 mono at 16 kHz, and counts all that came."""

    def __init__(self, samples: int) -> None:
        self.received = 0  # samples
        self._kept = bytearray()
        self._most = 2 * samples

    def add(self, pcm16: bytes) -> None:
        """More sound, in order."""
        self.received += len(pcm16) // 2
        self._kept += pcm16
        if len(self._kept) > self._most + SPARE_BYTES:
            del self._kept[: -self._most]

    def forget(self) -> None:
        """Give the memory back: the call is over, which itself is freed when the garbage collector finds it."""
        self._kept.clear()

    def since(self, sample: int) -> bytes:
        """What came from that sample on, as far as it is kept."""
        return bytes(self._kept[max(0, len(self._kept) - 2 * (self.received - sample)) :])
