"""A caller whose packets are of any form, come at any pace, and go through any network."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import numpy as np
from aiortc import RTCSessionDescription
from goassist_client.sound import read_sound, sounding_span

from benchmarks.caller import Caller, Network
from orchestrator.webrtc import rtp
from tests.webrtc.sound import encoded

RATE = 48_000
MICROPHONE_RATE = 16_000
ROOM_NOISE = 6.0  # standard deviation in INT16 steps
STUTTER_S = 0.1  # longer than the pause that a recipient conceals
MOST_REPEATED = 3
COMFORT_S = 0.4  # between two packets of a sender that transmits discontinuously
# Who speaks again within 0.7 s of a turn's end was cut off, and is given more time for the next two turns.
NEXT_TURN_S = 1.0

Send = Callable[[bytes], None]
Fate = Callable[[bytes, Send], None]


@dataclass(frozen=True)
class Form:
    """How a client sends: the length and channels of its packets, how fast its clock runs, whether it sends silence."""

    duration_ms: int = 20
    channels: int = 1
    pace: float = 1.0
    discontinuous: bool = False


class Voice:
    """A question as payloads of a form, and the silence around it."""

    def __init__(self, path: Path, form: Form) -> None:
        sound = read_sound(path)
        began, ended = sounding_span(sound, MICROPHONE_RATE)
        speech = np.repeat(sound[began:ended], RATE // MICROPHONE_RATE)
        noise = np.random.default_rng(0).standard_normal(2 * RATE) * ROOM_NOISE
        everything = np.concatenate([noise, speech, noise]).astype("<i2")
        payloads = encoded(everything.tobytes(), form.duration_ms, channels=form.channels)
        per_second = 1000 // form.duration_ms
        self.silence = payloads[per_second // 2 : 3 * per_second // 2]
        speech_packets = len(speech) * 1000 // (RATE * form.duration_ms)
        self.speech = payloads[2 * per_second : 2 * per_second + speech_packets]
        self.tail = payloads[2 * per_second + speech_packets :][: per_second // 5]


class RoughCaller(Caller):
    """Asks one question again and again; `fate` decides on each packet from when it is set."""

    def __init__(self, http: httpx.AsyncClient, url: str, path: Path, form: Form) -> None:
        super().__init__(http, url, silence=[], network=Network(0, 1))
        self.form = form
        self.fate: Fate = lambda packet, send: send(packet)
        self.chance = Random(7)
        self.late_s = 0.0  # at worst, since somebody set it to zero
        self._voice = Voice(path, form)
        self._queue: list[bytes] = []
        self._asked: asyncio.Future[None] | None = None

    @property
    def call_id(self) -> str:
        assert self._location is not None
        return self._location.rpartition("/")[2]

    async def ask(self) -> float:
        """Ask; returns the seconds from the end of the question to the first sound of the answer."""
        self._queue = [*self._voice.speech, *self._voice.tail]
        self._asked = asyncio.get_running_loop().create_future()
        await self._asked
        loud_s = await self.loud_after(self.end_s)
        assert loud_s is not None, "the question was not answered"
        return loud_s - self.end_s

    async def silence_agent(self) -> None:
        """Have the answer cancelled, and wait until nothing is heard of it and the next question is a new turn."""
        self.channel.send('{"type": "response.cancel"}')
        assert await self.quiet(NEXT_TURN_S, timeout_s=15)

    async def offer_again(self, *, restart_ice: bool = False) -> int:
        """Renegotiate over the session API; returns the HTTP status, and applies the answer."""
        connection = self._connection
        await connection.setLocalDescription(await connection.createOffer())
        sdp = connection.localDescription.sdp
        if restart_ice:
            sdp = "\r\n".join(
                "a=ice-ufrag:abcd" if line.startswith("a=ice-ufrag:") else line for line in sdp.split("\r\n")
            )
        path = f"{self._url}/sessions/{self.call_id}/offer"
        answer = await self._http.post(path, json={"sdp": sdp})
        if answer.status_code == 200:
            await connection.setRemoteDescription(RTCSessionDescription(answer.json()["sdp"], "answer"))
        return answer.status_code

    async def send_for_ever(self) -> None:
        """Send at the caller's own pace. To be run as a task."""
        assert self._media is not None
        form, units = self.form, self.form.duration_ms * RATE // 1000
        sequence, timestamp, sent_s, count = self._sequence, 0, 0.0, 0
        began = time.monotonic()
        while True:
            due = began + count * form.duration_ms / 1000 * form.pace
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.late_s = max(self.late_s, time.monotonic() - due)
            count += 1
            speaking = bool(self._queue)
            payload = self._queue.pop(0) if speaking else self._voice.silence[count % len(self._voice.silence)]
            if speaking and len(self._queue) == len(self._voice.tail):
                self.end_s = time.monotonic()
                assert self._asked is not None
                self._asked.set_result(None)
            if speaking or not form.discontinuous or time.monotonic() - sent_s >= COMFORT_S:
                sent_s = time.monotonic()
                header = rtp.header(self._payload_type, sequence, timestamp, self._source, marker=False)
                sequence = sequence + 1 & 0xFFFF
                self.fate(header + payload, self._media.send_rtp)
            timestamp = timestamp + units & 0xFFFFFFFF

    async def converse(self, turns: int) -> list[float]:
        """Ask so many times, each time cutting the answer short; returns each voice to voice in seconds.

        Turns in which this caller itself stuttered, since its machine was busy with others, are asked once more.
        """
        took: list[float] = []
        for _ in range(turns + MOST_REPEATED):
            self.late_s = 0.0
            took_s = await self.ask()
            if self.late_s < STUTTER_S:
                took.append(took_s)
            await self.silence_agent()
            if len(took) == turns:
                break
        assert took, "the machine is too busy for a caller that sends in time"
        return took

    def frames_missing(self, since_s: float, until_s: float) -> float:
        """The part of the agent's packets that did not come in this time."""
        came = sum(since_s <= each.at_s < until_s for each in self.heard)
        return 1 - came / (50 * (until_s - since_s))


async def call(
    http: httpx.AsyncClient, url: str, path: Path, form: Form | None = None
) -> tuple[RoughCaller, asyncio.Task[None]]:
    """A call that is connected, and the task that sends its sound."""
    caller = RoughCaller(http, url, path, form or Form())
    await caller.connect()
    return caller, asyncio.create_task(caller.send_for_ever())


async def hang_up(caller: RoughCaller, sending: asyncio.Task[None]) -> None:
    """End the call on both sides."""
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    await caller.hang_up()
