"""What aiortc keeps private of SCTP, the association below the data channels: kept from being broken by a client.

As with aiortc_internals.py, tests/webrtc/test_aiortc_internals.py says what is gone when a pin moves.
"""

import asyncio
import logging
from collections.abc import Callable

from aiortc import RTCSctpTransport
from aiortc.rtcsctptransport import Chunk, DataChunk

_log = logging.getLogger(__name__)

# Of messages that are not complete, or that wait for an earlier one; aiortc looks through those of a stream at each
# chunk. By bytes the limit is the window that it announces, 1 MiB, which is four of the longest messages.
MAX_WAITING_CHUNKS = 1024


def survive_bad_messages(sctp: RTCSctpTransport) -> None:
    """Keep messages that cannot be read from ending the call, and ones that cannot be sent from failing unheard.

    aiortc sends out of tasks that it keeps nowhere: one for each message, channel and expired timer. Where the client
    is gone by then the association is over, which ends its timers and channels; that the client is gone, the connection
    tells.
    """
    receive_original, send_original = sctp._data_channel_receive, sctp._send_chunk

    async def receive(stream_id: int, pp_id: int, data: bytes) -> None:
        try:
            await receive_original(stream_id, pp_id, data)
        except (UnicodeDecodeError, AssertionError) as error:  # text that is not UTF-8, a channel opened twice, …
            _log.warning("dropped a data-channel message that cannot be read: %s", error)

    async def send(chunk: Chunk) -> None:
        try:
            await send_original(chunk)
        except ConnectionError:
            # Not at once: whoever sends starts a timer afterwards, which is to end, too.
            asyncio.get_running_loop().call_soon(sctp._set_state, RTCSctpTransport.State.CLOSED)

    sctp._data_channel_receive = receive  # type: ignore[method-assign]
    sctp._send_chunk = send  # type: ignore[method-assign]


def bound_waiting_chunks(sctp: RTCSctpTransport, exceeded: Callable[[], None]) -> None:
    """Abort the association, and call `exceeded`, where more is to be kept for later than any client has reason for.

    Such are fragments of a message without an end. aiortc keeps them all, whatever window it has announced (RFC 9260
    section 6.2), and its time for each grows with their number.
    """
    original = sctp._receive_data_chunk
    waiting = 0
    aborted = False

    async def receive(chunk: DataChunk) -> None:
        nonlocal waiting, aborted
        if aborted:  # further chunks of the same packet
            return
        stream = sctp._get_inbound_stream(chunk.stream_id)
        before = len(stream.reassembly)
        await original(chunk)
        waiting += len(stream.reassembly) - before
        if waiting > MAX_WAITING_CHUNKS:  # by this count, which leaves out that the client gave some up, or a stream
            waiting = sum(len(each.reassembly) for each in sctp._inbound_streams.values())
        if max(waiting, len(sctp._sack_misordered)) > MAX_WAITING_CHUNKS or sctp._advertised_rwnd < 0:
            aborted = True
            await sctp.stop()
            exceeded()

    sctp._receive_data_chunk = receive  # type: ignore[method-assign]
