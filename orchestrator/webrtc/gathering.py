"""The sockets of calls, and the candidates that answers name for them (RFC 8445 section 5.1)."""

import errno
import ipaddress
import logging
import socket
from collections.abc import Sequence

from aiortc import RTCDtlsTransport

from orchestrator.errors import CapacityError, ConfigurationError
from orchestrator.webrtc import aiortc_internals

_log = logging.getLogger(__name__)


def check_hosts(hosts: Sequence[str]) -> None:
    """Raises ConfigurationError where one is no address of this machine. aioice would leave it out without a word."""
    for host in hosts:
        try:
            _open_socket(host)
        except ValueError as error:
            raise ConfigurationError(f"WEBRTC_HOSTS must name IP addresses, and {host!r} is none.") from error
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):  # which a call that needs a socket is told
                raise ConfigurationError(
                    f"WEBRTC_HOSTS names {host}, where this machine cannot listen ({error.strerror}): "
                    "name addresses that it has itself, or none to have all of them used."
                ) from error


async def gather(dtls: RTCDtlsTransport, hosts: Sequence[str], *, asked: bool) -> None:
    """Listen, and ask the STUN and TURN servers that `dtls` was made with. Raises CapacityError where it cannot listen.

    `asked`: whether there are such servers; if none has an answer, that is logged.
    """
    ice = dtls.transport
    try:
        addresses = aiortc_internals.local_addresses(hosts)
        aiortc_internals.listen_on(dtls, addresses)
        await ice.iceGatherer.gather()
        candidates = ice.iceGatherer.getLocalCandidates()
        if not candidates and ice.state != "closed":
            for address in addresses:  # aioice does not say why
                _open_socket(address)
            raise OSError(errno.EADDRNOTAVAIL, "no address to listen on")
    except OSError as error:
        raise CapacityError(f"No socket could be opened for the call ({error.strerror or error}).") from error
    if asked and all(each.type == "host" for each in candidates):
        _log.warning("no candidate came from a STUN or TURN server within %d s", aiortc_internals.GATHERING_TIMEOUT_S)


def _open_socket(host: str) -> None:
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        trial.bind((host, 0))
