"""Anyone can send to a UDP port: it neither disturbs a call, nor fills logs or memory, nor keeps a dead call alive."""

import asyncio
import os
import socket
import struct
from typing import Any

import pytest
from aioice import stun

from orchestrator.webrtc import aiortc_internals, peer
from tests.webrtc.caller import HOST, Callee, Caller, Network, connect, eventually, hang_up, is_rtp
from tests.webrtc.offers import CHROME


class Stranger:
    """Knows a call's port, and nothing else."""

    def __init__(self, callee: Callee) -> None:
        (self.transport,) = callee.peer._transports.values()
        (protocol,) = self.transport._ice._protocols
        self._address = protocol.transport.get_extra_info("sockname")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.failures: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.failures.append(context))

    async def send(self, data: bytes, times: int = 1) -> None:
        """Send, and wait until it has come, and has been dropped."""
        before = self.transport.rejected
        for sent in range(times):
            self._socket.sendto(data, self._address)
            if sent % 20 == 19:
                await eventually(lambda: self.transport.rejected >= before + sent + 1)  # noqa: B023
        await eventually(lambda: self.transport.rejected >= before + times)

    def send_unheard(self, data: bytes) -> None:
        """Send what nothing counts."""
        self._socket.sendto(data, self._address)

    def close(self) -> None:
        self._socket.close()


def stun_message(kind: int, attributes: bytes) -> bytes:
    return struct.pack("!HHI12s", kind, len(attributes), stun.COOKIE, b"x" * 12) + attributes


def attribute(number: int, value: bytes) -> bytes:
    return struct.pack("!HH", number, len(value)) + value


MALFORMED = {
    "short": b"\x00",
    "short number": stun_message(1, attribute(0x0024, b"ab") + b"\0\0"),
    "unknown method": stun_message(0x00EF, b""),
    "wrong length": stun_message(1, b"")[:-1],
    "bad text": stun_message(1, attribute(0x0006, b"\xff\xfe\xff\xfe")),
    "bad fingerprint": stun_message(1, attribute(0x8028, b"abcd")),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_stun_is_counted_and_raises_nothing(data: bytes) -> None:
    callee = Callee()
    await callee.peer.answer(CHROME)
    stranger = Stranger(callee)
    await stranger.send(data, times=3)
    assert stranger.failures == []
    assert stranger.transport._ice._queue.qsize() == 0
    stranger.close()
    await callee.peer.close()


async def test_an_authentic_check_without_a_priority_raises_nothing() -> None:
    """The client alone can send it, and its is the fault; but a traceback in the log is no answer to it."""
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    stranger = Stranger(callee)
    ice = stranger.transport._ice
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{ice.local_username}:{ice.remote_username}"
    request.add_message_integrity(ice.local_password.encode())
    await stranger.send(bytes(request))
    assert stranger.failures == []
    stranger.close()
    await hang_up(caller, callee)


async def test_dtls_of_strangers_is_dropped_before_and_in_a_call() -> None:
    caller, callee = Caller(), Callee()
    answer = await callee.peer.answer(await caller.offer())
    stranger = Stranger(callee)
    await stranger.send(b"\x16" + bytes(1199), times=2000)
    assert stranger.transport._ice._queue.qsize() == 0
    await caller.accept(answer)
    await callee.until(lambda: "events open" in callee.log)
    await stranger.send(b"\x17\xfe\xfd" + os.urandom(1197), times=200)
    await callee.hears_more()
    assert stranger.failures == []
    stranger.close()
    await hang_up(caller, callee)


async def test_what_aiortc_does_not_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even from an address that the client has named, which may be anybody's."""
    monkeypatch.setattr(aiortc_internals, "MAX_QUEUED_DATAGRAMS", 20)
    callee = Callee()
    await callee.peer.answer(CHROME)
    (transport,) = callee.peer._transports.values()
    (protocol,) = transport._ice._protocols
    for _ in range(100):
        protocol.datagram_received(b"\x16" + bytes(1199), ("192.0.2.7", 54321))
    assert transport._ice._queue.qsize() == 20
    assert transport.rejected == 80
    await callee.peer.close()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("what", ["junk", "dtls", "media", "checks of the client's", "media of the client's"])
async def test_no_stranger_keeps_a_client_alive_that_has_vanished(what: str) -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    await callee.hears_more()
    overheard: dict[str, bytes] = {}

    def listening(network: Network, data: bytes, address: Any) -> None:
        network.forward(data, address)
        if data[0] == 0 or is_rtp(data):
            overheard["media" if data[0] else "check"] = data

    caller.put_behind(listening)
    ice = aiortc_internals.dtls_transports(caller.connection)[0].transport._connection
    pair = ice._nominated[1]
    request = ice.build_request(pair, nominate=False)
    assert ice.remote_password
    request.add_message_integrity(ice.remote_password.encode())
    pair.protocol.send_stun(request, pair.remote_addr)
    await eventually(lambda: len(overheard) == 2)
    data = {
        "junk": b"\xff" * 100,
        "dtls": b"\x17" + bytes(100),
        "media": b"\x80\x60" + bytes(100),
        "checks of the client's": overheard["check"],
        "media of the client's": overheard["media"],
    }[what]
    caller.put_behind(lambda network, data, address: None)
    stranger = Stranger(callee)
    for _ in range(int(20 * peer.LOST_AFTER_S)):
        stranger.send_unheard(data)
        await asyncio.sleep(0.1)
        if len(callee.log) == 3:
            break
    assert callee.log[2:] == [f"The client vanished: nothing came for {peer.LOST_AFTER_S:.0f} s."]
    assert stranger.failures == []
    stranger.close()
    await hang_up(caller, callee)
