"""Every use of what aiortc and aioice keep private, in one place; both are pinned to exact versions for it.

tests/webrtc/test_aiortc_internals.py says which attribute is gone, or works otherwise, when a pin moves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aioice.ice
import pylibsrtp
from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpTransceiver, RTCSctpTransport
from aiortc.rtcsctptransport import Chunk

_log = logging.getLogger(__name__)

MAX_SOURCES = 64  # SSRCs that one client may use: libsrtp keeps state for each
_REPLAYED = pylibsrtp.ERRORS[9]

# fmtp of the answer (RFC 7587 section 6.1): we listen at 16 kHz mono and want error correction within the stream.
_OPUS_PARAMETERS: dict[str, int | str | None] = {"minptime": 10, "useinbandfec": 1, "maxplaybackrate": 16000}


def local_addresses(configured: Sequence[str]) -> list[str]:
    """Addresses to offer: the configured ones, else all of this machine's, else loopback, which aioice leaves out."""
    return list(configured) or aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) or ["127.0.0.1"]


def dtls_transports(connection: RTCPeerConnection) -> list[RTCDtlsTransport]:
    """The transports below a connection: one, unless the client does not bundle."""
    transports = [transceiver.receiver.transport for transceiver in connection.getTransceivers()]
    if connection.sctp:
        transports.append(connection.sctp.transport)
    return list(dict.fromkeys(transports))


def listen_on(dtls: RTCDtlsTransport, addresses: list[str]) -> None:
    """Have ICE use these local addresses. To be called when the offer has been set, before the answer is."""
    ice = dtls.transport._connection
    original = ice.get_component_candidates

    def gather(component: int, **_: object) -> Awaitable[Any]:
        return original(component, addresses)

    ice.get_component_candidates = gather  # type: ignore[method-assign, assignment]


def take_over_audio(transceiver: RTCRtpTransceiver) -> None:
    """Keep aiortc from sending and receiving on a transceiver: our own paths do.

    Its sender would run two tasks, its receiver a task and a decoder thread. Header extensions are not agreed to, as
    none is of use here.
    """

    async def nothing(_: object) -> None:
        pass

    transceiver.sender.send = nothing  # type: ignore[method-assign, assignment]
    transceiver.receiver.receive = nothing  # type: ignore[method-assign, assignment]
    transceiver._headerExtensions = []
    for codec in transceiver._codecs:
        codec.parameters = dict(_OPUS_PARAMETERS)


def opus_payload_type(transceiver: RTCRtpTransceiver) -> int:
    """The payload type agreed on for the only codec that sdp.py lets through."""
    payload_type = transceiver._codecs[0].payloadType
    assert payload_type is not None
    return payload_type


def survive_bad_messages(sctp: RTCSctpTransport) -> None:
    """Keep messages that cannot be read from ending the call, and ones that cannot be sent from failing unheard.

    aiortc sends out of tasks that it keeps nowhere: one for each message, channel and expired timer. Where the client
    is gone by then the association is over, which ends its timers and channels; that the client is gone, the connection
    tells.
    """
    receive_original, send_original = sctp._data_channel_receive, sctp._send_chunk

    async def receive(stream_id: int, pp_id: int, data: bytes) -> None:
        try:
            await receive_original(stream_id, pp_id, data)
        except (UnicodeDecodeError, AssertionError) as error:  # text that is not UTF-8, a channel opened twice, …
            _log.warning("dropped a data-channel message that cannot be read: %s", error)

    async def send(chunk: Chunk) -> None:
        try:
            await send_original(chunk)
        except ConnectionError:
            # Not at once: whoever sends starts a timer afterwards, which is to end, too.
            asyncio.get_running_loop().call_soon(sctp._set_state, RTCSctpTransport.State.CLOSED)

    sctp._data_channel_receive = receive  # type: ignore[method-assign]
    sctp._send_chunk = send  # type: ignore[method-assign]


class MediaTransport:
    """The datagrams of one ICE and DTLS transport, taken off below aiortc.

    RTP and RTCP are decrypted here and handed on at once: aiortc would queue them, and try to read each as STUN first.
    Only STUN and DTLS (RFC 7983) go on to aiortc; anything else is dropped, as some of it would end the call there.
    """

    def __init__(
        self,
        dtls: RTCDtlsTransport,
        *,
        rtp_received: Callable[[bytes], None],
        rtcp_received: Callable[[bytes], None],
    ) -> None:
        self.heard = False  # set by every datagram; whoever watches over the client clears it
        self.duplicates = 0
        self.rejected = 0  # not decryptable, or one source too many
        self._dtls = dtls
        self._ice = dtls.transport._connection
        self._nominated = self._ice._nominated
        self._rtp_received = rtp_received
        self._rtcp_received = rtcp_received
        self._sources: set[bytes] = set()
        for protocol in self._ice._protocols:
            self._take_over(protocol)

    def send_rtp(self, packet: bytes) -> None:
        """Encrypt and send; nothing where the client is not connected, or is not any more."""
        if (pair := self._nominated.get(1)) and (srtp := self._dtls._tx_srtp):
            pair.protocol.transport.sendto(srtp.protect(packet), pair.remote_addr)

    def send_rtcp(self, packet: bytes) -> None:
        """The same for RTCP."""
        if (pair := self._nominated.get(1)) and (srtp := self._dtls._tx_srtp):
            pair.protocol.transport.sendto(srtp.protect_rtcp(packet), pair.remote_addr)

    def probe(self) -> None:
        """Ask the client for a sign of life: a STUN request, whose answer sets `heard` (RFC 7675)."""
        ice = self._ice
        if (pair := self._nominated.get(1)) and ice.remote_password:
            request = ice.build_request(pair, nominate=False)
            request.add_message_integrity(ice.remote_password.encode())
            pair.protocol.send_stun(request, pair.remote_addr)

    def abandon(self) -> None:
        """Close the sockets, where aiortc's own close did not end."""
        self._nominated.clear()
        for protocol in self._ice._protocols:
            protocol.transport.close()

    def _take_over(self, protocol: aioice.ice.StunProtocol) -> None:
        stun_received, ice = protocol.datagram_received, self._ice
        component = protocol.local_candidate.component

        def datagram_received(data: bytes | str, address: tuple[Any, ...]) -> None:
            self.heard = True
            first = data[0] if isinstance(data, bytes) and data else 255
            if 127 < first < 192:
                self._media_received(data)  # type: ignore[arg-type]
            elif 19 < first < 64:
                ice.data_received(data, component)  # type: ignore[arg-type]
            elif first < 4:
                stun_received(data, address)

        protocol.datagram_received = datagram_received  # type: ignore[method-assign, assignment]

    def _media_received(self, data: bytes) -> None:
        srtp = self._dtls._rx_srtp
        if srtp is None or len(data) < 12:
            return
        is_rtcp = 191 < data[1] < 224  # RFC 5761 section 4
        source = data[4:8] if is_rtcp else data[8:12]
        known = source in self._sources
        if not known and len(self._sources) >= MAX_SOURCES:
            self.rejected += 1
            return
        try:
            packet = srtp.unprotect_rtcp(data) if is_rtcp else srtp.unprotect(data)
        except (pylibsrtp.Error, ValueError) as error:
            if str(error) == _REPLAYED:
                self.duplicates += 1
            else:
                self.rejected += 1
            return
        if not known:
            self._sources.add(source)
        (self._rtcp_received if is_rtcp else self._rtp_received)(packet)
