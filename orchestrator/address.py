"""Where the HTTP server listens: taken first of all, so that an address that cannot be had is known at once."""

import ipaddress
import socket

from orchestrator.errors import ConfigurationError
from orchestrator.settings import Settings


def bind(settings: Settings, *, shared: bool = False) -> socket.socket:
    """The socket of the HTTP server, bound and not yet listening. ConfigurationError where it cannot be had.

    `shared`: other processes of the same user may listen on the same port.
    """
    host, port = settings.api_host, settings.api_port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(f"{host!r} is no address to listen on: set API_HOST, or --host.") from error
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Port {port} of {host} cannot be used ({error.strerror}): stop the program that holds it, perhaps another "
            "goassist, or choose another port with --port or API_PORT."
        ) from error
    return listener


def page_address(listener: socket.socket) -> str:
    """Where a browser on this machine finds the page."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_public(listener: socket.socket) -> bool:
    """Whether other machines can reach it."""
    return not ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
