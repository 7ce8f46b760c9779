"""Sound that comes faster than it is spoken, as a client may send over a WebSocket: heard a piece at a time."""

import asyncio
from collections.abc import Callable

from orchestrator.core.endpointing_rules import SAMPLE_RATE

# Where an utterance ends is found after so much at most: what follows belongs to the next one.
PIECE_BYTES = 2 * SAMPLE_RATE // 10


class Backlog:
    """Gives sound to `hear` in pieces of 100 ms at most, each when the one before has been judged.

    `behind` tells whether one has not; `catch_up` is called whenever that may have changed.
    """

    def __init__(self, *, hear: Callable[[bytes], None], behind: Callable[[], bool]) -> None:
        self._hear = hear
        self._behind = behind
        self._waiting = bytearray()
        self._emptied = asyncio.Event()

    def add(self, pcm16_16k: bytes) -> None:
        """More sound, in order."""
        if self._waiting or len(pcm16_16k) > PIECE_BYTES:
            self._waiting += pcm16_16k
            self.catch_up()
        else:
            self._hear(pcm16_16k)

    def catch_up(self) -> None:
        """Have the next piece heard, if the one before has been judged."""
        while self._waiting and not self._behind():
            piece = bytes(self._waiting[:PIECE_BYTES])
            del self._waiting[:PIECE_BYTES]
            self._hear(piece)
        if not self._waiting and not self._behind():
            self._emptied.set()

    async def emptied(self) -> None:
        """Return once all sound that was added has been judged, or forgotten."""
        while self._waiting or self._behind():
            self._emptied.clear()
            await self._emptied.wait()

    def forget(self) -> None:
        """Nothing more is heard."""
        self._waiting.clear()
        self._emptied.set()
