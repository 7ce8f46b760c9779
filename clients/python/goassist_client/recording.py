"""What the client hears: every packet of the agent's sound with the time it arrived."""

from bisect import bisect_left
from dataclasses import dataclass

import av
import numpy as np

from goassist_client.sound import SILENCE_DBFS, Samples, level_dbfs

SAMPLE_RATE = 48_000
AUDIBLE_DBFS = -55.0


@dataclass(frozen=True, slots=True)
class Packet:
    """One decoded packet: arrival on the client's clock, place on the RTP clock, and how loud it is."""

    at_s: float
    timestamp: int
    duration_s: float
    level_dbfs: float
    samples: Samples

    @property
    def audible(self) -> bool:
        """Whether a person would hear something in it."""
        return self.level_dbfs > AUDIBLE_DBFS


class Recording:
    """The agent's sound at 48 kHz, packet by packet in the order of arrival.

    Without `keep_samples` it holds levels only, for calls that are long or many.
    """

    def __init__(self, *, keep_samples: bool = True) -> None:
        self.packets: list[Packet] = []
        self._keep_samples = keep_samples
        decoder = av.CodecContext.create("libopus", "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.sample_rate = SAMPLE_RATE
        decoder.layout = "mono"
        decoder.format = "s16"
        self._decoder = decoder

    def add(self, payload: bytes, timestamp: int, at_s: float) -> Packet:
        """Decode one Opus payload; `timestamp` is that of RTP (48 kHz, wraps at 2**32)."""
        samples = np.concatenate([frame.to_ndarray()[0] for frame in self._decoder.decode(av.Packet(payload))])
        kept = samples if self._keep_samples else samples[:0]
        packet = Packet(at_s, timestamp, len(samples) / SAMPLE_RATE, level_dbfs(samples), kept)
        self.packets.append(packet)
        return packet

    def between(self, since_s: float = 0.0, until_s: float = float("inf")) -> list[Packet]:
        """The packets that arrived in [since_s, until_s)."""
        first = bisect_left(self.packets, since_s, key=_arrival)
        return self.packets[first : bisect_left(self.packets, until_s, key=_arrival)]

    def samples(self, since_s: float = 0.0, until_s: float = float("inf")) -> Samples:
        """The sound that arrived in that time, each packet at its RTP place: what was lost is silence."""
        packets = self.between(since_s, until_s)
        if not packets or not self._keep_samples:
            return np.zeros(0, np.int16)
        # Signed distance on a clock that wraps (RFC 3550, 5.1).
        places = [(packet.timestamp - packets[0].timestamp + 2**31) % 2**32 - 2**31 for packet in packets]
        first = min(places)
        last = max(place + len(packet.samples) for place, packet in zip(places, packets, strict=True))
        out = np.zeros(last - first, np.int16)
        for place, packet in zip(places, packets, strict=True):
            out[place - first : place - first + len(packet.samples)] = packet.samples
        return out

    def resampled(self, sample_rate: int, since_s: float = 0.0, until_s: float = float("inf")) -> Samples:
        """The same sound at another rate, for example 16 kHz for a recogniser."""
        samples = self.samples(since_s, until_s)
        if len(samples) == 0:
            return samples
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate)
        return np.concatenate([out.to_ndarray()[0] for out in resampler.resample(frame) + resampler.resample(None)])

    def first_audible_s(self, since_s: float = 0.0) -> float | None:
        """When the first audible packet since then arrived; None where there was none."""
        for index in range(bisect_left(self.packets, since_s, key=_arrival), len(self.packets)):
            if self.packets[index].audible:
                return self.packets[index].at_s
        return None

    def last_audible_s(self, since_s: float = 0.0, until_s: float = float("inf")) -> float | None:
        """When the last audible packet of that time arrived; None where there was none."""
        for index in range(bisect_left(self.packets, until_s, key=_arrival) - 1, -1, -1):
            packet = self.packets[index]
            if packet.at_s < since_s:
                break
            if packet.audible:
                return packet.at_s
        return None

    def audible_s(self, since_s: float = 0.0, until_s: float = float("inf")) -> float:
        """Seconds of audible sound in that time."""
        return sum(packet.duration_s for packet in self.between(since_s, until_s) if packet.audible)

    def level_dbfs(self, since_s: float = 0.0, until_s: float = float("inf")) -> float:
        """How loud the audible sound of that time is on average; SILENCE_DBFS where there was none."""
        levels = [packet.level_dbfs for packet in self.between(since_s, until_s) if packet.audible]
        return 10 * float(np.log10(np.mean(10 ** (np.array(levels) / 10)))) if levels else SILENCE_DBFS


def _arrival(packet: Packet) -> float:
    return packet.at_s
