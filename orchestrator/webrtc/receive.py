"""RTP of the user's microphone → INT16 mono sound at 16 kHz, in order, with every hole filled.

There is no jitter buffer: nobody listens to this sound, it goes to detection and recognition, which take it as it
comes. So delay cannot grow, and a sender whose clock is fast or slow simply sends more or less sound per second.
"""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.webrtc import rtp
from orchestrator.webrtc.opus import Decoder, OpusError
from orchestrator.webrtc.reorder import ReorderWindow

SAMPLE_RATE = 16000
PATIENCE_TICKS = 2  # of 20 ms, after which packets no longer wait for a missing one
SILENT_TICKS = 6  # that a packet is overdue, after which silence takes its place
ANNOUNCED_TICKS = 1  # the same where the sender has said that it sends nothing
MAX_CONCEALED = 5  # lost packets in a row that are concealed; silence stands for more
MAX_HOLE = rtp.CLOCK_RATE  # a larger jump of the timestamp is a new timeline, not a hole

_UNITS = rtp.CLOCK_RATE // SAMPLE_RATE  # RTP clock units per sample
_SHORTEST = rtp.CLOCK_RATE // 400  # Opus conceals in steps of 2.5 ms
_TICK = rtp.CLOCK_RATE // 50
_NOTHING_FOLLOWS = 2  # bytes at most: an encoder that transmits discontinuously need not send more (opus_encode)


@dataclass(slots=True)
class ReceiveCounters:
    """Packets and sound of one call, since it began."""

    received: int = 0
    malformed: int = 0  # not RTP, not Opus, or of another payload type
    concealed: int = 0  # lost packets whose sound was made up, or recovered from the next packet
    silence_s: float = 0.0  # filled in where nothing was sent


@dataclass(slots=True)
class _Stream:
    """What RFC 3550 (appendix A.3 and A.8) keeps of a source, for receiver reports."""

    ssrc: int
    first: int
    highest: int  # extended: the number of wraps in the upper 16 bits
    received: int = 0
    expected_before: int = 0
    received_before: int = 0
    jitter: float = 0.0
    transit: float | None = None

    def add(self, sequence: int, timestamp: int, arrived_s: float) -> None:
        self.received += 1
        ahead = (sequence - self.highest) & 0xFFFF
        if ahead < 0x8000:
            self.highest += ahead
        transit = (arrived_s * rtp.CLOCK_RATE - timestamp) % 2**32
        if self.transit is not None:
            difference = abs(transit - self.transit)
            self.jitter += (min(difference, 2**32 - difference) - self.jitter) / 16
        self.transit = transit


