"""Both directions of one call's sound, moved on by the ticker every 20 ms."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.webrtc.aiortc_internals import MediaTransport
from orchestrator.webrtc.playout import Playout
from orchestrator.webrtc.receive import Receiver
from orchestrator.webrtc.rtcp import Reports
from orchestrator.webrtc.send import Sender


@dataclass(frozen=True, slots=True)
class AudioCounters:
    """What a call has sent and received so far, in packets unless said otherwise."""

    sent: int
    received: int
    lost: int  # missing when their turn came
    concealed: int  # of these, those whose sound was made up or recovered
    late: int
    duplicate: int
    reordered: int
    malformed: int
    rejected: int  # malformed, not decryptable, or from a stranger
    silence_s: float  # filled in where the client sent nothing
    round_trip_s: float | None
    lost_at_client: float  # the part of our packets that the client missed lately


class CallAudio:
    """The speaker's and the microphone's path. `payload_type`, `ssrc` and `cname` are what the answer announces."""

    def __init__(
        self,
        playout: Playout,
        deliver: Callable[[bytes], None],
        transport: MediaTransport,
        *,
        payload_type: int,
        ssrc: int,
        cname: str,
    ) -> None:
        self._transport = transport
        self._sender = Sender(playout, transport.send_rtp, payload_type=payload_type, ssrc=ssrc)
        self._receiver = Receiver(payload_type, deliver)
        self._reports = Reports(self._sender, self._receiver, cname=cname, transmit=transport.send_rtcp)
        self.rtcp_received = self._reports.received
        self.hang_up = self._reports.bye

    def rtp_received(self, packet: bytes) -> None:
        """Take one decrypted packet of the microphone."""
        self._receiver.push(packet, time.monotonic())

    def tick(self) -> None:
        """20 ms have passed."""
        self._sender.tick()
        self._receiver.tick()
        self._reports.tick()

    def renumber(self, payload_type: int) -> None:
        """A further answer announces this payload type: send by it from now on, and take it, too."""
        self._sender.payload_type = payload_type
        self._receiver.accept(payload_type)

    def mute(self, muted: bool) -> None:
        """Whether the client does not want to hear the agent; playout then runs on unheard."""
        self._sender.active = not muted

    @property
    def counters(self) -> AudioCounters:
        """For metrics."""
        counters, window = self._receiver.counters, self._receiver.window
        return AudioCounters(
            sent=self._sender.packets,
            received=counters.received,
            lost=window.lost,
            concealed=counters.concealed,
            late=window.late,
            duplicate=window.duplicate + self._transport.duplicates,
            reordered=window.reordered,
            malformed=counters.malformed,
            rejected=self._transport.rejected,
            silence_s=counters.silence_s,
            round_trip_s=self._reports.round_trip_s,
            lost_at_client=self._reports.lost_at_client,
        )
