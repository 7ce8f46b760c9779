"""One call with the agent, from the caller's side: a microphone that plays sound, an ear, and the events.

    async with VoiceClient("http://127.0.0.1:8081") as client:
        await client.say("question.wav")
        done = await client.wait_for("response.done")
        await client.wait_for("output_audio_buffer.stopped")
        write_wav("answer.wav", client.heard.samples(), SAMPLE_RATE)

All times are seconds on the client's own clock (`client.now()`), which starts at 0 with the object.
"""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from goassist_client.connection import Connection
from goassist_client.errors import CallError, ConnectionLostError, NoAnswerError
from goassist_client.events import ServerEvent
from goassist_client.recording import Packet, Recording
from goassist_client.signalling import Signalling
from goassist_client.sound import MICROPHONE_RATE, Samples, read_sound, sounding_span

CONNECT_TIMEOUT_S = 15.0
LOST_AFTER_S = 10.0
"""The server sends a packet every 20 ms, silence included: so long without one, and it is gone. ICE needs 30 s."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Spoken:
    """When a piece of sound went out: all of it, and the part of it that can be heard."""

    began_s: float
    ended_s: float
    speech_began_s: float
    speech_ended_s: float


class VoiceClient:
    """A call to the server at `url`; use it as an async context manager, or call connect() and close().

    session: fields of `session.update` to call with (instructions, audio, …).
    live: gives 20 ms of a real microphone (16 kHz) whenever nothing else is being said.
    on_event, on_sound: called with each event and each packet as it arrives; they must not block.
    keep_samples: False keeps levels only, for long or many calls.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8081",
        *,
        session: dict[str, Any] | None = None,
        api_key: str | None = None,
        live: Callable[[], Samples] | None = None,
        on_event: Callable[[ServerEvent], None] | None = None,
        on_sound: Callable[[Packet], None] | None = None,
        keep_samples: bool = True,
    ) -> None:
        self.events: list[ServerEvent] = []
        self.heard = Recording(keep_samples=keep_samples)
        self.call_id: str | None = None
        self._origin_s = time.monotonic()
        self._signalling = Signalling(url, api_key=api_key)
        self._session = session
        self._live = live
        self._on_event = on_event
        self._on_sound = on_sound
        self._connection: Connection | None = None
        self._location: str | None = None
        self._lost: str | None = None
        self._closing = False
        self._watch: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._turn_began = 0
        self._returned: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def now(self) -> float:
        """Seconds on the client's clock."""
        return time.monotonic() - self._origin_s

    @property
    def lost(self) -> str | None:
        """Why the call ended without close(), None while it has not."""
        return self._lost

    async def connect(self) -> None:
        """Call the server; returns once its `session.created` is here. Raises a CallError that says what to do."""
        try:
            await self._call()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Hang up and release everything; harmless when repeated."""
        if self._closing:
            return
        self._closing = True
        if self._watch is not None:
            self._watch.cancel()
        if self._location is not None and self._lost is None:
            # A server that is gone needs no goodbye.
            with suppress(CallError):
                await self._signalling.hang_up(self._location)
        await self._signalling.aclose()
        if self._connection is not None:
            await self._connection.close()
        self._wake()

    async def say(self, sound: str | Path | bytes | Samples) -> Spoken:
        """Play a sound file, or 16 kHz mono samples (array or INT16 little endian bytes), into the microphone.

        Returns when the last sample has been sent, in real time. Raises SoundError, ConnectionLostError.
        """
        microphone = self._connected().microphone
        if isinstance(sound, bytes):
            samples = np.frombuffer(sound, np.int16)
        elif isinstance(sound, np.ndarray):
            samples = sound
        else:
            samples = await asyncio.to_thread(read_sound, sound)
        first, last = sounding_span(samples, MICROPHONE_RATE)
        self._turn_began = len(self.events)
        playing = microphone.play(samples)
        try:
            ended_at = await playing.ended
        finally:
            microphone.drop(playing)
        if ended_at is None:
            raise ConnectionLostError(self._lost or "the call was closed while something was being said")
        ended_s = ended_at - self._origin_s
        began_s = ended_s - len(samples) / MICROPHONE_RATE
        return Spoken(began_s, ended_s, began_s + first / MICROPHONE_RATE, began_s + last / MICROPHONE_RATE)

    def write(self, text: str) -> None:
        """Type `text` as the user's turn and ask for the answer. Raises ConnectionLostError."""
        self._turn_began = len(self.events)
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.send("response.create")

    def send(self, event_type: str, **fields: Any) -> None:
        """Send any client event of the Realtime API. Raises ConnectionLostError."""
        self.send_raw(json.dumps({"type": event_type, **fields}))

    def send_raw(self, text: str) -> None:
        """Send `text` as it is on the data channel `oai-events`. Raises ConnectionLostError."""
        self._connected().send(text)

    async def wait_for(
        self,
        *event_types: str,
        where: Callable[[ServerEvent], bool] | None = None,
        after_s: float | None = None,
        timeout_s: float = 20.0,
    ) -> ServerEvent:
        """The next event of one of these types, for which `where` holds; one that has arrived already counts.

        Each call returns an event once: the first since the latest say() or write() began that no earlier
        wait_for() returned. With `after_s` it is the first that arrived at or after that time, returned or not.
        Raises NoAnswerError after `timeout_s`, ConnectionLostError if the call ends first.
        """
        start = self._turn_began if after_s is None else 0

        def matches(index: int, event: ServerEvent) -> bool:
            fresh = index >= self._returned.get(event.type, 0) if after_s is None else event.at_s >= after_s
            return event.type in event_types and fresh and (where is None or where(event))

        def find() -> int | None:
            return next((i for i in range(start, len(self.events)) if matches(i, self.events[i])), None)

        index = await self._until(find, " or ".join(event_types), timeout_s)
        event = self.events[index]
        self._returned[event.type] = max(index + 1, self._returned.get(event.type, 0))
        return event

    async def wait_until_audible(self, *, after_s: float | None = None, timeout_s: float = 20.0) -> float:
        """When the first audible packet of the agent arrived at or after `after_s` (default: now)."""
        since_s = self.now() if after_s is None else after_s
        return await self._until(lambda: self.heard.first_audible_s(since_s), "a sound of the agent", timeout_s)

    async def wait_until_silent(self, *, for_s: float = 0.2, timeout_s: float = 20.0) -> float:
        """When the agent fell silent: the arrival of its last audible packet, once `for_s` of silence followed it.

        Packets that stop arriving are silence too. With nothing heard yet the silence began at 0.
        """
        deadline_s = self.now() + timeout_s
        while True:
            last_s = self.heard.last_audible_s() or 0.0
            remaining_s = last_s + for_s - self.now()
            if remaining_s <= 0:
                return last_s
            if self.now() >= deadline_s:
                raise NoAnswerError(f"the agent was not silent for {for_s:.1f} s within {timeout_s:.0f} s")
            await asyncio.sleep(remaining_s)

    async def wait_until_lost(self) -> str:
        """Why the call ended, once it has ended without close()."""
        while self._lost is None:
            await self._changed.wait()
        return self._lost

    async def _call(self) -> None:
        self._connection = Connection(
            await self._signalling.ice_servers(),
            live=self._live,
            loopback=self._signalling.on_this_machine,
            on_message=self._message_arrived,
            on_packet=self._packet_arrived,
            on_end=self._end,
        )
        call = await self._signalling.call(await self._connection.offer(), self._session)
        self._location = call.location
        self.call_id = call.location.rsplit("/", 1)[-1] if call.location else None
        await self._connection.accept(call.answer_sdp)
        try:
            await self.wait_for("session.created", timeout_s=CONNECT_TIMEOUT_S)
        except NoAnswerError as error:
            raise ConnectionLostError(
                f"the server answered, but no connection came up within {CONNECT_TIMEOUT_S:.0f} s: "
                "is UDP between here and there blocked?"
            ) from error
        self._watch = asyncio.create_task(self._watch_for_silence(), name="watch for a silent server")

    async def _watch_for_silence(self) -> None:
        while True:
            latest_s = self.heard.packets[-1].at_s if self.heard.packets else self.now()
            remaining_s = latest_s + LOST_AFTER_S - self.now()
            if remaining_s <= 0:
                self._end(f"nothing came from the server for {LOST_AFTER_S:.0f} s")
                return
            await asyncio.sleep(remaining_s)

    def _connected(self) -> Connection:
        if self._lost is not None:
            raise ConnectionLostError(self._lost)
        if self._connection is None or self._closing:
            raise ConnectionLostError("the call is not connected")
        return self._connection

    async def _until(self, find: Callable[[], Found | None], what: str, timeout_s: float) -> Found:
        try:
            async with asyncio.timeout(timeout_s):
                while (found := find()) is None:
                    self._connected()
                    await self._changed.wait()
                return found
        except TimeoutError as error:
            recent = ", ".join(event.type for event in self.events[-5:]) or "none"
            raise NoAnswerError(f"no {what} within {timeout_s:.1f} s; the latest events were: {recent}") from error

    def _wake(self) -> None:
        # Waiters hold the old event; whoever waits next gets a fresh one.
        self._changed.set()
        self._changed = asyncio.Event()

    def _end(self, reason: str) -> None:
        if self._lost is None and not self._closing:
            self._lost = reason
            if self._connection is not None:
                self._connection.microphone.stop()
            self._wake()

    def _message_arrived(self, message: str) -> None:
        fields = json.loads(message)
        event = ServerEvent(fields["type"], self.now(), fields)
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)
        self._wake()

    def _packet_arrived(self, payload: bytes, timestamp: int) -> None:
        if not self._closing:
            heard = self.heard.add(payload, timestamp, self.now())
            if self._on_sound is not None:
                self._on_sound(heard)
            self._wake()
