"""The caller's end of the line: a microphone that mixes what is around it, and an ear that notes what it hears."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.dialogue.sounds import Samples
from orchestrator.webrtc.opus import Decoder, Encoder
from orchestrator.webrtc.rtp import RtpPacket

RATE = 16_000
FRAME = RATE // 50
FRAME_S = 0.02
LOUD_RMS = 400.0
ROOM_NOISE = 4.0  # of INT16: a quiet room, never digital silence
ECHO_DELAY_FRAMES = 6


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame of the agent's sound: when it arrived, how loud it is."""

    at_s: float
    rms: float
    samples: Samples


class Ear:
    """Hears the agent. Give `packet` to the caller; times are those of the monotonic clock."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.changed = asyncio.Event()
        self._decoder = Decoder(RATE)

    def packet(self, at_s: float, packet: RtpPacket) -> None:
        """A packet arrived."""
        samples = np.frombuffer(self._decoder.decode(packet.payload), np.int16)
        floats = samples.astype(np.float32)
        self.heard.append(Heard(at_s, float(np.sqrt(floats @ floats / max(1, floats.size))), samples))
        self.changed.set()

    def loud(self, since_s: float, until_s: float = float("inf")) -> list[Heard]:
        """The loud frames of that time."""
        return [each for each in self.heard if since_s <= each.at_s <= until_s and each.rms > LOUD_RMS]

    def sound(self, since_s: float, until_s: float) -> Samples:
        """Everything heard in that time, silence included."""
        frames = [each.samples for each in self.heard if since_s <= each.at_s <= until_s]
        return np.concatenate(frames) if frames else np.zeros(0, np.int16)

    async def first_loud(self, since_s: float, *, timeout_s: float) -> float | None:
        """When the first loud frame since then came; None if none does within the time."""
        deadline = time.monotonic() + timeout_s
        while not (found := self.loud(since_s)):
            if not await self._more(deadline):
                return None
        return found[0].at_s

    async def quiet(self, for_s: float, *, timeout_s: float) -> bool:
        """Wait until nothing loud has come for that long; False where that takes longer than the time."""
        deadline = time.monotonic() + timeout_s
        while self.loud(time.monotonic() - for_s):
            if not await self._more(deadline):
                return False
        return True

    async def _more(self, deadline: float) -> bool:
        self.changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), 0.1)
        return time.monotonic() < deadline


@dataclass(frozen=True, slots=True, eq=False)
class Lull:
    """What is heard while a speaker pauses: a breath, the room."""

    sound: Samples


@dataclass(frozen=True, slots=True)
class Spoken:
    """When what was said was handed to the network: its beginning, its end, and its pauses."""

    onset_s: float
    end_s: float
    pauses: tuple[tuple[float, float], ...]


class Microphone:
    """Gives 20 ms at a time: what is being said, over noise and the agent's echo. Call `next_payload` every 20 ms."""

    def __init__(self, ear: Ear, *, noise: Samples | None = None, echo_db: float | None = None) -> None:
        self._ear = ear
        self._encoder = Encoder(RATE)
        self._noise = noise
        self._room = np.random.default_rng(1)
        self._echo_gain = 0.0 if echo_db is None else 10 ** (echo_db / 20)
        self._echo: deque[Samples] = deque([np.zeros(FRAME, np.int16)] * ECHO_DELAY_FRAMES)
        self._returned = 0  # frames of the ear's that have come back
        self._ticks = 0
        self._saying: deque[tuple[Samples, bool]] = deque()  # frames, and whether they are speech
        self._times: list[tuple[float, bool]] = []
        self._done: asyncio.Future[None] | None = None

    async def say(self, *parts: Samples | Lull | int) -> Spoken:
        """Say the parts, with lulls or pauses of so many ms between them; returns when the last frame is on its way."""
        for part in parts:
            match part:
                case int():
                    self._saying += [(np.zeros(FRAME, np.int16), False)] * round(part / 20)
                case Lull(sound):
                    self._saying += [(frame, False) for frame in _frames(sound)]
                case _:
                    self._saying += [(frame, True) for frame in _frames(part)]
        self._times = []
        self._done = asyncio.get_running_loop().create_future()
        await self._done
        return _spoken(self._times)

    def next_payload(self) -> bytes:
        """The Opus payload of the next 20 ms."""
        mixed = self._room.normal(0, ROOM_NOISE, FRAME)
        if self._noise is not None:
            start = self._ticks * FRAME % (self._noise.size - FRAME)
            mixed += self._noise[start : start + FRAME]
        mixed += self._echo_gain * self._next_echo()
        if self._saying:
            frame, speech = self._saying.popleft()
            mixed += frame
            self._times.append((time.monotonic(), speech))
            if not self._saying and self._done is not None:
                self._done.set_result(None)
                self._done = None
        self._ticks += 1
        return self._encoder.encode(np.clip(mixed, -32768, 32767).astype(np.int16).tobytes())

    def _next_echo(self) -> npt.NDArray[np.int16]:
        # One frame in, one frame out: the agent's frames come at the pace of ours.
        frames = self._ear.heard
        if self._returned < len(frames):
            self._returned = max(self._returned, len(frames) - 2)  # what came in a burst is skipped, not delayed
            self._echo.append(frames[self._returned].samples)
            self._returned += 1
        else:
            self._echo.append(np.zeros(FRAME, np.int16))
        frame = self._echo.popleft()
        return frame if frame.size == FRAME else np.resize(frame, FRAME)


def _frames(sound: Samples) -> npt.NDArray[np.int16]:
    return np.pad(sound, (0, -sound.size % FRAME)).reshape(-1, FRAME)


def _spoken(times: list[tuple[float, bool]]) -> Spoken:
    pauses, began = [], None
    for at_s, speech in times:
        if not speech and began is None:
            began = at_s
        elif speech and began is not None:
            pauses.append((began, at_s))
            began = None
    return Spoken(times[0][0] - FRAME_S, times[-1][0], tuple(pauses))
