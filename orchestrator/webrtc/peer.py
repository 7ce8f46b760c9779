"""One WebRTC call: aiortc's ICE, DTLS and SCTP around our own audio paths."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Protocol

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.sdp import candidate_from_sdp

from orchestrator.errors import InvalidRequestError
from orchestrator.webrtc import aiortc_internals, aiortc_sctp, consent, datachannel, gathering, sdp
from orchestrator.webrtc.audio import AudioCounters, CallAudio
from orchestrator.webrtc.plane import MediaPlane
from orchestrator.webrtc.playout import Playout

_log = logging.getLogger(__name__)

SETUP_TIMEOUT_S = 15.0
OPEN_EVENTS_AFTER_S = 2.0  # where the client has not opened the events channel by then, we do
HEARTBEAT_S = 1.0
PROBE_AFTER_S = 3.0  # of silence on the wire, every heartbeat asks for a sign of life
LOST_AFTER_S = 10.0
CLOSE_TIMEOUT_S = 5.0

# What aiortc raises for an offer that it cannot work with.
_REFUSALS = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
)


class PeerObserver(Protocol):
    """Who a call's sound and messages are for. None of these may block or raise."""

    def connected(self) -> None:
        """The client is there: frames are sent from now on."""

    def audio_received(self, pcm16_16k: bytes) -> None:
        """Sound of the user, in order, without holes, of any length."""

    def message_received(self, text: str) -> None:
        """A message on the events channel."""

    def events_open(self) -> None:
        """The events channel is open; what was sent before has gone out."""

    def connection_lost(self, reason: str) -> None:
        """The client hung up, vanished or never came: once, and not after `close`. The peer is still to be closed."""


