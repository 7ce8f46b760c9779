"""The configured STUN and TURN servers."""

import base64
import hashlib
import hmac

from orchestrator.realtime.ice import ice_servers, ice_servers_as_json
from orchestrator.settings import load_settings

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
        {"urls": [TURN], "username": "u", "credential": "p"},
    ]
