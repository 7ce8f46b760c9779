"""orchestrator/webrtc/peer.py and the sections of offers: which share a transport, which come, go and come again."""

import asyncio
import re
from dataclasses import dataclass

import pytest

from tests.webrtc.caller import Callee, Caller, connect, eventually, hang_up
from tests.webrtc.offers import VIDEO_SECTION
from tests.webrtc.sound import level

BUNDLE_ONLY = "a=bundle-only\r\n"
TRANSPORT = ("a=candidate", "a=end-of-candidates", "a=ice-", "a=fingerprint", "a=setup")


@dataclass
class Parts:
    """A caller's offer: what stands above the sections, and each of these."""

    head: str
    audio: str
    data: str

    def bundled(self, *mids: str) -> str:
        return re.sub(r"a=group:BUNDLE.*", "a=group:BUNDLE " + " ".join(mids), self.head, count=1)


async def parts_of(caller: Caller) -> Parts:
    return Parts(*re.split(r"^(?=m=)", await caller.offer(), flags=re.MULTILINE))


def transport_of(section: str) -> str:
    return "".join(line for line in section.splitlines(keepends=True) if line.startswith(TRANSPORT))


def without(section: str, prefixes: tuple[str, ...]) -> str:
    return "".join(line for line in section.splitlines(keepends=True) if not line.startswith(prefixes))


def off(section: str, *, mid: bool = True) -> str:
    """A section that its client has stopped; Firefox leaves the mid out then."""
    return re.sub(r"m=audio \d+", "m=audio 0", section if mid else without(section, ("a=mid",)))


def renamed(section: str, mid: str) -> str:
    return re.sub(r"a=mid:\S+", f"a=mid:{mid}", section)


def announced(answer: str) -> set[str]:
    return set(re.findall(r"a=ssrc:(\d+)", answer))


async def is_heard_by(caller: Caller, callee: Callee) -> None:
    """Both directions, and the data channel."""
    callee.say(1000, 0.5)
    await eventually(lambda: level(caller.sound[-9600:]) > 2000)
    await callee.hears_more()
    callee.peer.send_event("still here")
    await eventually(lambda: caller.messages == ["still here"])


async def test_a_video_that_is_refused_lends_its_transport_to_its_bundle() -> None:
    """As max-bundle has it: only the first section has a transport, and candidates."""
    caller, callee = Caller(), Callee()
    parts = await parts_of(caller)
    video = without(VIDEO_SECTION, TRANSPORT) + transport_of(parts.audio)
    rest = "".join(without(section, TRANSPORT) + BUNDLE_ONLY for section in (parts.audio, parts.data))
    answer = await callee.peer.answer(parts.bundled("v", "0", "1") + video + re.sub(r"(m=\w+) \d+", r"\1 0", rest))
    assert "m=video 0 " in answer
    assert "a=group:BUNDLE 0 1\r\n" in answer
    (transport,) = callee.peer._transports
    assert transport.transport.getRemoteCandidates() != []
    await caller.accept(re.sub(r"m=video(?:.*\r\n)+?(?=m=)", "", answer))
    await callee.until(lambda: "events open" in callee.log)
    await is_heard_by(caller, callee)
    await hang_up(caller, callee)


@pytest.mark.parametrize("mid", ["0", "1", "v"])
async def test_a_candidate_of_any_bundled_section_is_for_all(mid: str) -> None:
    caller, callee = Caller(), Callee()
    parts = await parts_of(caller)
    candidate = next(line for line in parts.audio.splitlines() if line.startswith("a=candidate"))
    bare = without(parts.audio, ("a=candidate", "a=end-of-")), without(parts.data, ("a=candidate", "a=end-of-"))
    await callee.peer.answer(parts.bundled("0", "1", "v") + "".join(bare) + VIDEO_SECTION)
    (transport,) = callee.peer._transports
    assert transport.transport.getRemoteCandidates() == []
    await callee.peer.add_candidate(candidate, mid)
    assert [each.port for each in transport.transport.getRemoteCandidates()] == [int(candidate.split()[5])]
    await hang_up(caller, callee)