class Peer:
    """One client. `playout` is drained every 20 ms from the moment the client is connected, whether it listens or not.

    The caller owns it: `answer` once, `renegotiate` and `add_candidate` when the client asks, `close` at the end.
    """

    def __init__(self, observer: PeerObserver, *, plane: MediaPlane, playout: Playout) -> None:
        self._observer = observer
        self._plane = plane
        self._playout = playout
        self._configuration = RTCConfiguration(iceServers=list(plane.ice_servers))
        self._connection = RTCPeerConnection(self._configuration)
        self._connection.on("connectionstatechange", self._state_changed)
        self._connection.on("datachannel", self._channel_opened)
        self._events = datachannel.EventsChannel(
            opened=self._events_opened,
            received=self._message_received,
            stuck=lambda: self._lose("The client does not read its events."),
        )
        self._offer: sdp.Offer | None = None
        self._negotiating = asyncio.Lock()
        self._has_association = False
        self._transports: dict[RTCDtlsTransport, aiortc_internals.MediaTransport] = {}
        self._audio: CallAudio | None = None
        self._stop_ticking: Callable[[], None] | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._opener: asyncio.TimerHandle | None = None
        self._silent_s = 0.0
        self._over = False  # lost or closed
        self._closing: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the client has come and is not known to have gone."""
        return self._stop_ticking is not None and not self._over

    @property
    def counters(self) -> AudioCounters | None:
        """What was sent and received so far; None where the client has no audio."""
        return self._audio.counters if self._audio else None

    async def answer(self, offer_sdp: str) -> str:
        """Answer the client's offer, with all candidates.

        Raises InvalidRequestError, or CapacityError where there is no socket for it, having closed the peer.
        """
        try:
            answer = await self._respond(sdp.read_offer(offer_sdp))
        except BaseException:
            await self.close()
            raise
        if not self._over:
            self._watchdog = asyncio.get_running_loop().call_later(
                SETUP_TIMEOUT_S, self._lose, f"The client did not connect within {SETUP_TIMEOUT_S:.0f} s."
            )
        return answer

    async def renegotiate(self, offer_sdp: str) -> str:
        """Answer a further offer of the same client, such as one that mutes. Raises InvalidRequestError."""
        offer = sdp.read_offer(offer_sdp)
        if self._offer is None or self._over:
            raise InvalidRequestError("The call is over.")
        if offer.ice_username != self._offer.ice_username:
            raise InvalidRequestError("ICE cannot be restarted within a call: begin a new one.", param="sdp")
        return await self._respond(offer)

    async def add_candidate(self, candidate: str, mid: str) -> None:
        """Add one ICE candidate ("candidate:…") of the section `mid`. Raises InvalidRequestError."""
        try:
            parsed = candidate_from_sdp(candidate.removeprefix("a=").removeprefix("candidate:"))
            transport = aiortc_internals.transport_of(self._connection, mid)
            if transport and not parsed.ip.endswith(".local"):  # as sdp.py has it
                await transport.transport.addRemoteCandidate(parsed)
        except _REFUSALS as error:
            raise InvalidRequestError(f"Malformed ICE candidate: {candidate[:100]!r}", param="candidate") from error

    def send_event(self, text: str) -> None:
        """Send on the events channel, once it is open; nothing where the client has no data channel."""
        if not self._over and (self._offer is None or self._offer.has_data):
            self._events.send(text)

    async def close(self) -> None:
        """Hang up and release everything, in `CLOSE_TIMEOUT_S` at most. May be called again, and by several at once."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._release())
        await asyncio.shield(self._closing)

    async def _respond(self, offer: sdp.Offer) -> str:
        async with self._negotiating:
            async with self._plane.setups:
                await self._take(offer)
            await self._listen()
            async with self._plane.setups:
                return await self._negotiate(offer)

    async def _take(self, offer: sdp.Offer) -> None:
        """Make what serves the offer, without sockets as yet."""
        connection = self._connection
        if self._offer is None and offer.is_bundled:
            self._configuration.bundlePolicy = RTCBundlePolicy.MAX_BUNDLE  # else aiortc makes two, and stops one
        aiortc_internals.keep_transceivers(connection, [(each.kind, each.mid) for each in offer.accepted])
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        except _REFUSALS as error:
            raise InvalidRequestError(f"The SDP offer cannot be answered: {error}", param="sdp") from error
        for transceiver in connection.getTransceivers():
            transceiver.direction = "sendrecv"  # as far as the client wants it
            aiortc_internals.take_over_audio(transceiver)
        if connection.sctp and not self._has_association:
            self._has_association = True
            aiortc_sctp.survive_bad_messages(connection.sctp)
            aiortc_sctp.bound_waiting_chunks(
                connection.sctp, lambda: self._lose("The client sends messages without an end.")
            )

    async def _listen(self) -> None:
        for dtls in aiortc_internals.dtls_transports(self._connection):
            if self._over:
                raise InvalidRequestError("The call is over.")
            if dtls not in self._transports:
                await gathering.gather(dtls, self._plane.hosts, asked=bool(self._plane.ice_servers))
                self._transports[dtls] = transport = aiortc_internals.MediaTransport(
                    dtls, rtp_received=self._rtp_received, rtcp_received=self._rtcp_received
                )
                transport.keep_consent()

    async def _negotiate(self, offer: sdp.Offer) -> str:
        """Make the answer, and begin to connect by it."""
        connection = self._connection
        try:
            await connection.setLocalDescription(await connection.createAnswer())
        except InvalidStateError as error:  # closed meanwhile
            raise InvalidRequestError("The call is over.") from error
        self._offer = offer
        answer = connection.localDescription.sdp
        for transceiver in connection.getTransceivers():  # one at most, as sdp.py has it
            if self._audio is None:
                self._audio = self._open_audio(transceiver, answer)
            self._audio.renumber(aiortc_internals.opus_payload_type(transceiver))
            self._audio.mute(not offer.has_audio or transceiver.currentDirection not in ("sendrecv", "sendonly"))
        if self._over:
            raise InvalidRequestError("The call is over.")
        if self._audio:
            self._plane.received.began(self._audio)
        return sdp.complete_answer(answer, offer)

    def _open_audio(self, transceiver: RTCRtpTransceiver, answer: str) -> CallAudio:
        announced = re.search(r"a=ssrc:(\d+) cname:(\S+)", answer)
        assert announced is not None
        return CallAudio(
            self._playout,
            self._observer.audio_received,
            self._transports[transceiver.receiver.transport],
            payload_type=aiortc_internals.opus_payload_type(transceiver),
            ssrc=int(announced[1]),
            cname=announced[2],
        )

    def _state_changed(self) -> None:
        state = self._connection.connectionState
        if state == "connected" and self._stop_ticking is None and not self._over:
            self._begin()
        elif state == "failed":
            self._lose("The connection to the client failed.")
        elif state == "closed":
            self._lose("The client hung up.")

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._watchdog:
            self._watchdog.cancel()
        self._watchdog = loop.call_later(HEARTBEAT_S, self._beat)
        self._opener = loop.call_later(OPEN_EVENTS_AFTER_S, self._open_events)
        self._stop_ticking = self._plane.ticker.add(self._tick)
        loop.call_soon(self._observer.connected)

    def _tick(self) -> None:
        if self._audio:
            self._audio.tick()
        else:
            self._playout.next_frame()

    def _rtp_received(self, packet: bytes) -> None:
        if self._audio and not self._over:
            self._audio.rtp_received(packet)

    def _rtcp_received(self, packet: bytes) -> None:
        if self._audio:
            self._audio.rtcp_received(packet)

    def _beat(self) -> None:
        """Notice a client that is gone without a word: nothing comes, not even an answer to our probes."""
        transports = self._transports.values()
        heard = [each.was_heard() for each in transports]
        self._silent_s = 0.0 if any(heard) else self._silent_s + HEARTBEAT_S
        for transport in transports:
            transport.check(at_once=self._silent_s >= PROBE_AFTER_S)
        if self._silent_s >= LOST_AFTER_S:
            self._lose(f"The client vanished: nothing came for {LOST_AFTER_S:.0f} s.")
        elif any(each.consent_expired for each in transports):
            self._lose(f"The network was lost: the client answered no check for {consent.EXPIRES_S:.0f} s.")
        else:
            self._watchdog = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        if channel.label == datachannel.LABEL:
            self._events.attach(channel)

    def _open_events(self) -> None:
        if self._offer and self._offer.has_data and not self._events.attached:
            self._events.attach(self._connection.createDataChannel(datachannel.LABEL))

    def _events_opened(self) -> None:
        if not self._over:
            self._observer.events_open()

    def _message_received(self, text: str) -> None:
        if not self._over:
            self._observer.message_received(text)

    def _lose(self, reason: str) -> None:
        if not self._over:
            self._stop()
            asyncio.get_running_loop().call_soon(self._observer.connection_lost, reason)

    def _stop(self) -> None:
        self._over = True
        for timer in (self._watchdog, self._opener):
            if timer:
                timer.cancel()
        if self._stop_ticking:
            self._stop_ticking()

    async def _release(self) -> None:
        if self._audio and self.is_connected:
            self._audio.hang_up()
        self._stop()
        if self._audio:
            self._plane.received.ended(self._audio)
        closing = asyncio.ensure_future(self._connection.close())
        await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT_S)
        failure: object = closing.exception() if closing.done() else f"it took more than {CLOSE_TIMEOUT_S} s"
        if failure:
            _log.warning("a connection could not be closed in order, so its sockets are: %s", failure)
            for transport in self._transports.values():
                transport.abandon()
            closing.cancel()
