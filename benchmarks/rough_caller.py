"""A caller whose packets are of any form, come at any pace, and go through any network."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

import httpx
import numpy as np
from aiortc import RTCSessionDescription

from benchmarks.caller import LOUD_RMS, Caller, Network
from benchmarks.speech import RATE, browser_payloads, noise, spoken
from orchestrator.webrtc import rtp

LEAD_S = 2.4  # before the question; packets of each length go into it
WHOLE = RATE * 120 // 1000  # samples of so many ms are whole packets of 10, 20, 40 and 60
STUTTER_S = 0.1  # longer than the pause that a recipient conceals
MOST_REPEATED = 3
MOST_MISSED = 3  # in a row, after which a call is dead
COMFORT_MS = 400  # between two packets of sound of a sender that transmits discontinuously
# Who speaks again within 0.7 s of a turn's end was cut off, and is given more time for the next two turns.
NEXT_TURN_S = 1.0

Send = Callable[[bytes], None]
Fate = Callable[[bytes, Send], None]


class CallError(Exception):
    """A call did not go on as calls do; the text says how."""


class NotAnsweredError(CallError):
    """A question was not answered."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a client sends: the length and channels of its packets, how fast its clock runs, whether it sends silence."""

    duration_ms: int = 20
    channels: int = 1
    pace: float = 1.0  # seconds that pass while it sends one second of sound
    discontinuous: bool = False


@dataclass(frozen=True, slots=True)
class Voice:
    """A question as payloads, the silence after it, and the silence between questions, to be repeated."""

    speech: list[bytes]
    tail: list[bytes]
    silence: list[bytes]


