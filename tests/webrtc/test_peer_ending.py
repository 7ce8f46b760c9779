"""orchestrator/webrtc/peer.py when a call ends, whoever ends it: it is noticed once, and nothing is left."""

import asyncio
import gc
import threading
import time
import weakref

import pytest

from orchestrator.errors import InvalidRequestError
from orchestrator.webrtc import aiortc_internals, datachannel, peer
from tests.webrtc.caller import Callee, Caller, connect, eventually, hang_up
from tests.webrtc.conftest import Run
from tests.webrtc.sockets import open_sockets


def test_after_a_call_nothing_is_left(run: Run) -> None:
    async def scenario() -> None:
        await asyncio.sleep(0)
        tasks, sockets, threads = len(asyncio.all_tasks()), open_sockets(), set(threading.enumerate())
        caller, callee = Caller(), Callee()
        await connect(caller, callee)
        started = {thread.name for thread in set(threading.enumerate()) - threads}
        assert sum("decoder" in name for name in started) == 1, "the caller's own; ours decodes in the loop"
        await callee.peer.close()
        await caller.close()
        await eventually(lambda: len(asyncio.all_tasks()) == tasks and open_sockets() == sockets)
        assert len(callee.plane.ticker) == 0
        assert callee.log == ["connected", "events open"], "closing it ourselves is no loss"

    run(scenario())


async def test_a_closed_peer_is_forgotten() -> None:
    async def call() -> weakref.ref[peer.Peer]:
        caller, callee = Caller(), Callee()
        await connect(caller, callee)
        callee.say(1000, 0.1)
        await callee.until(lambda: "finished 1" in callee.log)
        await hang_up(caller, callee)
        return weakref.ref(callee.peer)

    forgotten = await call()
    await asyncio.sleep(0)
    gc.collect()
    assert forgotten() is None


async def test_a_client_that_hangs_up_is_noticed_once() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    await caller.close()
    await callee.until(lambda: len(callee.log) == 3)
    assert callee.log[-1] == "The client hung up."
    assert not callee.peer.is_connected
    await callee.peer.close()
    assert callee.log.count("The client hung up.") == 1


def test_a_client_that_leaves_while_it_is_told_something_is_noticed_and_nothing_fails(run: Run) -> None:
    """A browser that leaves closes DTLS alone: events sent until that is noticed find no connection any more."""

    async def scenario() -> None:
        caller, callee = Caller(), Callee()
        await connect(caller, callee)
        failures: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        (dtls,) = aiortc_internals.dtls_transports(caller.connection)
        await dtls.stop()
        while callee.peer.is_connected:
            callee.peer.send_event("and another word")
            await asyncio.sleep(0)
        await callee.until(lambda: len(callee.log) == 3)
        assert callee.log[-1] == "The client hung up."
        await hang_up(caller, callee)
        gc.collect()  # a task's failure that nobody took is told when the task is forgotten
        assert failures == []

    run(scenario())


async def test_unsent_messages_end_with_a_connection_that_nobody_closes() -> None:
    """Where aiortc's close hangs nothing else would end the timer that sends them again and again."""
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    caller.put_behind(lambda network, data, address: None)
    callee.peer.send_event("never acknowledged")
    channel = callee.peer._events._channel
    assert channel
    for transport in callee.peer._transports.values():
        transport.abandon()
    await eventually(lambda: channel.readyState == "closed")
    gc.collect()
    assert failures == []
    await hang_up(caller, callee)


async def test_closing_twice_and_at_once_is_harmless() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    await asyncio.wait_for(asyncio.gather(*(callee.peer.close() for _ in range(3))), 5)
    await asyncio.wait_for(callee.peer.close(), 1)
    await eventually(lambda: caller.connection.connectionState == "closed")
    assert callee.log == ["connected", "events open"], "closing it ourselves is no loss"
    await caller.close()


async def test_closing_before_any_offer_and_while_answering_is_harmless() -> None:
    idle = Callee()
    await asyncio.wait_for(idle.peer.close(), 1)
    caller, callee = Caller(), Callee()
    sockets = open_sockets()
    offer = await caller.offer()
    answering = asyncio.ensure_future(callee.peer.answer(offer))
    await asyncio.sleep(0)
    await asyncio.wait_for(callee.peer.close(), 5)
    with pytest.raises(InvalidRequestError, match="over"):
        await asyncio.wait_for(answering, 5)
    await caller.close()
    await eventually(lambda: open_sockets() <= sockets)


async def test_a_close_that_hangs_in_aiortc_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "CLOSE_TIMEOUT_S", 0.2)
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    hangs = asyncio.Event()
    monkeypatch.setattr(callee.peer._connection, "close", hangs.wait)
    sockets = open_sockets()
    began = time.monotonic()
    await callee.peer.close()
    assert time.monotonic() - began < 2
    await eventually(lambda: open_sockets() < sockets)
    await caller.close()


async def test_a_client_that_never_connects_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "SETUP_TIMEOUT_S", peer.SETUP_TIMEOUT_S / 10)
    caller, callee = Caller(), Callee()
    sockets = open_sockets()
    await callee.peer.answer(await caller.offer())
    began = time.monotonic()
    await callee.until(lambda: bool(callee.log))
    assert "did not connect" in callee.log[0]
    assert time.monotonic() - began < 6.0, "a tenth of the 15 s that docs/protocol.md promises, and a busy machine's"
    await callee.peer.close()
    await caller.close()
    await eventually(lambda: open_sockets() <= sockets)


@pytest.mark.usefixtures("hasty")
async def test_a_client_that_vanishes_is_noticed_within_the_time() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    caller.put_behind(lambda network, data, address: None)
    began = time.monotonic()
    await callee.until(lambda: len(callee.log) == 3)
    assert "vanished" in callee.log[-1]
    assert time.monotonic() - began < 5.0, "a tenth of the 10 s that docs/protocol.md promises, and a busy machine's"
    await asyncio.wait_for(callee.peer.close(), 5)
    await caller.close()


@pytest.mark.usefixtures("hasty")
async def test_a_client_that_says_nothing_but_lives_is_kept() -> None:
    """No sound, no message: only its answers to our probes show that it is there."""
    caller, callee = Caller(direction=None), Callee()
    await connect(caller, callee)
    await asyncio.sleep(2.5 * peer.LOST_AFTER_S)
    assert callee.peer.is_connected
    await hang_up(caller, callee)


async def test_a_client_that_does_not_read_its_events_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datachannel, "MAX_UNSENT_BYTES", 200_000)
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    for _ in range(20):
        callee.peer.send_event("x" * 50_000)
    await callee.until(lambda: len(callee.log) == 3)
    assert "read its events" in callee.log[-1]
    await hang_up(caller, callee)
