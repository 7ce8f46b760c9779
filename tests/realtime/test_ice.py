"""The configured STUN and TURN servers."""

import base64
import hashlib
import hmac
import socket

import httpx
import pytest
from aiortc import RTCPeerConnection

from orchestrator.realtime.ice import ice_servers, ice_servers_as_json
from orchestrator.settings import load_settings
from tests.servers.orchestrator import run_orchestrator
from tests.servers.triton import RunningTriton

TURN = "turn:turn.example.org:3478"


def test_without_servers_there_are_none() -> None:
    assert ice_servers(load_settings()) == []


def test_a_shared_secret_makes_credentials_that_expire() -> None:
    settings = load_settings(webrtc_turn_server=TURN, webrtc_turn_secret="shared")
    (server,) = ice_servers(settings, clock=lambda: 1000.0)
    assert server.username == "87400:goassist"
    # As coturn computes it: base64 of the HMAC-SHA1 of the name.
    expected = base64.b64encode(hmac.new(b"shared", b"87400:goassist", hashlib.sha1).digest()).decode()
    assert server.credential == expected


def test_a_name_and_a_password_are_used_as_they_are() -> None:
    settings = load_settings(
        webrtc_stun_server="stun:a:1", webrtc_turn_server=TURN, webrtc_turn_username="u", webrtc_turn_password="p"
    )
    assert ice_servers_as_json(settings) == [
        {"urls": ["stun:a:1"]},
        {"urls": [TURN, f"{TURN}?transport=tcp"], "username": "u", "credential": "p"},
    ]


@pytest.mark.parametrize("turn", ["turn:turn.example.org?transport=udp", "turns:turn.example.org:5349"])
def test_a_relay_whose_transport_is_told_is_offered_by_that_alone(turn: str) -> None:
    settings = load_settings(webrtc_turn_server=turn, webrtc_turn_secret="shared")
    assert ice_servers_as_json(settings)[0]["urls"] == [turn]


async def test_the_relay_is_for_callers_and_our_own_peers_never_ask_it(triton: RunningTriton) -> None:
    """It reaches them directly; under the callers' name for it, it may not be there for them at all."""
    browser = RTCPeerConnection()
    browser.createDataChannel("oai-events")
    await browser.setLocalDescription(await browser.createOffer())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
        relay.bind(("127.0.0.1", 0))
        relay.setblocking(False)
        turn = f"turn:127.0.0.1:{relay.getsockname()[1]}"
        async with (
            run_orchestrator(
                triton_url=triton.grpc_url, webrtc_turn_server=turn, webrtc_turn_secret="shared"
            ) as orchestrator,
            httpx.AsyncClient(base_url=orchestrator.url, trust_env=False, timeout=20) as http,
        ):
            answer = await http.post(
                "/v1/realtime/calls",
                content=browser.localDescription.sdp,
                headers={"Content-Type": "application/sdp"},
            )
            assert answer.status_code == 201
            told = (await http.get("/v1/realtime/ice_servers")).json()["ice_servers"]
        with pytest.raises(BlockingIOError):
            relay.recv(2_000)
    assert [server["urls"] for server in told] == [[turn, f"{turn}?transport=tcp"]]
    await browser.close()
