"""orchestrator/webrtc/aiortc_*.py: what they rely on is there, and nothing else relies on such things.

A failure here after a pin has moved says what to look at in those modules; other tests say whether they still work.
"""

import ast
import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import aioice.ice
import aioice.stun
import pylibsrtp
import pytest
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSctpTransport,
    rtcsctptransport,
)

import orchestrator.webrtc
from orchestrator.webrtc import aiortc_internals, rtp
from orchestrator.webrtc.opus import Encoder
from tests.webrtc.caller import HOST, Callee, Caller, connect, hang_up

PACKAGE = Path(orchestrator.webrtc.__file__).parent


@dataclass
class Parts:
    """What an unconnected aiortc connection is made of."""

    connection: RTCPeerConnection
    transceiver: RTCRtpTransceiver
    dtls: RTCDtlsTransport
    ice: aioice.ice.Connection


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    connection = RTCPeerConnection()
    transceiver = connection.addTransceiver("audio")
    connection.createDataChannel("x")
    dtls = transceiver.receiver.transport
    aiortc_internals.listen_on(dtls, [HOST])
    await connection.setLocalDescription(await connection.createOffer())
    yield Parts(connection, transceiver, dtls, dtls.transport._connection)
    await connection.close()


@pytest.mark.parametrize(("package", "tested"), [("aiortc", "1.16.0"), ("aioice", "0.13.0")])
def test_the_installed_versions_are_those_whose_insides_are_known(package: str, tested: str) -> None:
    assert version(package) == tested, f"read what changed in {package} and try aiortc_internals.py against it"
    pins = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"{package}=={tested}"' in pins