@dataclass(frozen=True, slots=True)
class Reception:
    """A receiver report's contents: `fraction_lost` in 1/256 since the last one, `jitter` in RTP clock units."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int


class Receiver:
    """One microphone. `deliver` gets INT16 mono 16 kHz sound and must be quick.

    `push` takes packets as they come; `tick` must be called every 20 ms, and is the only clock: it gives up on missing
    packets and lets silence pass where a sender has stopped (discontinuous transmission, a muted or stalled client).
    """

    def __init__(self, payload_type: int, deliver: Callable[[bytes], None]) -> None:
        self.counters = ReceiveCounters()
        self.window: ReorderWindow[rtp.RtpPacket] = ReorderWindow()
        self._payload_types = {payload_type}
        self._deliver = deliver
        self._decoder = Decoder(SAMPLE_RATE)
        self._stream: _Stream | None = None
        self._due: int | None = None  # the timestamp that would follow what was delivered
        self._duration = _TICK  # of the packet received last, in RTP clock units
        self._patience = SILENT_TICKS
        self._filled = 0  # silence delivered ahead of the packets that have not come, in the same units
        self._quiet_ticks = 0
        self._waited_ticks = 0

    def accept(self, payload_type: int) -> None:
        """Opus has this number, too. The one before stays its own (RFC 3264 section 8.3.2), and may come still."""
        self._payload_types.add(payload_type)

    def push(self, datagram: bytes, arrived_s: float) -> None:
        """Take one decrypted RTP packet that arrived at `arrived_s` of any steady clock."""
        try:
            packet = rtp.parse(datagram)
        except ValueError:
            self.counters.malformed += 1
            return
        if packet.payload_type not in self._payload_types or not packet.payload:
            self.counters.malformed += 1
            return
        stream = self._stream
        if stream is None or packet.ssrc != stream.ssrc:
            stream = self._follow(packet)
        self.counters.received += 1
        stream.add(packet.sequence, packet.timestamp, arrived_s)
        self._quiet_ticks = 0
        due = self.window.push(packet.sequence, packet)
        if due:  # what waits still, waits for another one
            self._waited_ticks = 0
        for missing, each in due:
            self._play(missing, each)

    def tick(self) -> None:
        """20 ms have passed."""
        if self.window.waiting:
            self._waited_ticks += 1
            if self._waited_ticks >= PATIENCE_TICKS:
                self._waited_ticks = 0
                for missing, each in self.window.flush():
                    self._play(missing, each)
        if self._stream is None:
            return
        self._quiet_ticks += 1
        overdue = self._quiet_ticks - self._duration // _TICK
        if overdue >= self._patience:
            silence = (self._patience if overdue == self._patience else 1) * _TICK
            self._filled += silence
            self._deliver_silence(silence)

    def reception(self) -> Reception | None:
        """What a receiver report says now; None before the first packet. Each call begins a new interval."""
        stream = self._stream
        if stream is None:
            return None
        expected = stream.highest - stream.first + 1
        due, came = expected - stream.expected_before, stream.received - stream.received_before
        stream.expected_before, stream.received_before = expected, stream.received
        return Reception(
            stream.ssrc,
            max(0, due - came) * 256 // due if due > 0 else 0,
            max(-(2**23), min(2**23 - 1, expected - stream.received)),
            stream.highest & 0xFFFFFFFF,
            int(stream.jitter),
        )

    def _follow(self, packet: rtp.RtpPacket) -> _Stream:
        """Listen to a new source: the first one, or the one that a client switched to."""
        for missing, each in self.window.flush():
            self._play(missing, each)
        self.window.forget()
        self._due = None
        self._stream = _Stream(packet.ssrc, packet.sequence, packet.sequence)
        return self._stream

    def _play(self, missing: int, packet: rtp.RtpPacket) -> None:
        if self._due is not None:
            hole = ((packet.timestamp - self._due) & 0xFFFFFFFF) - self._filled
            if 0 < hole <= MAX_HOLE:
                self._fill(hole, missing, packet.payload)
        self._filled = 0
        try:
            sound = self._decoder.decode(packet.payload)
        except OpusError:
            self.counters.malformed += 1
            sound = self._decoder.conceal(self._duration // _UNITS)
        self._duration = len(sound) // 2 * _UNITS
        self._patience = ANNOUNCED_TICKS if len(packet.payload) <= _NOTHING_FOLLOWS else SILENT_TICKS
        self._due = packet.timestamp + self._duration & 0xFFFFFFFF
        self._deliver(sound)

    def _fill(self, hole: int, missing: int, next_payload: bytes) -> None:
        """Make up for `hole` clock units before a packet: silence where nothing was sent, else concealment."""
        step = self._duration - self._duration % _SHORTEST or _SHORTEST
        concealed = min(missing, hole // step, MAX_CONCEALED)
        self.counters.concealed += concealed
        for _ in range(concealed - 1):
            self._deliver(self._decoder.conceal(step // _UNITS))
        if hole > concealed * step:
            self._deliver_silence(hole - concealed * step)
        if concealed:
            self._deliver(self._recover(next_payload, step // _UNITS))

    def _recover(self, next_payload: bytes, samples: int) -> bytes:
        try:
            return self._decoder.recover(next_payload, samples)
        except OpusError:  # a malformed payload, which is counted when its own turn comes
            return self._decoder.conceal(samples)

    def _deliver_silence(self, units: int) -> None:
        self.counters.silence_s += units / rtp.CLOCK_RATE
        self._deliver(bytes(2 * (units // _UNITS)))
