"""Words that come one by one, sent a few at a time: a reader sees no difference, and each event costs packets."""

import asyncio
import time
from collections.abc import Callable

PERIOD_S = 0.1


class GatheredText:
    """Sends the first text at once, and what comes less than PERIOD_S after something was sent together with the rest.

    `flush` must be called before anything is sent that has to come after the text. Use it from one event loop.
    """

    def __init__(self, send: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._waiting = ""
        self._next_s = 0.0  # when more may be sent
        self._timer: asyncio.TimerHandle | None = None

    def push(self, text: str) -> None:
        """More text, in order."""
        self._waiting += text
        if self._timer is None:
            wait_s = self._next_s - self._clock()
            if wait_s <= 0:
                self.flush()
            else:
                self._timer = asyncio.get_running_loop().call_later(wait_s, self.flush)

    def flush(self) -> None:
        """Send what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            text, self._waiting = self._waiting, ""
            self._next_s = self._clock() + PERIOD_S
            self._send(text)