async def test_sections_that_do_not_bundle_have_a_transport_and_candidates_each() -> None:
    caller, callee = Caller(), Callee()
    offer = re.sub(r"a=(?:group:BUNDLE|candidate|end-of).*\r\n", "", await caller.offer())
    answer = await callee.peer.answer(offer)
    assert "BUNDLE" not in answer
    assert len(callee.peer._transports) == 2
    await callee.peer.add_candidate("candidate:1 1 udp 1 192.0.2.1 1000 typ host", "1")
    await callee.peer.add_candidate("candidate:1 1 udp 1 192.0.2.1 1001 typ host", "no section of ours")
    candidates = [transport.transport.getRemoteCandidates() for transport in callee.peer._transports]
    assert sorted([each.port for each in theirs] for theirs in candidates) == [[], [1000]]
    await callee.peer.close()
    await caller.close()


def sends_as(callee: Callee) -> str:
    audio = callee.peer._audio
    assert audio
    return str(audio._sender.ssrc)


@pytest.mark.parametrize("mid", [True, False], ids=["chrome", "firefox"])
async def test_a_microphone_that_is_stopped_and_replaced_in_a_further_section_is_heard(mid: bool) -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    parts = await parts_of(caller)
    offer = parts.bundled("1", "9") + off(parts.audio, mid=mid) + parts.data + renamed(parts.audio, "9")
    for _ in range(2):
        answer = await callee.peer.renegotiate(offer)
        assert re.findall(r"m=(\w+) (0?)", answer) == [("audio", "0"), ("application", ""), ("audio", "")]
        assert announced(answer) == {sends_as(callee)}
    assert len(callee.peer._connection.getTransceivers()) == 1
    await is_heard_by(caller, callee)
    assert callee.log[:2] == ["connected", "events open"]
    await hang_up(caller, callee)


@pytest.mark.parametrize("bundle", [("9", "1"), ("1", "9")])
async def test_a_microphone_that_comes_again_in_its_section_is_heard(bundle: tuple[str, str]) -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    parts = await parts_of(caller)
    answer = await callee.peer.renegotiate(parts.bundled("1") + off(parts.audio, mid=False) + parts.data)
    assert announced(answer) == set()
    answer = await callee.peer.renegotiate(parts.bundled(*bundle) + renamed(parts.audio, "9") + parts.data)
    assert announced(answer) == {sends_as(callee)}
    assert len(callee.peer._transports) == 1
    await is_heard_by(caller, callee)
    await hang_up(caller, callee)


@pytest.mark.parametrize("bundle", [("0", "1"), ("1", "0")])
async def test_sound_may_take_the_section_of_a_video_that_was_refused(bundle: tuple[str, str]) -> None:
    """So it comes before the data channel, whose transport the call uses already."""
    caller, callee = Caller(), Callee()
    parts = await parts_of(caller)
    video = without(VIDEO_SECTION, TRANSPORT) + transport_of(parts.audio)
    answer = await callee.peer.answer(parts.bundled("v", "1") + video + parts.data)
    assert "a=group:BUNDLE 1\r\n" in answer
    assert callee.peer.counters is None
    second = await callee.peer.renegotiate(parts.bundled(*bundle) + parts.audio + parts.data)
    assert announced(second) == {sends_as(callee)}
    assert len(callee.peer._transports) == 1
    await caller.accept(second)
    await callee.until(lambda: "events open" in callee.log)
    await is_heard_by(caller, callee)
    await hang_up(caller, callee)


async def test_offers_that_come_at_once_are_answered_one_after_the_other() -> None:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    offer = await caller.offer()
    answers = await asyncio.gather(*(callee.peer.renegotiate(offer) for _ in range(4)))
    assert {re.sub(r"o=.*", "", answer) for answer in answers} == {re.sub(r"o=.*", "", answers[0])}
    await is_heard_by(caller, callee)
    await hang_up(caller, callee)