@cache
def voice(path: Path, duration_ms: int, channels: int) -> Voice:
    """A file's sound in packets of this length. In each length the last sample of speech is the last of its packet."""
    speech = spoken(path)
    lead = noise(int(LEAD_S * RATE) - len(speech) % WHOLE)
    everything = np.concatenate([lead, speech, noise(2 * RATE)]).astype("<i2")
    payloads = browser_payloads(everything.tobytes(), duration_ms, channels=channels)
    per_second, size = 1000 // duration_ms, RATE * duration_ms // 1000
    begin, end = len(lead) // size, (len(lead) + len(speech)) // size
    silence = payloads[per_second // 2 : 3 * per_second // 2]
    return Voice(payloads[begin:end], payloads[end : end + per_second // 5], silence)


@dataclass(slots=True)
class Turns:
    """What came of questions: voice to voice in seconds of those that count."""

    took_s: list[float] = field(default_factory=list)
    missed: int = 0  # not answered
    early: int = 0  # answered before all was asked
    repeated: int = 0  # since this caller itself stuttered: its machine was busy with others
    late_s: float = 0.0  # how late this caller sent a packet of them, at worst

    @property
    def counted(self) -> int:
        """All but those that are repeated."""
        return len(self.took_s) + self.missed + self.early

    def count(self, took_s: float, *, early: bool, late_s: float) -> None:
        """One more that was answered; this caller was so late with a packet of it."""
        self.late_s = max(self.late_s, late_s)
        if late_s >= STUTTER_S:
            self.repeated += 1
        elif early:
            self.early += 1
        else:
            self.took_s.append(took_s)


class RoughCaller(Caller):
    """Asks one question again and again; `fate` decides on each packet from when it is set."""

    def __init__(self, http: httpx.AsyncClient, url: str, path: Path, form: Form) -> None:
        super().__init__(http, url, silence=[], network=Network(0, 1))
        self.fate: Fate = _untouched
        self.chance = Random(7)
        self.late_s = 0.0  # at worst, since somebody set it to zero
        self.asked = 0
        self._path = path
        self._queue: list[bytes] = []
        self._asked: asyncio.Future[None] | None = None
        self.become(form)

    def become(self, form: Form) -> None:
        """Send in this form from the next packet on. Between questions only."""
        assert not self._queue
        self.form = form
        self._voice = voice(self._path, form.duration_ms, form.channels)

    def recover(self) -> None:
        """Let packets pass as they are."""
        self.fate = _untouched

    @property
    def call_id(self) -> str:
        """The server's name for the call."""
        assert self._location is not None
        return self._location.rpartition("/")[2]

    async def ask(self) -> float:
        """Ask; returns the seconds from the end of the question to the first sound of the answer."""
        self.asked += 1
        self._queue = [*self._voice.speech, *self._voice.tail]
        self._asked = asyncio.get_running_loop().create_future()
        await self._asked
        loud_s = await self.loud_after(self.end_s)
        if loud_s is None:
            raise NotAnsweredError("the question was not answered")
        return loud_s - self.end_s

    async def silence_agent(self) -> None:
        """Have the answer cancelled, and wait until nothing is heard of it and the next question is a new turn."""
        if self.channel.readyState != "open":
            raise CallError("the server ended the call")
        self.channel.send('{"type": "response.cancel"}')
        if not await self.quiet(NEXT_TURN_S, timeout_s=15):
            raise CallError("the answer went on though it was cancelled")

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
        sequence, timestamp, count, silent = self._sequence, 0, 0, 0
        due = time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            form, now = self.form, time.monotonic()
            self.late_s = max(self.late_s, now - due)
            due += form.duration_ms / 1000 * form.pace
            count += 1
            speaking = bool(self._queue)
            silent = 0 if speaking else silent + 1
            payload: bytes | None = self._voice.silence[count % len(self._voice.silence)]
            if speaking:
                payload = self._next(form, now)
            elif form.discontinuous:
                payload = _sparse(self._voice.silence, silent - 1, COMFORT_MS // form.duration_ms)
            if payload is not None:
                header = rtp.header(self._payload_type, sequence, timestamp, self._source, marker=False)
                sequence = sequence + 1 & 0xFFFF
                self.fate(header + payload, self._media.send_rtp)
            timestamp = timestamp + form.duration_ms * RATE // 1000 & 0xFFFFFFFF

    async def converse(self, turns: int) -> list[float]:
        """Ask so many times; returns each voice to voice in seconds. Raises CallError where one is not answered."""
        talked = await self.talk(turns)
        if talked.missed:
            raise NotAnsweredError(f"{talked.missed} of {turns} questions were not answered")
        return talked.took_s

    async def talk(
        self,
        turns: int,
        *,
        lasting_s: float = 0.0,
        listen_s: float = 0.0,
        first: Callable[["RoughCaller"], Awaitable[None]] | None = None,
    ) -> Turns:
        """Ask so many times, and on until `lasting_s` have passed; cut each answer short after `listen_s`.

        Before each question, `first`. Turns in which this caller itself stuttered are asked once more. Raises CallError
        where a call is dead, or where the machine is too busy for one.
        """
        talked, until_s, missed_before = Turns(), time.monotonic() + lasting_s, 0
        while talked.counted < turns or time.monotonic() < until_s:
            if first is not None:
                await first(self)
            self.late_s = 0.0  # what was late before was silence
            try:
                took_s = await self.ask()
            except NotAnsweredError:
                talked.missed += 1
                if talked.missed - missed_before == MOST_MISSED:
                    raise
            else:
                missed_before = talked.missed
                talked.count(took_s, early=self.loud_between(self.onset_s, self.end_s), late_s=self.late_s)
                await asyncio.sleep(listen_s)
            await self.silence_agent()
            if talked.repeated > MOST_REPEATED + talked.counted:
                raise CallError("the machine is too busy for a caller that sends in time")
        return talked

    def loud_between(self, since_s: float, until_s: float) -> bool:
        """Whether the agent was heard then."""
        return any(each.rms > LOUD_RMS and each.at_s < until_s for each in self._since(since_s))

    def frames_missing(self, since_s: float, until_s: float) -> float:
        """The part of the agent's packets, 50 a second, that did not come in this time."""
        came = sum(since_s <= each.at_s < until_s for each in self.heard)
        return 1 - came / (50 * (until_s - since_s))

    def _next(self, form: Form, now_s: float) -> bytes:
        """The next packet of what is said."""
        if len(self._queue) == len(self._voice.speech) + len(self._voice.tail):
            self.onset_s = now_s - form.duration_ms / 1000
            self._undisturbed = False
        payload = self._queue.pop(0)
        if len(self._queue) == len(self._voice.tail):
            self.end_s = now_s
            assert self._asked is not None
            self._asked.set_result(None)
        return payload


def _untouched(packet: bytes, send: Send) -> None:
    send(packet)


async def call(
    http: httpx.AsyncClient, url: str, path: Path, form: Form | None = None
) -> tuple[RoughCaller, asyncio.Task[None]]:
    """A call that is connected, and the task that sends its sound."""
    caller = RoughCaller(http, url, path, form or Form())
    await caller.connect()
    return caller, asyncio.create_task(caller.send_for_ever())


async def hang_up(caller: RoughCaller, sending: asyncio.Task[None]) -> None:
    """End the call on both sides. Raises what ended the sending before."""
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    await caller.hang_up()


def _sparse(silence: list[bytes], number: int, period: int) -> bytes | None:
    """What is sent for packet `number` of a silence: libopus makes sound once a `period`, then a byte without any.

    That byte, which says that nothing follows, is sent by WebRTC, those after it are not (RFC 6716 section 3.1,
    modules/audio_coding/codecs/opus/opus_interface.cc).
    """
    sound, place = silence[number % len(silence)], number % period
    return sound if place == 0 else bytes([sound[0] & 0xFC]) if place == 1 else None
