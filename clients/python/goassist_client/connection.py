"""The WebRTC side of one call: a microphone out, the agent's packets in, and the data channel `oai-events`."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.rtp import RtpPacket

from goassist_client.errors import RefusedError
from goassist_client.loopback import offer_loopback_too
from goassist_client.microphone import MicrophoneTrack
from goassist_client.sound import Samples

CLOSE_TIMEOUT_S = 5.0


class Connection:
    """One peer connection; `offer`, `accept` the answer, `close`.

    on_message(text): from the data channel. on_packet(payload, rtp_timestamp): Opus, as it arrives.
    on_end(reason): the other side, or the network, ended it.
    """

    def __init__(
        self,
        ice_servers: list[RTCIceServer],
        *,
        live: Callable[[], Samples] | None,
        loopback: bool,
        on_message: Callable[[str], None],
        on_packet: Callable[[bytes, int], None],
        on_end: Callable[[str], None],
    ) -> None:
        self.microphone = MicrophoneTrack(live)
        self._on_packet = on_packet
        self._on_end = on_end
        self._peer = RTCPeerConnection(
            RTCConfiguration(iceServers=ice_servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._peer.on("connectionstatechange", self._state_changed)
        transceiver = self._peer.addTransceiver(self.microphone)
        transceiver.setCodecPreferences(
            [codec for codec in RTCRtpSender.getCapabilities("audio").codecs if codec.mimeType == "audio/opus"]
        )
        # aiortc's own path holds each packet for 80 ms and decodes in a thread; here arrival is what counts.
        transceiver.receiver._handle_rtp_packet = self._rtp_arrived  # type: ignore[method-assign]
        if loopback:
            offer_loopback_too(self._peer)
        # After the audio: aiortc connects a bundle through the first line of the offer, which audio is.
        self._channel: RTCDataChannel = self._peer.createDataChannel("oai-events")
        self._channel.on("message", on_message)
        self._channel.on("close", lambda: on_end("the server closed the call"))

    async def offer(self) -> str:
        """A complete SDP offer."""
        await self._peer.setLocalDescription(await self._peer.createOffer())
        return str(self._peer.localDescription.sdp)

    async def accept(self, answer_sdp: str) -> None:
        """Connect as the SDP answer says; returns before media flow. Raises RefusedError for what is no answer."""
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(answer_sdp, "answer"))
        except (ValueError, AttributeError, KeyError, IndexError, AssertionError) as error:
            raise RefusedError(f"the server's SDP answer cannot be understood: {error}") from error

    def send(self, text: str) -> None:
        """Send a message on the data channel."""
        self._channel.send(text)

    async def close(self) -> None:
        """Release everything."""
        # aiortc's close() can wait for a transport that never ends.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._peer.close(), CLOSE_TIMEOUT_S)
        self.microphone.stop()

    def _state_changed(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._on_end(f"the connection to the server {self._peer.connectionState}")

    async def _rtp_arrived(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        if packet.payload:
            self._on_packet(packet.payload, packet.timestamp)
