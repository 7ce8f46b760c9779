"""Host candidates for calls within one machine. Reaches into aiortc and aioice, whose versions are pinned for that."""

from typing import Any

from aiortc import RTCPeerConnection


def offer_loopback_too(peer: RTCPeerConnection) -> None:
    """Add 127.0.0.1 to the host candidates of a peer that has one transport and has not gathered yet.

    aioice leaves it out, and a machine without a network has nothing else.
    """
    (transceiver,) = peer.getTransceivers()
    connection = transceiver.sender.transport.transport.iceGatherer._connection
    gather = connection.get_component_candidates

    async def gather_with_loopback(component: int, addresses: list[str], timeout: int = 5) -> Any:
        return await gather(component=component, addresses=[*addresses, "127.0.0.1"], timeout=timeout)

    connection.get_component_candidates = gather_with_loopback  # type: ignore[method-assign]
