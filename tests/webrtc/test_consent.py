"""orchestrator/webrtc/consent.py: a call lasts as long as its client answers, however late; and no longer."""

import asyncio
from typing import Any

import aioice.ice
import pytest
from aioice import stun

from orchestrator.webrtc import aiortc_internals, consent, peer
from tests.webrtc.caller import Callee, Caller, Network, connect, hang_up


def is_stun(data: bytes) -> bool:
    return data[0] < 4


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consent is asked for 25 times as often, by aioice as well, and lasts a tenth of its time."""
    monkeypatch.setattr(consent, "INTERVAL_S", 0.2)
    monkeypatch.setattr(consent, "EXPIRES_S", 3.0)
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)
    monkeypatch.setattr(peer, "HEARTBEAT_S", 0.1)


async def connected() -> tuple[Caller, Callee]:
    """A call in which the server alone asks for consent: it is the client's way that is bad."""
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    (dtls,) = aiortc_internals.dtls_transports(caller.connection)
    asking = dtls.transport._connection._query_consent_task
    assert asking
    asking.cancel()
    return caller, callee


async def test_a_call_lasts_though_every_answer_takes_more_than_half_a_second() -> None:
    caller, callee = await connected()

    def slow(network: Network, data: bytes, address: Any) -> None:
        asyncio.get_running_loop().call_later(1.2, network.forward, data, address)

    caller.put_behind(slow)
    await asyncio.sleep(7.5)  # twice what consent lasts, and more than six checks without an answer in time
    assert callee.log == ["connected", "events open"]
    await callee.hears_more()
    await hang_up(caller, callee)


async def test_without_an_answer_nothing_more_is_sent_though_sound_comes() -> None:
    caller, callee = await connected()

    def deaf(network: Network, data: bytes, address: Any) -> None:
        if not is_stun(data):
            network.forward(data, address)

    caller.put_behind(deaf)
    await callee.until(lambda: len(callee.log) == 3)
    assert callee.log[-1] == "The network was lost: the client answered no check for 3 s."
    assert not callee.peer.is_connected
    await hang_up(caller, callee)


async def test_answers_that_are_not_the_clients_count_for_nothing() -> None:
    caller, callee = await connected()
    (dtls,) = aiortc_internals.dtls_transports(callee.peer._connection)
    ice = dtls.transport._connection
    pair, given = ice._nominated[1], []
    asking = consent.Consent(ice, lambda protocol, address: given.append(address))
    caller.put_behind(lambda network, data, address: None)

    def answer(transaction: bytes, password: str) -> None:
        message = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction)
        message.attributes["XOR-MAPPED-ADDRESS"] = pair.local_addr
        message.add_message_integrity(password.encode())
        pair.protocol.datagram_received(bytes(message), pair.remote_addr)

    asking.ask(pair)
    (transaction,) = asking._asked
    assert ice.remote_password
    answer(transaction, "of somebody else's, not the client's")
    answer(bytes(12), ice.remote_password)
    assert given == []
    answer(transaction, ice.remote_password)
    answer(transaction, ice.remote_password)
    assert given == [pair.remote_addr], "an answer counts once"
    await hang_up(caller, callee)


async def test_checks_that_nobody_answers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    caller, callee = await connected()
    (dtls,) = aiortc_internals.dtls_transports(callee.peer._connection)
    ice = dtls.transport._connection
    caller.put_behind(lambda network, data, address: None)
    before = len(ice._protocols[0].transactions)
    monkeypatch.setattr(consent, "EXPIRES_S", 0.0)
    asking = consent.Consent(ice, lambda protocol, address: None)
    for _ in range(50):
        asking.ask(ice._nominated[1], at_once=True)
    assert len(asking._asked) <= 2
    assert len(ice._protocols[0].transactions) <= before + 2
    assert asking.expired
    await hang_up(caller, callee)
