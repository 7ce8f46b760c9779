"""What aiortc and aioice keep private of media, ICE and DTLS; both are pinned to exact versions for it.

aiortc_path.py and aiortc_sctp.py are of the same kind, and no other module uses such things.
tests/webrtc/test_aiortc_internals.py says which attribute is gone, or works otherwise, when a pin moves.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import aioice.ice
import pylibsrtp
from aioice import stun
from aioice.ice import StunProtocol
from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpTransceiver, RTCSctpTransport

from orchestrator.webrtc.aiortc_path import Address, Path
from orchestrator.webrtc.consent import Consent

GATHERING_TIMEOUT_S = 1  # for STUN and TURN servers; aioice would wait 5 s for one that does not answer
MAX_SOURCES = 64  # SSRCs that one client may use: libsrtp keeps state for each
MAX_QUEUED_DATAGRAMS = 512  # DTLS that aiortc has not read; it reads them as they come
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


def transport_of(connection: RTCPeerConnection, mid: str) -> RTCDtlsTransport | None:
    """The transport that candidates of the section `mid` are for: where all share one, that one, whoever names it."""
    transports = dtls_transports(connection)
    if len(transports) == 1:
        return transports[0]
    for transceiver in connection.getTransceivers():
        if transceiver.mid == mid:
            return transceiver.receiver.transport
    return connection.sctp.transport if connection.sctp and connection.sctp.mid == mid else None


def listen_on(dtls: RTCDtlsTransport, addresses: list[str]) -> None:
    """Have ICE use these local addresses, and not wait long for STUN and TURN servers.

    To be called when the offer has been set, before the answer is.
    """
    ice = dtls.transport._connection
    original = ice.get_component_candidates

    async def gather(component: int, **_: object) -> list[aioice.Candidate]:
        candidates = await original(component, addresses, timeout=GATHERING_TIMEOUT_S)
        if ice._closing:  # by a close that came before these sockets, which nobody else will close
            for protocol in ice._protocols:
                protocol.transport.close()
        return candidates

    ice.get_component_candidates = gather  # type: ignore[method-assign, assignment]


def keep_transceivers(connection: RTCPeerConnection, sections: Sequence[tuple[str, str]]) -> None:
    """Have a further offer's `sections`, of (kind, mid), served by what serves those kinds already.

    A client that stops a transceiver and adds another gives its section a new mid (RFC 9429 section 5.2.2), for which
    aiortc would make a second transceiver, whose SSRC nobody sends with. What shares a transport keeps it: aiortc stops
    that of a section which is not the first of its group any more, though the others use it, too.
    """
    kept: list[RTCRtpTransceiver | RTCSctpTransport] = [*connection.getTransceivers()]
    if connection.sctp:
        kept.append(connection.sctp)
    shared = len(dtls_transports(connection)) == 1
    for each in kept:
        each._bundled = each._bundled or shared
    for index, (kind, mid) in enumerate(sections):
        if kind == "application" and connection.sctp:
            connection.sctp.mid = mid
        for transceiver in connection.getTransceivers():
            if transceiver.kind == kind:
                transceiver._set_mid(mid)
                transceiver._set_mline_index(index)


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


class MediaTransport:
    """The datagrams of one ICE and DTLS transport, taken off below aiortc.

    RTP and RTCP are decrypted here and handed on at once: aiortc would queue them, and try to read each as STUN first.
    Only STUN and DTLS (RFC 7983) go on to aiortc, and DTLS only from where the client is known to be, as anyone may
    send to a UDP port. Anything else is dropped: some of it would end the call there, or be kept for ever.
    """

    def __init__(
        self,
        dtls: RTCDtlsTransport,
        *,
        rtp_received: Callable[[bytes], None],
        rtcp_received: Callable[[bytes], None],
    ) -> None:
        self.duplicates = 0
        self.rejected = 0  # malformed, not decryptable, from a stranger, or one source too many
        self._dtls = dtls
        self._ice = dtls.transport._connection
        self._nominated = self._ice._nominated
        self._rtp_received = rtp_received
        self._rtcp_received = rtcp_received
        self._sources: set[bytes] = set()
        self._path = Path(self._ice)
        self._consent = Consent(self._ice, self._path.alive)
        self.was_heard = self._path.was_heard
        for protocol in self._ice._protocols:
            self._take_over(protocol)

    @property
    def consent_expired(self) -> bool:
        """Whether the client has answered no check for so long that nothing may be sent to it (RFC 7675)."""
        return self._consent.expired

    def send_rtp(self, packet: bytes) -> None:
        """Encrypt and send; nothing where the client is not connected, or is not any more."""
        if (pair := self._nominated.get(1)) and (srtp := self._dtls._tx_srtp):
            pair.protocol.transport.sendto(srtp.protect(packet), pair.remote_addr)

    def send_rtcp(self, packet: bytes) -> None:
        """The same for RTCP."""
        if (pair := self._nominated.get(1)) and (srtp := self._dtls._tx_srtp):
            pair.protocol.transport.sendto(srtp.protect_rtcp(packet), pair.remote_addr)

    def keep_consent(self) -> None:
        """Have `check` ask for consent to send in place of aioice, which takes late answers for none."""

        async def nothing() -> None:
            pass

        self._ice.query_consent = nothing  # type: ignore[method-assign]

    def check(self, *, at_once: bool = False) -> None:
        """To be called every second: asks for consent where it is time to, or `at_once`. The answer counts as heard."""
        if pair := self._nominated.get(1):
            self._consent.ask(pair, at_once=at_once)

    def abandon(self) -> None:
        """Close the sockets, where aiortc's own close did not end."""
        self._nominated.clear()
        for protocol in self._ice._protocols:
            protocol.transport.close()

    def _take_over(self, protocol: StunProtocol) -> None:
        def datagram_received(data: bytes | str, address: tuple[Any, ...]) -> None:
            first = data[0] if isinstance(data, bytes) and data else 255
            source = (address[0], address[1])
            if 127 < first < 192:
                self._media_received(data, protocol, source)  # type: ignore[arg-type]
            elif 19 < first < 64:
                self._dtls_received(data, protocol, source)  # type: ignore[arg-type]
            elif first < 4:
                self._stun_received(data, protocol, source)  # type: ignore[arg-type]

        protocol.datagram_received = datagram_received  # type: ignore[method-assign, assignment]

    def _media_received(self, data: bytes, protocol: StunProtocol, address: Address) -> None:
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
        self._path.alive(protocol, address)
        (self._rtcp_received if is_rtcp else self._rtp_received)(packet)

    def _dtls_received(self, data: bytes, protocol: StunProtocol, address: Address) -> None:
        if self._path.knows(address) and self._ice._queue.qsize() < MAX_QUEUED_DATAGRAMS:
            self._ice.data_received(data, protocol.local_candidate.component)
        else:
            self.rejected += 1

    def _stun_received(self, data: bytes, protocol: StunProtocol, address: Address) -> None:
        """As aioice's own, which leaves some errors of malformed messages to the event loop, and queues others."""
        try:
            message = stun.parse_message(data)
            if message.message_class == stun.Class.REQUEST:
                self._ice.request_received(message, address, protocol)
            elif message.message_class != stun.Class.INDICATION and message.transaction_id in protocol.transactions:
                protocol.transactions[message.transaction_id].response_received(message, address)
        except (ValueError, KeyError, struct.error):
            self.rejected += 1
