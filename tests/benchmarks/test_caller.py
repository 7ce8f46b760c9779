"""What the measuring client makes of an agent's packets: real Opus, a clock that moves when the test says so."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from benchmarks.caller import Caller, Network
from benchmarks.speech import Utterance, silence, utterance
from orchestrator.webrtc import rtp
from orchestrator.webrtc.playout import Playout
from orchestrator.webrtc.send import Sender
from tests.webrtc.sound import tone

RATE = 24_000
TICK_S = 0.02
QUESTION = Path(__file__).parents[1] / "audio" / "what_time_is_it.wav"


class Line:
    """A caller and an agent whose packets come as its playout sends them, one every 20 ms."""

    def __init__(self, network: Network | None = None) -> None:
        self.now_s = 100.0
        self.sent: list[rtp.RtpPacket] = []
        self.held: list[bytes] | None = None  # packets that wait in the network
        self.caller = Caller(
            httpx.AsyncClient(),
            "http://nowhere.invalid",
            silence=silence(),
            network=network or Network(0.0, 1),
            clock=lambda: self.now_s,
        )
        self.caller._media = self  # type: ignore[assignment]  # in place of a connection
        self.playout = Playout(on_started=lambda _: None, on_finished=lambda _: None)
        self._agent = Sender(self.playout, self._transmit, payload_type=111, ssrc=7)
        self._agent.timestamp = 2**32 - 30 * 960  # wraps in the midst of the first answer
        self._answers = 0

    def send_rtp(self, packet: bytes) -> None:
        """What the caller sends."""
        self.sent.append(rtp.parse(packet))

    def begin(self, seconds: float) -> None:
        """The agent has so much of an answer to say."""
        self._answers += 1
        self.playout.begin(self._answers)
        self.say(seconds)

    def say(self, seconds: float) -> None:
        """More of the same answer is there."""
        self.playout.write(tone(450, seconds, RATE), RATE)

    def passes(self, ms: int) -> None:
        """So much time, and what both send in it."""
        for _ in range(ms // 20):
            self.now_s += TICK_S
            self.caller.tick()
            self._agent.tick()

    def arrive(self) -> None:
        """What was held in the network comes at once."""
        packets, self.held = self.held or [], None
        for packet in packets:
            self.caller._received(packet)

    async def asks(self, question: Utterance) -> None:
        """The caller speaks, to the end of the question."""
        saying = asyncio.ensure_future(self.caller.say(question))
        await asyncio.sleep(0)
        self.passes(20 * question.speech_frames)
        await saying

    @property
    def counted(self) -> tuple[int, int]:
        return self.caller.gaps, self.caller.holes

    def _transmit(self, packet: bytes) -> None:
        if self.held is not None:
            self.held.append(packet)
        else:
            self.caller._received(packet)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    await line.caller.hang_up()


@pytest.fixture(scope="module")
def question() -> Utterance:
    return utterance(QUESTION)


def test_an_answer_that_is_heard_whole_has_neither_gap_nor_hole(line: Line) -> None:
    for _ in range(3):
        line.begin(1.0)
        line.passes(1000)
        line.playout.end()
        line.passes(700)
    assert line.counted == (0, 0)


@pytest.mark.parametrize(("late_ms", "holes"), [(20, 0), (100, 1), (300, 1), (600, 0)])
def test_sound_that_is_late_in_the_server_is_a_hole_unless_another_answer_begins_with_it(
    line: Line, late_ms: int, holes: int
) -> None:
    line.begin(0.5)
    line.passes(500 + late_ms)
    line.say(0.5)
    line.passes(1000)
    assert line.counted == (0, holes)


@pytest.mark.parametrize(("late_ms", "gaps"), [(40, 0), (80, 1), (200, 1)])
def test_packets_that_are_late_on_the_way_are_a_gap_and_no_hole(line: Line, late_ms: int, gaps: int) -> None:
    line.begin(1.0)
    line.passes(400)
    line.held = []
    line.passes(late_ms)
    line.arrive()
    line.passes(400)
    assert line.counted == (gaps, 0)


def test_late_packets_without_sound_are_no_gap(line: Line) -> None:
    line.passes(400)
    line.held = []
    line.passes(200)
    line.arrive()
    line.passes(200)
    assert line.counted == (0, 0)


async def test_a_pause_that_the_caller_causes_is_no_hole_and_one_in_the_next_answer_is(
    line: Line, question: Utterance
) -> None:
    line.begin(5.0)
    line.passes(1000)
    asking = asyncio.ensure_future(line.caller.say(question))
    await asyncio.sleep(0)
    for _ in range(2):  # what it says might be meant for somebody else
        line.passes(100)
        line.playout.pause()
        line.passes(200)
        line.playout.resume()
    line.passes(100)
    line.playout.clear()
    line.passes(20 * question.speech_frames)
    await asking
    line.begin(0.4)  # at once
    line.passes(600)
    assert line.counted == (0, 0), "whether this is the same answer cannot be heard"
    line.passes(1000)
    line.begin(0.4)
    line.passes(500)
    line.say(0.4)
    line.passes(500)
    assert line.counted == (0, 1)


async def test_the_answer_to_a_question_is_listened_to(line: Line, question: Utterance) -> None:
    line.passes(1000)
    await line.asks(question)
    line.passes(280)
    line.begin(0.5)
    line.passes(600)
    line.say(0.5)
    line.passes(600)
    assert line.counted == (0, 1)


async def test_what_is_said_into_a_caller_who_goes_on_is_not_listened_to(line: Line, question: Utterance) -> None:
    line.passes(1000)
    asking = asyncio.ensure_future(line.caller.say(question))
    await asyncio.sleep(0)
    line.passes(400)
    line.begin(0.4)
    line.passes(500)
    line.say(0.4)
    line.passes(2000)
    await asking
    assert line.counted == (0, 0)


async def test_voice_to_voice_and_barge_in_are_read_off_the_packets(line: Line, question: Utterance) -> None:
    line.passes(1000)
    began_s = line.now_s
    await line.asks(question)
    assert line.caller.onset_s == pytest.approx(began_s)
    assert line.caller.end_s == pytest.approx(began_s + TICK_S * question.speech_frames)
    line.passes(280)
    line.begin(5.0)
    line.passes(1000)
    first_s = await line.caller.loud_after(line.caller.end_s)
    assert first_s == pytest.approx(line.caller.end_s + 0.28 + TICK_S)

    asking = asyncio.ensure_future(line.caller.say(question))
    await asyncio.sleep(0)
    line.passes(100)
    line.playout.clear()  # the next packet fades
    line.passes(20 * question.speech_frames)
    await asking
    stopped_s = pytest.approx(line.caller.onset_s + 0.12)
    assert line.caller.last_loud_s() == stopped_s
    assert await line.caller.quiet(0.2)
    line.begin(1.0)
    line.passes(500)
    assert line.caller.silent_after(line.caller.onset_s) == stopped_s, "what comes then is another answer"


def test_an_agent_that_only_takes_a_breath_has_not_fallen_silent(line: Line) -> None:
    line.begin(3.0)
    line.passes(1000)
    onset_s = line.now_s
    line.playout.pause()
    line.passes(140)
    line.playout.resume()
    line.passes(500)
    line.playout.clear()
    line.passes(400)
    assert line.caller.silent_after(onset_s) == pytest.approx(onset_s + 0.66)


async def test_an_agent_that_says_nothing_is_not_waited_for_for_ever(line: Line) -> None:
    line.passes(200)
    assert await line.caller.loud_after(line.now_s, timeout_s=0.0) is None
    line.begin(1.0)
    line.passes(500)
    assert not await line.caller.quiet(0.2, timeout_s=0.0)


def test_one_packet_is_lost_where_that_is_asked_for_and_the_others_go_on(line: Line) -> None:
    line.passes(100)
    line.caller.drop_next = 1
    line.passes(100)
    numbers = [packet.sequence - line.sent[0].sequence & 0xFFFF for packet in line.sent]
    assert numbers == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert [packet.timestamp for packet in line.sent] == [960 * number for number in numbers]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_a_network_loses_its_share_the_same_each_time(share: float) -> None:
    networks = Network(share, 1), Network(share, 1), Network(share, 2)
    one, same, other = ([network.loses() for _ in range(20_000)] for network in networks)
    assert sum(one) / len(one) == pytest.approx(share, rel=0.15)
    assert one == same != other
    assert not any(Network(0.0, 1).loses() for _ in range(1000))


async def test_what_the_network_loses_is_not_sent() -> None:
    line = Line(Network(0.2, 3))
    line.passes(20_000)
    await line.caller.hang_up()
    assert len(line.sent) / 1000 == pytest.approx(0.8, abs=0.05)
