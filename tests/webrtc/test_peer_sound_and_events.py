"""orchestrator/webrtc/peer.py during calls with stock aiortc: sound, events, either alone, and junk in between."""

import asyncio
import socket

import numpy as np
import pytest

from orchestrator.webrtc import datachannel
from orchestrator.webrtc.plane import MediaPlane
from tests.webrtc.caller import HOST, PITCH_HZ, Callee, Caller, connect, eventually, hang_up
from tests.webrtc.conftest import Run
from tests.webrtc.sound import level, pitch, purity, samples


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
    await callee.hears_more()
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
    await callee.hears_more()
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
    await callee.hears_more(0.3)
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
