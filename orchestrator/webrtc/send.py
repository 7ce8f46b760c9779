"""Playout → Opus → RTP: one packet every 20 ms, whether the agent speaks or not."""

import functools
import random
from collections.abc import Callable

from orchestrator.webrtc import rtp
from orchestrator.webrtc.opus import FRAME_S, Encoder
from orchestrator.webrtc.playout import DEFAULT_SAMPLE_RATE, Playout

FRAME_UNITS = int(rtp.CLOCK_RATE * FRAME_S)
MAX_FADING_FRAMES = 50  # encoded after speech before the encoder is replaced by silence in any case


@functools.cache
def silent_payload(sample_rate: int) -> bytes:
    """What an encoder of that rate makes of digital silence: three bytes that decode to silence after any frame.

    Encoding it sets encoder and decoder to the same state, so repeating it keeps them in step without encoding.
    """
    return Encoder(sample_rate).encode(bytes(2 * int(sample_rate * FRAME_S)))


class Sender:
    """The agent's voice on one call. `transmit` gets each RTP packet, still unprotected.

    `tick` must be called every 20 ms. After speech the encoder is fed silence until its own output is the silent
    payload (its filters ring for up to 0.4 s), then that payload is repeated without encoding.
    """

    def __init__(self, playout: Playout, transmit: Callable[[bytes], None], *, payload_type: int, ssrc: int) -> None:
        self.ssrc = ssrc
        self.active = True  # False while the client does not want to hear: sound then passes unsent
        self.payload_type = payload_type
        self.packets = self.octets = 0
        self.timestamp = random.getrandbits(32)  # of the packet sent last
        # The lower half, so that the 16 bits do not wrap in the first packets, where SRTP receivers cannot tell yet.
        self._sequence = random.getrandbits(15)
        self._playout = playout
        self._transmit = transmit
        self._encoder: Encoder | None = None
        self._fading_frames = 0  # still to be encoded before silence is repeated
        self._silent = silent_payload(DEFAULT_SAMPLE_RATE)
        self._spoke = False

    def tick(self) -> None:
        """Send the next 20 ms."""
        frame = self._playout.next_frame()
        self.timestamp = self.timestamp + FRAME_UNITS & 0xFFFFFFFF
        if not self.active:
            return
        marker = False
        if frame is not None:
            marker, self._spoke = not self._spoke, True
            payload = self._speech(frame)
        else:
            self._spoke = False
            payload = self._silence()
        self._sequence = self._sequence + 1 & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        self._transmit(
            rtp.header(self.payload_type, self._sequence, self.timestamp, self.ssrc, marker=marker) + payload
        )

    def _speech(self, frame: bytes) -> bytes:
        self._fading_frames = MAX_FADING_FRAMES
        rate = self._playout.sample_rate
        if self._encoder is None or self._encoder.sample_rate != rate:
            self._encoder = Encoder(rate)
            self._silent = silent_payload(rate)
        return self._encoder.encode(frame)

    def _silence(self) -> bytes:
        if self._fading_frames and self._encoder:
            self._fading_frames -= 1
            payload = self._encoder.encode(bytes(2 * self._encoder.frame_samples))
            if payload == self._silent:
                self._fading_frames = 0
            elif not self._fading_frames:
                self._encoder = None
            return payload
        return self._silent
