"""orchestrator/webrtc/aiortc_sctp.py: no client makes the server keep more than there is reason for."""

from typing import Any

import pytest
from aiortc import rtcsctptransport
from aiortc.rtcsctptransport import SCTP_DATA_LAST_FRAG, SCTP_DATA_UNORDERED, DataChunk, RTCSctpTransport

from orchestrator.webrtc import aiortc_sctp
from tests.webrtc.caller import Callee, Caller, connect, eventually, hang_up

BINARY = 53  # RFC 8831 section 8


async def connected() -> tuple[Caller, Callee, RTCSctpTransport, RTCSctpTransport]:
    caller, callee = Caller(direction=None), Callee()
    await connect(caller, callee)
    theirs, ours = caller.connection.sctp, callee.peer._connection.sctp
    assert theirs
    assert ours
    return caller, callee, theirs, ours


async def given_up(callee: Callee, ours: RTCSctpTransport) -> None:
    await callee.until(lambda: len(callee.log) == 3)
    assert callee.log[-1] == "The client sends messages without an end."
    assert ours.state == "closed"
    held = [chunk for stream in ours._inbound_streams.values() for chunk in stream.reassembly]
    assert len(held) <= aiortc_sctp.MAX_WAITING_CHUNKS + 1
    assert sum(len(chunk.user_data) for chunk in held) <= 1024 * 1024 + 1200
    assert callee.messages == []


async def test_a_message_of_two_megabytes_ends_the_call() -> None:
    caller, callee, theirs, ours = await connected()
    await theirs._send(0, BINARY, bytes(2 * 1024 * 1024))
    await given_up(callee, ours)
    await hang_up(caller, callee)


async def test_a_message_of_many_small_fragments_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtcsctptransport, "USERDATA_MAX_LENGTH", 100)
    caller, callee, theirs, ours = await connected()
    await theirs._send(0, BINARY, bytes(200 * aiortc_sctp.MAX_WAITING_CHUNKS))
    await given_up(callee, ours)
    await hang_up(caller, callee)


@pytest.mark.parametrize("over_streams", [1, 500])
async def test_messages_that_lack_their_ends_end_the_call(over_streams: int) -> None:
    """Each is short, and the next begins before it has ended."""
    caller, callee, theirs, ours = await connected()
    original = theirs._send_chunk

    async def without_ends(chunk: Any) -> None:
        if isinstance(chunk, DataChunk):
            chunk.flags = chunk.flags & ~SCTP_DATA_LAST_FRAG | SCTP_DATA_UNORDERED
        await original(chunk)

    theirs._send_chunk = without_ends  # type: ignore[method-assign]
    for message in range(2 * aiortc_sctp.MAX_WAITING_CHUNKS):
        await theirs._send(message % over_streams, BINARY, b"begun", ordered=False)
    await given_up(callee, ours)
    await hang_up(caller, callee)


async def test_messages_after_one_that_never_comes_end_the_call() -> None:
    """They are complete and delivered, but aiortc keeps the number of each until the gap before them is filled."""
    caller, callee, theirs, ours = await connected()
    original = theirs._send_chunk
    lost: int | None = None

    async def all_but_one(chunk: Any) -> None:
        nonlocal lost
        if isinstance(chunk, DataChunk):
            lost = chunk.tsn if lost is None else lost
            if chunk.tsn == lost:
                return
        await original(chunk)

    theirs._send_chunk = all_but_one  # type: ignore[method-assign]
    for _ in range(2 * aiortc_sctp.MAX_WAITING_CHUNKS):
        await theirs._send(0, BINARY, b"complete", ordered=False)
    await callee.until(lambda: len(callee.log) == 3)
    assert callee.log[-1] == "The client sends messages without an end."
    assert len(ours._sack_misordered) <= aiortc_sctp.MAX_WAITING_CHUNKS + 1
    await hang_up(caller, callee)


async def test_the_longest_messages_that_are_allowed_pass() -> None:
    caller, callee, theirs, _ = await connected()
    assert caller.channel
    for _ in range(8):
        caller.channel.send("x" * theirs._remote_max_message_size)
    await callee.until(lambda: len(callee.messages) == 8)
    assert {len(message) for message in callee.messages} == {rtcsctptransport.LOCAL_MAX_MESSAGE_SIZE}
    assert callee.peer.is_connected
    await hang_up(caller, callee)


async def test_messages_that_wait_for_a_lost_one_are_all_delivered() -> None:
    caller, callee, theirs, _ = await connected()
    assert caller.channel
    original = theirs._send_chunk
    lost = 0

    async def first_lost(chunk: Any) -> None:
        nonlocal lost
        if isinstance(chunk, DataChunk) and not lost:
            lost = 1
            return
        await original(chunk)

    theirs._send_chunk = first_lost  # type: ignore[method-assign]
    for number in range(300):
        caller.channel.send(str(number))
    await eventually(lambda: len(callee.messages) == 300)
    assert callee.messages == [str(number) for number in range(300)]
    assert callee.peer.is_connected
    await hang_up(caller, callee)
