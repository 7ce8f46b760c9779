"""orchestrator/webrtc/aiortc_path.py: the agent's sound goes where the client is, and nowhere else."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aioice.ice
import pytest

from orchestrator.webrtc import aiortc_internals, aiortc_path, consent, peer
from tests.webrtc.caller import HOST, Callee, Caller, Network, connect, eventually, hang_up
from tests.webrtc.sound import level


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks a tenth as far apart, and a third of the patience."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.5)
    monkeypatch.setattr(consent, "INTERVAL_S", 0.5)
    monkeypatch.setattr(aiortc_path, "MOVED_AFTER_S", 1.0)
    monkeypatch.setattr(peer, "HEARTBEAT_S", 0.1)


def ice_of(side: Caller | Callee) -> aioice.ice.Connection:
    connection = side.connection if isinstance(side, Caller) else side.peer._connection
    (dtls,) = aiortc_internals.dtls_transports(connection)
    return dtls.transport._connection


def sent_to(callee: Callee) -> tuple[str, int]:
    return ice_of(callee)._nominated[1].remote_addr


@asynccontextmanager
async def another_mapping(caller: Caller, *, loses: bool) -> AsyncIterator[tuple[str, int]]:
    """What a NAT does that forgets a caller: it is behind another port, and what is sent to the old one is lost."""
    (protocol,) = ice_of(caller)._protocols
    received, before = protocol.datagram_received, protocol.transport

    class Mapping(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: Any) -> None:
            if not loses:
                received(data, address)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Mapping, local_addr=(HOST, 0))
    protocol.datagram_received = lambda data, address: None  # type: ignore[method-assign]
    protocol.transport = transport
    try:
        yield transport.get_extra_info("sockname")
    finally:
        protocol.transport = before
        transport.close()


@pytest.mark.parametrize("direction", ["sendrecv", None], ids=["with sound", "without"])
async def test_a_client_that_a_nat_gives_another_port_is_sent_to_there(direction: str | None) -> None:
    caller, callee = Caller(direction=direction), Callee()
    await connect(caller, callee)
    async with another_mapping(caller, loses=False) as address:
        assert sent_to(callee) != address
        await eventually(lambda: sent_to(callee) == address)
        if direction:
            callee.say(1000, 1.0)
            await eventually(lambda: level(caller.sound[-9600:]) > 2000)
        callee.peer.send_event("are you there")
        await eventually(lambda: caller.messages == ["are you there"])
        assert callee.log[:2] == ["connected", "events open"]
        assert callee.peer.is_connected
    await hang_up(caller, callee)


async def test_an_address_that_does_not_answer_is_not_sent_to() -> None:
    """Else whoever sent on what a client sends could turn the agent's packets towards others."""
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    before = sent_to(callee)
    async with another_mapping(caller, loses=True):
        await callee.hears_more(by_s=2.5)
        assert sent_to(callee) == before
    await hang_up(caller, callee)


async def test_a_client_that_is_heard_where_it_was_is_not_followed_elsewhere() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    before, ice = sent_to(callee), ice_of(callee)
    (ours,), (theirs,) = ice._protocols, ice_of(caller)._protocols
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        second.bind((HOST, 0))
        second.setblocking(False)
        asked_there = False

        def both_ways(network: Network, data: bytes, address: Any) -> None:
            """The client's checks come from a second address, too, and ours to that one are answered from there."""
            if not asked_there:
                network.forward(data, address)
            if data[0] < 4 and (asked_there or data[0] == 0):
                second.sendto(data, ours.transport.get_extra_info("sockname"))

        caller.put_behind(both_ways)

        def answered() -> bool:
            nonlocal asked_there
            with suppress(BlockingIOError):
                data, address = second.recvfrom(2000)
                asked_there = True
                theirs.datagram_received(data, address)
            asked_there = False
            succeeded = [pair for pair in ice._check_list if pair.state is aioice.ice.CandidatePair.State.SUCCEEDED]
            return any(pair.remote_addr == second.getsockname() for pair in succeeded)

        await eventually(answered)
        heard_s = callee.heard_s
        while callee.heard_s < heard_s + 2.0:
            await asyncio.sleep(0.002)
            assert sent_to(callee) == before
    await hang_up(caller, callee)
