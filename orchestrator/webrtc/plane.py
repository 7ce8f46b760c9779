"""What all calls of a process share: the ticker, the pace of set-ups, counts of received sound, and where to listen."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiortc import RTCIceServer

from orchestrator.webrtc.gathering import check_hosts
from orchestrator.webrtc.opus import Decoder
from orchestrator.webrtc.received import ReceivedSound
from orchestrator.webrtc.ticker import Ticker

CONCURRENT_SETUPS = 2  # answering an offer takes some 5 ms of the loop, in pieces; more at once would delay frames


@dataclass(frozen=True, slots=True)
class MediaPlane:
    """Made once per process, in its event loop. Raises ConfigurationError where libopus or a host is missing.

    `hosts` are the local addresses put into answers; without any, all of the machine's are, and loopback on a machine
    that has no other. `ice_servers` are asked for further candidates; without any the answer is made at once. `setups`
    is held while an offer keeps the loop busy, not while those servers are waited for.
    """

    hosts: Sequence[str] = ()
    ice_servers: Sequence[RTCIceServer] = ()
    ticker: Ticker = field(default_factory=Ticker)
    setups: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENT_SETUPS))
    received: ReceivedSound = field(default_factory=ReceivedSound)

    def __post_init__(self) -> None:
        # So that what is missing is known at start-up, not at the first call.
        Decoder()
        check_hosts(self.hosts)