async def test_aiortc_keeps_what_is_used_where_it_is_used(parts: Parts) -> None:
    sctp = parts.connection.sctp
    assert sctp is not None
    expected = {
        parts.dtls: ["_rx_srtp", "_tx_srtp"],
        parts.transceiver: ["_bundled", "_codecs", "_headerExtensions"],
        parts.ice: [
            *("_check_list", "_closing", "_nominated", "_protocols", "_queue", "_remote_candidates"),
            *("build_request", "data_received", "query_consent", "remote_password"),
        ],
        parts.ice._protocols[0]: ["datagram_received", "local_candidate", "send_stun", "transactions", "transport"],
        sctp: ["_advertised_rwnd", "_bundled", "_inbound_streams", "_sack_misordered"],
        rtcsctptransport.InboundStream(): ["reassembly"],
    }
    uses = [(owner, name) for owner, names in expected.items() for name in names]
    assert [f"{type(owner).__name__}.{name}" for owner, name in uses if not hasattr(owner, name)] == []


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (aioice.ice.Connection.get_component_candidates, ["self", "component", "addresses", "timeout"]),
        (aioice.ice.Connection.build_request, ["self", "pair", "nominate"]),
        (aioice.ice.Connection.check_complete, ["self", "pair"]),
        (aioice.ice.Connection.check_incoming, ["self", "message", "addr", "protocol"]),
        (aioice.ice.Connection.data_received, ["self", "data", "component"]),
        (aioice.ice.Connection.query_consent, ["self"]),
        (aioice.ice.Connection.request_received, ["self", "message", "addr", "protocol"]),
        (aioice.stun.Transaction.response_received, ["self", "message", "addr"]),
        (aioice.ice.StunProtocol.datagram_received, ["self", "data", "addr"]),
        (aioice.ice.StunProtocol.send_stun, ["self", "message", "addr"]),
        (aioice.ice.get_host_addresses, ["use_ipv4", "use_ipv6"]),
        (RTCRtpTransceiver._set_mid, ["self", "mid"]),
        (RTCRtpTransceiver._set_mline_index, ["self", "idx"]),
        (RTCSctpTransport._data_channel_receive, ["self", "stream_id", "pp_id", "data"]),
        (RTCSctpTransport._get_inbound_stream, ["self", "stream_id"]),
        (RTCSctpTransport._receive_data_chunk, ["self", "chunk"]),
        (RTCSctpTransport._send_chunk, ["self", "chunk"]),
        (RTCSctpTransport._set_state, ["self", "state"]),
    ],
)
def test_functions_that_are_called_or_replaced_take_what_they_took(function: object, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters  # type: ignore[arg-type]


def test_libsrtp_says_in_the_same_words_that_a_packet_was_replayed() -> None:
    assert pylibsrtp.ERRORS[9] == "replay check failed (bad index)"


def test_all_that_the_data_channels_send_goes_the_way_that_may_fail() -> None:
    """Were there another way, its tasks could fail where nobody hears it; see survive_bad_messages."""
    source = inspect.getsource(rtcsctptransport)
    assert source.count("._send_data(") == 1
    assert "._send_data(" in inspect.getsource(RTCSctpTransport._send_chunk)
    assert RTCSctpTransport.State.CLOSED


def test_sctp_announces_a_window_that_it_counts_down() -> None:
    """bound_waiting_chunks takes what is beyond it for too much."""
    source = inspect.getsource(RTCSctpTransport)
    assert "self._advertised_rwnd = 1024 * 1024" in source
    assert "self._advertised_rwnd -= len(chunk.user_data)" in source
    assert "self._sack_misordered.add(tsn)" in source


async def test_a_bundle_policy_counts_that_is_set_when_the_offer_is_known() -> None:
    configuration = RTCConfiguration()
    connection = RTCPeerConnection(configuration)
    configuration.bundlePolicy = RTCBundlePolicy.MAX_BUNDLE
    connection.addTransceiver("audio")
    connection.createDataChannel("x")
    assert len(aiortc_internals.dtls_transports(connection)) == 1
    await connection.close()


async def test_ice_listens_where_it_is_told_to(parts: Parts) -> None:
    assert {protocol.local_candidate.host for protocol in parts.ice._protocols} == {HOST}


async def test_a_taken_over_transceiver_starts_nothing() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    (transceiver,) = callee.peer._connection.getTransceivers()
    assert vars(transceiver.sender)["_RTCRtpSender__started"] is False
    assert vars(transceiver.receiver)["_RTCRtpReceiver__started"] is False
    assert aiortc_internals.opus_payload_type(transceiver) >= 96
    await hang_up(caller, callee)


async def test_a_client_may_change_its_source_but_not_without_end() -> None:
    """libsrtp keeps a state for each, and never forgets one."""
    caller, callee = Caller(direction="sendrecv"), Callee()
    await connect(caller, callee)
    await callee.until(lambda: callee.heard_s > 0)
    transport = aiortc_internals.MediaTransport(
        caller.audio.receiver.transport,  # type: ignore[union-attr]
        rtp_received=lambda _: None,
        rtcp_received=lambda _: None,
    )
    payload = Encoder(16000).encode(bytes(640))
    for source in range(2 * aiortc_internals.MAX_SOURCES):
        transport.send_rtp(rtp.header(96, 0, 0, 1000 + source, marker=False) + payload)
    served = callee.peer._transports[callee.peer._connection.getTransceivers()[0].receiver.transport]
    await callee.until(lambda: served.rejected > 0)
    assert len(served._sources) == aiortc_internals.MAX_SOURCES
    await hang_up(caller, callee)


def foreign_private_attributes(path: Path) -> list[str]:
    """`x._y` where x is neither self nor cls."""
    return [
        f"{path.name}:{node.lineno} {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]


def test_no_other_module_reaches_into_aiortc() -> None:
    internals = set(PACKAGE.glob("aiortc_*.py"))
    others = set(PACKAGE.glob("*.py")) - internals
    assert len(others) > 8
    assert [use for path in others for use in foreign_private_attributes(path)] == []
    assert all(map(foreign_private_attributes, internals))
