"""What all calls of a process share: the ticker, the pace of set-ups, and where to listen."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiortc import RTCIceServer

from orchestrator.webrtc.opus import Decoder
from orchestrator.webrtc.ticker import Ticker

CONCURRENT_SETUPS = 2  # answering an offer takes some 5 ms of the loop, in pieces; more at once would delay frames


@dataclass(frozen=True, slots=True)
class MediaPlane:
    """Made once per process, in its event loop. Raises ConfigurationError where libopus is missing.

    `hosts` are the local addresses that answers name; without any, all of the machine's are, and loopback on a machine
    that has no other. `ice_servers` are asked for further candidates; without any the answer is made at once.
    """

    hosts: Sequence[str] = ()
    ice_servers: Sequence[RTCIceServer] = ()
    ticker: Ticker = field(default_factory=Ticker)
    setups: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENT_SETUPS))

    def __post_init__(self) -> None:
        Decoder()  # so that a missing library is known at start-up, not at the first call
