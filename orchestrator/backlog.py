"""Sound faster than it is spoken, over a WebSocket or after a network held it back: heard a piece at a time."""

import asyncio
from collections.abc import Callable

from orchestrator.core.endpointing_rules import SAMPLE_RATE

# Where an utterance ends is found after so much at most: what follows belongs to the next one.
PIECE_BYTES = 2 * SAMPLE_RATE // 10


class Backlog:
    """Gives sound to `hear`, 100 ms at most before that has been judged; what is more waits.

    `behind` tells whether some of it has not; `catch_up` is called whenever that may have changed.
    """

    def __init__(self, *, hear: Callable[[bytes], None], behind: Callable[[], bool]) -> None:
        self._hear = hear
        self._behind = behind
        self._waiting = bytearray()
        self._unjudged = 0  # bytes heard since all was judged, at most
        self._emptied = asyncio.Event()

    def add(self, pcm16_16k: bytes) -> None:
        """More sound, in order."""
        if not self._behind():
            self._unjudged = 0
        if self._waiting or self._unjudged + len(pcm16_16k) > PIECE_BYTES:
            self._waiting += pcm16_16k
            self.catch_up()
        else:
            self._unjudged += len(pcm16_16k)
            self._hear(pcm16_16k)

    def catch_up(self) -> None:
        """Have the next piece heard, if all before it has been judged."""
        while self._waiting and not self._behind():
            piece = bytes(self._waiting[:PIECE_BYTES])
            del self._waiting[:PIECE_BYTES]
            self._unjudged = len(piece)
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
