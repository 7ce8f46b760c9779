"""What the agent says, cut into 20 ms frames at the pace of whoever takes them.

Pure but for `room`: no clock and no task. The taker (orchestrator/webrtc/send.py, or a WebSocket) asks for one frame
every 20 ms; time passes only by that.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

from orchestrator.webrtc.opus import FRAME_S, SAMPLE_RATES
from orchestrator.webrtc.resample import Resampler

BUFFER_LIMIT_S = 10.0
FADE_S = 0.005
# As long as a loudspeaker's sound takes to come back as an echo, and from it the way it takes can be learned.
RECENT_S = 1.5
RECENT_RATE = 16_000
_RECENT_BYTES = 2 * int(RECENT_RATE * RECENT_S)
_RECENT_FRAMES = int(RECENT_S / FRAME_S)
DEFAULT_SAMPLE_RATE = 24000


class Playout:
    """The sound of one response at a time, INT16 mono.

    `on_started(turn)` is called when the first frame of a response is taken, `on_finished(turn)` when 20 ms have passed
    since its last one was, unless it was cleared before. Both are called out of `next_frame`, so they must be quick.

    Whenever sound stops in the midst of a response (a pause, an underrun, `clear`), the 5 ms that would have come next
    are faded out; where it goes on, it goes on with the same 5 ms faded in, so that no sample is lost and none clicks.
    """

    def __init__(self, *, on_started: Callable[[int], None], on_finished: Callable[[int], None]) -> None:
        self._on_started = on_started
        self._on_finished = on_finished
        self.sample_rate = DEFAULT_SAMPLE_RATE  # of the frame that was taken last
        self._rate = DEFAULT_SAMPLE_RATE  # of the response
        self._turn: int | None = None
        self._buffer = bytearray()
        self._resampler: Resampler | None = None
        self._source_rate = 0
        self._taken = 0  # samples of this response handed to the network
        self._ended = False
        self._paused = False
        self._sounding = False  # the frame taken last ended in full sound
        self._lead = bytearray()  # what is left of the response before, and is heard first
        self._started = False  # `on_started` was called for this response
        self._tail: bytes | None = None  # the faded end of what was cleared
        self._marks: deque[tuple[int, Callable[[], None]]] = deque()
        # What was sent lately, at 16 kHz but for the frames that nobody has asked for since. The silence between is in
        # it: an echo comes back as late after a pause as it did before.
        self._recent = bytearray()
        self._recent_resampler = Resampler(DEFAULT_SAMPLE_RATE, RECENT_RATE)
        self._unconverted: deque[bytes] = deque(maxlen=_RECENT_FRAMES)
        self._silent_frames = _RECENT_FRAMES  # since the last sound, as far as they matter
        self._has_room = asyncio.Event()
        self._has_room.set()

    @property
    def turn(self) -> int | None:
        """The turn whose response is played or awaited; None where there is none."""
        return self._turn

    @property
    def played_s(self) -> float:
        """How much of the response's sound was handed to the network; kept until the next `begin`."""
        return self._taken / self._rate

    @property
    def buffered_s(self) -> float:
        """How much of the response's sound waits."""
        return len(self._buffer) / 2 / self._rate

    def begin(self, turn: int) -> None:
        """A new response; what is left of another one is cleared, unless `leave` was called."""
        lead = bytes(self._lead)
        self.clear()
        self._lead += lead
        self._turn = turn
        self._taken = 0
        self._started = False

    def leave(self) -> None:
        """The response counts as over, but the listener plays what is left of it before the next one."""
        left = bytes(self._lead + self._buffer)
        self._sounding = False  # it goes on: there is nothing to fade
        self.clear()
        self._lead += left

    def write(self, pcm16: bytes, sample_rate: int) -> None:
        """Append sound. Nothing is ever dropped: who writes more than `BUFFER_LIMIT_S` ahead should await `room`.

        A response keeps the rate that it began with, or the next one that Opus takes; sound at another rate is
        resampled. Raises ValueError without a response that is open, or for half a sample.
        """
        if self._turn is None or self._ended:
            raise ValueError("no response is open: call begin() first")
        if len(pcm16) % 2:
            raise ValueError(f"INT16 sound cannot have {len(pcm16)} bytes")
        if not pcm16:
            return
        if sample_rate != self._source_rate:
            self._switch(sample_rate)
        self._buffer += self._resampler.push(pcm16) if self._resampler else pcm16
        if self.buffered_s > BUFFER_LIMIT_S:
            self._has_room.clear()

    def recent_16k(self) -> bytes:
        """What the listener got in the last 1.5 s, silence included, from the first sound on: INT16 mono at 16 kHz."""
        if self._unconverted:
            sound = b"".join(self._unconverted)
            self._unconverted.clear()
            self._recent += sound if self._rate == RECENT_RATE else self._recent_resampler.push(sound)
            del self._recent[:-_RECENT_BYTES]
        return bytes(self._recent)

    def mark(self, reached: Callable[[], None]) -> None:
        """Call `reached` once all sound written so far has been taken; never, where the response is cleared before."""
        self._marks.append((self._taken + len(self._buffer) // 2, reached))

    def end(self) -> None:
        """No more sound comes for this response."""
        if self._resampler:
            self._buffer += self._resampler.flush()
            self._resampler = None
        self._ended = True

    def pause(self) -> None:
        """Fall silent with the next frame, and keep what is left."""
        self._paused = True

    def resume(self) -> None:
        """Go on where `pause` stopped."""
        self._paused = False

    def clear(self) -> None:
        """Fall silent with the next frame, and throw the rest away; the response is over without `on_finished`."""
        if self._sounding:
            self._tail = self._fade_out()
        self._sounding = self._ended = self._paused = False
        self._turn = None
        self._lead.clear()
        self._buffer.clear()
        self._resampler = None
        self._source_rate = 0
        self._marks.clear()
        self._has_room.set()

    def close(self) -> None:
        """The call is over: give the memory back, which would else wait for the garbage collector."""
        self.clear()
        self._recent.clear()
        self._unconverted.clear()

    async def room(self) -> None:
        """Return once no more than `BUFFER_LIMIT_S` wait to be played."""
        await self._has_room.wait()

    def next_frame(self) -> bytes | None:
        """The next 20 ms at `sample_rate`, to be called every 20 ms; None is silence."""
        frame = self._next_frame()
        if frame is not None:
            self._unconverted.append(frame)
            self._silent_frames = 0
        elif self._silent_frames < _RECENT_FRAMES:
            self._unconverted.append(bytes(2 * int(self._rate * FRAME_S)))
            self._silent_frames += 1
        return frame

    def _next_frame(self) -> bytes | None:
        if self._tail is not None:
            frame, self._tail = self._tail, None
            return frame
        self.sample_rate = self._rate
        size, waiting = 2 * int(self._rate * FRAME_S), len(self._buffer)
        if self._lead and not self._paused:
            return self._take_lead(size)
        if self._turn is None:
            return None
        # 5 ms are held back until the end is known, to be faded out should the rest be late.
        enough = waiting > 0 if self._ended else waiting >= size + 2 * int(self._rate * FADE_S)
        if enough and not self._paused:
            return self._take(size)
        if self._sounding and not (self._ended and not waiting):
            self._sounding = False
            return self._fade_out()
        if self._ended and not waiting and not self._paused:
            self._finish()
        return None

    def _take_lead(self, size: int) -> bytes:
        frame = bytes(memoryview(self._lead)[:size])
        del self._lead[:size]
        if self._buffer:
            self._start()
        return frame.ljust(size, b"\0")

    def _start(self) -> None:
        """The response is heard from now on, or behind what is left of the one before."""
        if self._turn is not None and not self._started:
            self._started = True
            self._on_started(self._turn)

    def _take(self, size: int) -> bytes:
        frame = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        first = self._taken == 0
        if not self._sounding and not first:
            frame = _faded(frame, self._rate, rising=True)
        self._sounding = True
        self._taken += len(frame) // 2
        if self.buffered_s <= BUFFER_LIMIT_S:
            self._has_room.set()
        if first:
            self._start()
        while self._marks and self._marks[0][0] <= self._taken:
            self._marks.popleft()[1]()
        return frame.ljust(size, b"\0")

    def _fade_out(self) -> bytes:
        """One frame: the next 5 ms fading away, then silence. They stay in the buffer."""
        size, fade = int(self._rate * FRAME_S), int(self._rate * FADE_S)
        return _faded(bytes(self._buffer[: 2 * fade]), self._rate, rising=False).ljust(2 * size, b"\0")

    def _finish(self) -> None:
        turn = self._turn
        self._turn, self._ended, self._sounding = None, False, False
        self._source_rate = 0
        if turn is not None:
            self._on_finished(turn)

    def _switch(self, sample_rate: int) -> None:
        if not 8000 <= sample_rate <= 192000:
            raise ValueError(f"cannot play sound at {sample_rate} Hz: 8000 to 192000 are possible")
        if self._resampler:
            self._buffer += self._resampler.flush()
        if self._source_rate == 0:
            rate = next((rate for rate in SAMPLE_RATES if rate >= sample_rate), SAMPLE_RATES[-1])
            if rate != self._rate:
                self._recent.clear()
                self._unconverted.clear()
                self._lead = bytearray(2 * (len(self._lead) // 2 * rate // self._rate))
                self._rate, self._recent_resampler = rate, Resampler(rate, RECENT_RATE)
        self._source_rate = sample_rate
        self._resampler = Resampler(sample_rate, self._rate) if sample_rate != self._rate else None


def _faded(pcm16: bytes, sample_rate: int, *, rising: bool) -> bytes:
    """The same sound with its first 5 ms, or all that there is, fading in or out."""
    samples = np.frombuffer(pcm16, "<i2").astype(np.float32)
    length = min(int(sample_rate * FADE_S), len(samples))
    ramp = (np.arange(length, dtype=np.float32) + 1) / (length + 1)
    samples[:length] *= ramp if rising else ramp[::-1]
    return bytes(samples.astype("<i2").tobytes())
