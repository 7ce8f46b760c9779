"""The client's microphone: a track that sends Opus packets in real time, silence where there is nothing to say."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

from goassist_client.sound import MICROPHONE_RATE, Samples

FRAME_S = 0.02
FRAME_SAMPLES = int(MICROPHONE_RATE * FRAME_S)
OPUS_CLOCK = 48_000

_SILENCE = np.zeros(FRAME_SAMPLES, np.int16)
# After so many frames of silence the encoder's answers differ no more, and the last one is sent again.
SETTLED_FRAMES = 10


class Playing:
    """Samples under way through the microphone."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.position = 0
        # When the last sample was sent (time.monotonic); None where the rest was dropped.
        self.ended: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()

    def end(self, at_s: float | None) -> None:
        """Tell whoever waits, unless the waiting was given up."""
        if not self.ended.done():
            self.ended.set_result(at_s)


class MicrophoneTrack(MediaStreamTrack):
    """An audio track of 20 ms Opus packets, encoded here: aiortc then neither resamples nor uses a thread."""

    kind = "audio"

    def __init__(self, live: Callable[[], Samples] | None = None) -> None:
        """`live`, where given, is asked for FRAME_SAMPLES samples at each packet that plays nothing else."""
        super().__init__()
        self._live = live
        self._queue: deque[Playing] = deque()
        self._encoder = av.CodecContext.create("libopus", "w")
        assert isinstance(self._encoder, av.AudioCodecContext)
        self._encoder.sample_rate = MICROPHONE_RATE
        self._encoder.layout = "mono"
        self._encoder.format = "s16"
        self._encoder.bit_rate = 32_000
        self._encoder.options = {"application": "voip", "compression_level": "3"}
        self._started_at: float | None = None
        self._packets = 0
        self._silent_frames = 0
        self._silent_packet = b""

    def play(self, samples: Samples) -> Playing:
        """Queue samples (16 kHz) behind those that are still being played."""
        playing = Playing(samples)
        self._queue.append(playing)
        return playing

    def drop(self, playing: Playing) -> None:
        """Send no more of it; harmless where it has ended."""
        if playing in self._queue:
            self._queue.remove(playing)
            playing.end(None)

    async def recv(self) -> "av.Packet[Any]":
        """The next packet, at its time; packets that are overdue are returned at once."""
        if self.readyState != "live":
            raise MediaStreamError
        now = time.monotonic()
        if self._started_at is None:
            self._started_at = now
        due = self._started_at + self._packets * FRAME_S
        if due > now:
            await asyncio.sleep(due - now)
        packet = self._encode(self._next_frame())
        packet.pts = round(self._packets * FRAME_S * OPUS_CLOCK)
        packet.time_base = Fraction(1, OPUS_CLOCK)
        self._packets += 1
        return packet

    def stop(self) -> None:
        """End the track and drop what is queued."""
        while self._queue:
            self._queue.popleft().end(None)
        super().stop()

    def _next_frame(self) -> NDArray[np.int16]:
        if not self._queue:
            return self._live() if self._live else _SILENCE
        playing = self._queue[0]
        frame = playing.samples[playing.position : playing.position + FRAME_SAMPLES]
        playing.position += FRAME_SAMPLES
        if playing.position >= len(playing.samples):
            self._queue.popleft()
            playing.end(time.monotonic() + len(frame) / MICROPHONE_RATE)
        if len(frame) < FRAME_SAMPLES:
            frame = np.concatenate([frame, _SILENCE[len(frame) :]])
        return frame

    def _encode(self, samples: NDArray[np.int16]) -> "av.Packet[Any]":
        self._silent_frames = self._silent_frames + 1 if samples is _SILENCE else 0
        if self._silent_frames > SETTLED_FRAMES:
            return av.Packet(self._silent_packet)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = MICROPHONE_RATE
        (packet,) = self._encoder.encode(frame)
        if self._silent_frames == SETTLED_FRAMES:
            self._silent_packet = bytes(packet)
        return packet
