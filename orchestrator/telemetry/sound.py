"""Counters that detection and reception keep themselves, read at each scrape: a window or a packet costs no more."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from orchestrator.vad import VoiceDetector
from orchestrator.webrtc.received import Received, ReceivedSound


class SoundCounters(Collector):
    """Zero until `detector` and `received` are set."""

    detector: VoiceDetector | None = None
    received: ReceivedSound | None = None

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counters as they are now."""
        detector = self.detector
        windows, calls, busy_s = (detector.windows, detector.calls, detector.busy_s) if detector else (0, 0, 0.0)
        received = self.received.total if self.received else Received()
        for name, value, text in (
            ("vad_windows", windows, "Windows of 32 ms that voice detection judged"),
            ("vad_calls", calls, "Calls of the voice detection model, each for a window of every session that had one"),
            ("vad_seconds", busy_s, "Time that voice detection took"),
            ("rtp_packets_received", received.packets, "RTP packets of callers' sound"),
            ("rtp_packets_lost", received.lost, "RTP packets of callers' sound missing when their turn came"),
            ("rtp_packets_concealed", received.concealed, "Lost RTP packets whose sound was made up or recovered"),
            ("rtp_silence_seconds", received.silence_s, "Silence filled in where callers sent nothing"),
        ):
            yield CounterMetricFamily(f"goassist_{name}", text, value=value)
