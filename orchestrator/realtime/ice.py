"""The STUN and TURN servers of the settings, for browsers that ask; our own peers use STUN alone."""

import base64
import hmac
import time
from collections.abc import Callable
from typing import Any

from aiortc import RTCIceServer

from orchestrator.settings import Settings, revealed

# Longer than any call, since a relay asks for the credentials again while a call goes on.
CREDENTIAL_LIFETIME_S = 24 * 3600


def ice_servers(settings: Settings, *, clock: Callable[[], float] = time.time) -> list[RTCIceServer]:
    """The configured servers. Credentials made of a shared secret are valid for a day from now."""
    servers = [RTCIceServer(urls=settings.webrtc_stun_server)] if settings.webrtc_stun_server else []
    if settings.webrtc_turn_server:
        name, password = _turn_credentials(settings, clock)
        servers.append(RTCIceServer(_ways(settings.webrtc_turn_server), username=name, credential=password))
    return servers


def ice_servers_as_json(settings: Settings) -> list[dict[str, Any]]:
    """The same as RTCPeerConnection takes them in a browser."""
    return [
        {"urls": [server.urls] if isinstance(server.urls, str) else list(server.urls)}
        | ({"username": server.username, "credential": server.credential} if server.username else {})
        for server in ice_servers(settings)
    ]


def _ways(turn_server: str) -> list[str]:
    """UDP, and TCP for networks that block it, unless the address says which (RFC 7065; of `turns:` it is TCP)."""
    over_tcp = f"{turn_server}?transport=tcp"
    return [turn_server] if "?" in turn_server or turn_server.startswith("turns:") else [turn_server, over_tcp]


def _turn_credentials(settings: Settings, clock: Callable[[], float]) -> tuple[str | None, str | None]:
    """The TURN REST scheme that coturn calls use-auth-secret: the name is the time of expiry, the password its MAC."""
    if settings.webrtc_turn_secret is not None:
        name = f"{int(clock()) + CREDENTIAL_LIFETIME_S}:goassist"
        mac = hmac.digest(settings.webrtc_turn_secret.get_secret_value().encode(), name.encode(), "sha1")
        return name, base64.b64encode(mac).decode()
    return settings.webrtc_turn_username, revealed(settings.webrtc_turn_password)
