"""The data channel `oai-events`: text both ways, whichever side opens it."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from aiortc import RTCDataChannel

_log = logging.getLogger(__name__)

LABEL = "oai-events"
MAX_PENDING = 1000  # messages kept until the channel opens; of more, the oldest are dropped
MAX_UNSENT_BYTES = 4 * 1024 * 1024  # of an open channel; a client that lets more pile up reads no more


class EventsChannel:
    """Messages are sent in order; those sent before the channel is open wait for it.

    `opened`, `received` and `stuck` are called out of the event loop, never out of `send`. `stuck` says that the client
    has stopped reading.
    """

    def __init__(
        self, *, opened: Callable[[], None], received: Callable[[str], None], stuck: Callable[[], None]
    ) -> None:
        self.dropped = 0
        self._opened, self._received, self._stuck = opened, received, stuck
        self._channel: RTCDataChannel | None = None
        self._pending: deque[str] = deque()
        self._is_stuck = False

    @property
    def is_open(self) -> bool:
        """Whether the client reads what is sent now."""
        return self._channel is not None and self._channel.readyState == "open"

    @property
    def attached(self) -> bool:
        """Whether either side has opened, or begun to open, the channel."""
        return self._channel is not None

    def attach(self, channel: RTCDataChannel) -> None:
        """Use this channel; one that the client opens anew replaces the one before."""
        self._channel = channel
        channel.on("message", self._message)
        if channel.readyState == "open":
            self._flush()
        else:
            channel.on("open", self._flush)

    def send(self, text: str) -> None:
        """Send, or keep until the channel opens. A message longer than the client allows is dropped, and logged."""
        if self.is_open:
            self._send_now(text)
            return
        if len(self._pending) >= MAX_PENDING:
            self._pending.popleft()
            self.dropped += 1
        self._pending.append(text)

    def _flush(self) -> None:
        while self._pending:
            self._send_now(self._pending.popleft())
        asyncio.get_running_loop().call_soon(self._opened)

    def _send_now(self, text: str) -> None:
        assert self._channel is not None
        if self._channel.bufferedAmount > MAX_UNSENT_BYTES:
            self.dropped += 1
            if not self._is_stuck:
                self._is_stuck = True
                asyncio.get_running_loop().call_soon(self._stuck)
            return
        try:
            self._channel.send(text)
        except ValueError as error:
            self.dropped += 1
            _log.warning("an event could not be sent: %s", error)

    def _message(self, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode(errors="replace")
        # Not from here: an error of the receiver's would end aiortc's task, and the call.
        asyncio.get_running_loop().call_soon(self._received, text)
