"""orchestrator/webrtc/peer.py agrees with a caller: first offers, later ones, candidates, and what is refused."""

import asyncio
import re

import pytest

from orchestrator.errors import InvalidRequestError
from orchestrator.webrtc import aiortc_internals, peer
from orchestrator.webrtc.plane import CONCURRENT_SETUPS, MediaPlane
from tests.webrtc.caller import HOST, PITCH_HZ, Callee, Caller, connect, eventually, hang_up
from tests.webrtc.offers import CHROME
from tests.webrtc.sockets import open_sockets
from tests.webrtc.sound import level, pitch, samples


async def test_a_client_that_mutes_and_unmutes_by_renegotiation_is_heard_again() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    assert caller.audio
    for direction in ("recvonly", "sendrecv", "sendonly", "sendrecv"):
        caller.audio.direction = direction
        await caller.accept(await callee.peer.renegotiate(await caller.offer()))
        sent = callee.peer.counters
        assert caller.audio.currentDirection == direction
        # aiortc's sender keeps sending what it is told not to: only the agreement is checked for that direction.
        await callee.hears_more(by_s=0.3)
        now = callee.peer.counters
        assert sent
        assert now
        assert (now.sent > sent.sent) == (direction != "sendonly")
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


async def test_a_client_that_renumbers_opus_is_heard_and_hears_before_and_after_it_has_the_answer() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    assert caller.audio
    agreed = caller.audio._codecs[0]  # what aiortc sends by
    was, now = agreed.payloadType, 120
    await callee.hears_more()
    offer = re.sub(rf"(m=audio \d+ \S+) {was}\b", rf"\1 {now}", await caller.offer())
    answer = await callee.peer.renegotiate(re.sub(rf"a=(rtpmap|fmtp|rtcp-fb):{was} ", rf"a=\1:{now} ", offer))
    assert f"a=rtpmap:{now} opus/48000/2" in answer.splitlines()

    async def is_heard() -> None:
        await callee.hears_more(by_s=0.4)
        assert pitch(samples(callee.heard)[-4800:], 16000) == pytest.approx(PITCH_HZ, abs=4)

    await is_heard()  # a client's packets may bear the number of before until the answer has reached it
    agreed.payloadType = now
    caller.audio.receiver._RTCRtpReceiver__codecs = {now: agreed}  # type: ignore[attr-defined]
    receivers = caller.audio.receiver.transport._rtp_router.payload_type_table
    receivers[now] = receivers.pop(was)
    await is_heard()
    callee.say(1000, 0.5)
    await eventually(lambda: level(caller.sound[-9600:]) > 2000)
    assert pitch(caller.sound[-9600:], 48000) == pytest.approx(1000, abs=10)
    assert callee.peer.counters
    assert callee.peer.counters.malformed == 0
    await hang_up(caller, callee)


async def test_restarting_ice_is_refused_and_the_call_goes_on() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    offer = await caller.offer()
    username = offer.split("a=ice-ufrag:")[1].split()[0]
    with pytest.raises(InvalidRequestError, match="restart"):
        await callee.peer.renegotiate(offer.replace(username, "other"))
    await callee.hears_more()
    await hang_up(caller, callee)


async def test_a_bad_second_offer_is_refused_and_the_call_goes_on() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    with pytest.raises(InvalidRequestError):
        await callee.peer.renegotiate("v=0")
    await callee.hears_more()
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
