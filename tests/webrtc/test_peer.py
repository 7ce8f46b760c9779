"""orchestrator/webrtc/peer.py with stock aiortc as the caller, on loopback."""

import asyncio
import gc
import os
import re
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import InvalidRequestError
from orchestrator.webrtc import aiortc_internals, datachannel, peer
from orchestrator.webrtc.plane import CONCURRENT_SETUPS, MediaPlane
from tests.webrtc.caller import HOST, PITCH_HZ, Callee, Caller, connect, eventually, hang_up
from tests.webrtc.conftest import Run
from tests.webrtc.offers import CHROME
from tests.webrtc.sound import level, pitch, purity, samples


def open_sockets() -> int:
    sockets = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # another thread closed it after it was listed
            sockets += os.readlink(entry).startswith("socket:")
    return sockets


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Time-outs a tenth as long."""
    for name in ("SETUP_TIMEOUT_S", "OPEN_EVENTS_AFTER_S", "HEARTBEAT_S", "PROBE_AFTER_S", "LOST_AFTER_S"):
        monkeypatch.setattr(peer, name, getattr(peer, name) / 10)
    return


def test_a_call_carries_sound_both_ways_and_events(run: Run) -> None:
    async def scenario() -> None:
        caller, callee = Caller(), Callee()
        callee.peer.send_event("before the offer")
        await connect(caller, callee)
        callee.peer.send_event("after")
        assert caller.channel
        caller.channel.send("from the client")
        callee.say(1000, 0.8)
        await callee.until(lambda: "finished 1" in callee.log and callee.heard_s > 1)
        await eventually(lambda: len(caller.sound) > 48000)
        assert callee.messages == ["from the client"]
        assert caller.messages == ["before the offer", "after"]
        assert callee.log == ["connected", "events open", "started 1", "finished 1"]
        microphone = samples(callee.heard)[-12800:]
        assert pitch(microphone, 16000) == pytest.approx(PITCH_HZ, abs=2)
        assert purity(microphone, PITCH_HZ, 16000) > 0.9
        speaker = caller.sound
        voice = speaker[np.abs(speaker) > 100]
        assert pitch(speaker, 48000) == pytest.approx(1000, abs=3)
        assert len(voice) / 48000 == pytest.approx(0.8, abs=0.05)
        counters = callee.peer.counters
        assert counters
        assert (counters.lost, counters.malformed, counters.rejected) == (0, 0, 0)
        assert counters.sent > 30
        await hang_up(caller, callee)

    run(scenario())


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


def test_a_call_runs_no_task_and_no_thread_per_direction() -> None:
    async def scenario() -> None:
        plane, caller = MediaPlane(hosts=[HOST]), Caller()
        callee = Callee(plane)
        await connect(caller, callee)
        names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]  # type: ignore[union-attr]
        assert names.count("RTCRtpSender._run_rtp") == 1, "the caller's own"
        assert names.count("RTCRtpSender._run_rtcp") == 1
        assert names.count("RTCRtpReceiver._run_rtcp") == 1
        await hang_up(caller, callee)

    asyncio.run(scenario())


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


@pytest.mark.usefixtures("hasty")
async def test_a_client_that_never_connects_is_given_up() -> None:
    caller, callee = Caller(), Callee()
    sockets = open_sockets()
    await callee.peer.answer(await caller.offer())
    await callee.until(lambda: bool(callee.log))
    assert "did not connect" in callee.log[0]
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
    assert time.monotonic() - began < 1.5 * peer.LOST_AFTER_S
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


async def test_the_time_outs_keep_what_was_promised() -> None:
    assert peer.SETUP_TIMEOUT_S <= 15
    assert peer.LOST_AFTER_S + peer.HEARTBEAT_S <= 15


async def test_a_client_without_a_microphone_is_spoken_to() -> None:
    caller, callee = Caller(direction="recvonly"), Callee()
    await connect(caller, callee)
    callee.say(1000, 0.3)
    await eventually(lambda: level(caller.sound[-9600:]) > 2000)
    assert callee.heard_s == 0
    await hang_up(caller, callee)


async def test_a_client_without_a_speaker_is_heard_and_responses_go_on() -> None:
    caller, callee = Caller(direction="sendonly"), Callee()
    await connect(caller, callee)
    callee.say(1000, 0.2)
    await callee.until(lambda: "finished 1" in callee.log and callee.heard_s > 0.4)
    counters = callee.peer.counters
    assert counters
    assert counters.sent == 0
    assert pitch(samples(callee.heard)[-4800:], 16000) == pytest.approx(PITCH_HZ, abs=4)
    await hang_up(caller, callee)


async def test_a_client_without_audio_has_its_events_and_responses_end() -> None:
    caller, callee = Caller(direction=None), Callee()
    await connect(caller, callee)
    callee.peer.send_event("hello")
    callee.say(1000, 0.1)
    await callee.until(lambda: "finished 1" in callee.log)
    await eventually(lambda: caller.messages == ["hello"])
    assert callee.peer.counters is None
    await hang_up(caller, callee)


async def test_a_client_without_a_data_channel_is_heard_and_events_go_nowhere() -> None:
    caller, callee = Caller(channel=None), Callee()
    await connect(caller, callee)
    callee.peer.send_event("nobody reads this")
    await callee.until(lambda: callee.heard_s > 0.2)
    assert not callee.peer._events._pending
    await hang_up(caller, callee)


@pytest.mark.usefixtures("hasty")
async def test_where_the_client_opens_no_events_channel_the_server_does() -> None:
    caller, callee = Caller(channel="another"), Callee()
    callee.peer.send_event("hello")
    await connect(caller, callee)
    await callee.until(lambda: "events open" in callee.log)
    await eventually(lambda: caller.messages == ["hello"])
    assert caller.channel
    assert caller.channel.label == datachannel.LABEL
    caller.channel.send("and back")
    await callee.until(lambda: callee.messages == ["and back"])
    await hang_up(caller, callee)


async def test_a_client_that_mutes_and_unmutes_by_renegotiation_is_heard_again() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    assert caller.audio
    for direction in ("recvonly", "sendrecv", "sendonly", "sendrecv"):
        caller.audio.direction = direction
        await caller.accept(await callee.peer.renegotiate(await caller.offer()))
        heard, sent = callee.heard_s, callee.peer.counters
        assert caller.audio.currentDirection == direction
        await asyncio.sleep(0.3)
        now = callee.peer.counters
        assert sent
        assert now
        assert (now.sent > sent.sent) == (direction != "sendonly")
        # aiortc's sender keeps sending what it is told not to: only the agreement is checked for that direction.
        assert callee.heard_s > heard
    assert callee.log == ["connected", "events open"]
    await hang_up(caller, callee)


async def test_a_call_may_begin_with_text_and_add_sound_later() -> None:
    caller, callee = Caller(direction=None), Callee()
    await connect(caller, callee)
    caller.audio = caller.connection.addTransceiver(caller.microphone, direction="sendrecv")
    await caller.accept(await callee.peer.renegotiate(await caller.offer()))
    await callee.until(lambda: callee.heard_s > 0.4)
    callee.say(1000, 0.3)
    await eventually(lambda: level(caller.sound[-9600:]) > 2000)
    assert pitch(samples(callee.heard)[-4800:], 16000) == pytest.approx(PITCH_HZ, abs=4)
    await hang_up(caller, callee)


async def test_a_client_that_switches_its_audio_off_is_sent_no_more() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    await callee.until(lambda: callee.heard_s > 0.1)
    offer = await caller.offer()
    answer = await callee.peer.renegotiate(re.sub(r"m=audio \d+", "m=audio 0", offer))
    assert "m=audio 0 " in answer
    before = callee.peer.counters
    callee.say(1000, 0.2)
    await callee.until(lambda: "finished 1" in callee.log)
    assert before
    assert callee.peer.counters
    assert callee.peer.counters.sent == before.sent
    callee.peer.send_event("still here")
    await eventually(lambda: caller.messages == ["still here"])
    await hang_up(caller, callee)


async def test_restarting_ice_is_refused_and_the_call_goes_on() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    offer = await caller.offer()
    username = offer.split("a=ice-ufrag:")[1].split()[0]
    with pytest.raises(InvalidRequestError, match="restart"):
        await callee.peer.renegotiate(offer.replace(username, "other"))
    before = callee.heard_s
    await callee.until(lambda: callee.heard_s > before + 0.1)
    await hang_up(caller, callee)


async def test_a_bad_second_offer_is_refused_and_the_call_goes_on() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    with pytest.raises(InvalidRequestError):
        await callee.peer.renegotiate("v=0")
    before = callee.heard_s
    await callee.until(lambda: callee.heard_s > before + 0.1)
    await hang_up(caller, callee)


async def test_candidates_may_come_after_the_offer() -> None:
    caller, callee = Caller(), Callee()
    offer = await caller.offer()
    candidates = [line for line in offer.splitlines() if line.startswith("a=candidate")]
    bare = "".join(f"{line}\r\n" for line in offer.splitlines() if "candidate" not in line)
    answer = await callee.peer.answer(bare)
    for line in candidates:
        await callee.peer.add_candidate(line.removeprefix("a="), "0")
    with pytest.raises(InvalidRequestError, match="candidate"):
        await callee.peer.add_candidate("candidate:nonsense", "0")
    await callee.peer.add_candidate("candidate:1 1 udp 1 printer.local 5000 typ host", "0")
    await caller.accept(answer)
    await callee.until(lambda: callee.heard_s > 0)
    await hang_up(caller, callee)


BAD_OFFERS = [
    "",
    "v=0",
    CHROME.replace("a=sctp-port:5000", "a=sctp-port:99999"),
    CHROME.replace("a=max-message-size:262144", "a=max-message-size:many"),
    CHROME.replace("sha-256 7B", "sha-256 zz"),
    CHROME.replace("192.0.2.7 54321 typ srflx", "192.0.2.7 typ srflx"),
    CHROME.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP x"),
]


@pytest.mark.parametrize("offer", BAD_OFFERS)
async def test_a_malformed_offer_is_refused_and_leaves_nothing(offer: str) -> None:
    await asyncio.sleep(0)
    tasks, sockets = len(asyncio.all_tasks()), open_sockets()
    callee = Callee()
    with pytest.raises(InvalidRequestError):
        await callee.peer.answer(offer)
    await eventually(lambda: len(asyncio.all_tasks()) == tasks and open_sockets() == sockets)
    assert callee.log == []


async def test_an_answer_to_a_browser_agrees_to_what_we_do() -> None:
    callee = Callee()
    answer = await callee.peer.answer(CHROME)
    lines = answer.splitlines()
    assert "a=rtpmap:111 opus/48000/2" in lines
    fmtp = next(line for line in lines if line.startswith("a=fmtp:111 "))
    assert {"useinbandfec=1", "maxplaybackrate=16000"} <= set(fmtp.split(" ", 1)[1].split(";"))
    assert not any(line.startswith("a=extmap") for line in lines)
    assert any(line.startswith("a=candidate:") and f" {HOST} " in line for line in lines)
    assert "a=end-of-candidates" in lines
    assert len([line for line in lines if line.startswith("m=")]) == 2
    await callee.peer.close()


async def test_messages_that_cannot_be_read_do_not_end_the_call() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    assert caller.channel
    assert caller.channel.id is not None
    sctp = caller.channel.transport
    await sctp._send(caller.channel.id, 51, b"\xff\xfe not UTF-8")
    caller.channel.send(b"bytes \xff")
    await sctp._send(caller.channel.id, 50, b"\x03" + bytes(20))
    caller.channel.send("still there")
    await callee.until(lambda: "still there" in callee.messages)
    assert callee.messages == ["bytes \ufffd", "still there"]
    before = callee.heard_s
    await callee.until(lambda: callee.heard_s > before + 0.1)
    await hang_up(caller, callee)


async def test_an_observer_that_fails_on_a_message_does_not_end_the_call() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    callee.message_received = lambda text: [][1]  # type: ignore[method-assign, assignment]
    assert caller.channel
    caller.channel.send("a message that is too much")
    await eventually(lambda: bool(errors))
    before = callee.heard_s
    await callee.until(lambda: callee.heard_s > before + 0.1)
    await hang_up(caller, callee)


async def test_datagrams_of_strangers_do_not_disturb_a_call() -> None:
    """Empty ones, ones that are too long, and forged ones end the call in aiortc itself."""
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    transport = next(iter(callee.peer._transports.values()))
    port = transport._ice._protocols[0].local_candidate.port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        forged = [b"\x80\x60" + bytes(50), b"\x80\xc8" + bytes(50), b"\x16" * 60, bytes(20)]
        for junk in [b"", b"\x80", b"\x80" * 3000, b"\x50\xff", b"\xff", *forged]:
            stranger.sendto(junk, (HOST, port))
    before = callee.heard_s
    await callee.until(lambda: callee.heard_s > before + 0.3)
    assert callee.peer.counters
    assert callee.peer.counters.rejected >= 2
    assert callee.log == ["connected", "events open"]
    await hang_up(caller, callee)


async def test_an_event_that_is_too_long_for_the_client_is_dropped_and_the_next_one_arrives() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    callee.peer.send_event("x" * 10_000_000)
    callee.peer.send_event("short")
    await eventually(lambda: caller.messages == ["short"])
    assert callee.peer._events.dropped == 1
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


async def test_many_set_ups_at_once_are_paced() -> None:
    plane = MediaPlane(hosts=[HOST])
    callees = [Callee(plane) for _ in range(6)]
    at_once, most = 0, 0
    negotiate = peer.Peer._negotiate

    async def counted(self: peer.Peer, offer: object) -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        answer = await negotiate(self, offer)  # type: ignore[arg-type]
        at_once -= 1
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer.Peer, "_negotiate", counted)
        answers = await asyncio.gather(*(callee.peer.answer(CHROME) for callee in callees))
    assert most == CONCURRENT_SETUPS
    assert len(set(answers)) == len(callees)
    await asyncio.gather(*(callee.peer.close() for callee in callees))


def test_addresses_are_the_configured_ones_or_all_or_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert aiortc_internals.local_addresses(["192.0.2.9"]) == ["192.0.2.9"]
    monkeypatch.setattr(aiortc_internals.aioice.ice, "get_host_addresses", lambda **_: ["10.0.0.1", "fd00::1"])
    assert aiortc_internals.local_addresses([]) == ["10.0.0.1", "fd00::1"]
    monkeypatch.setattr(aiortc_internals.aioice.ice, "get_host_addresses", lambda **_: [])
    assert aiortc_internals.local_addresses([]) == ["127.0.0.1"]
