"""orchestrator/webrtc/receive.py: what comes out is the sound that was said, whatever the packets went through."""

import random

import numpy as np
import pytest

from benchmarks.speech import browser_payloads
from orchestrator.webrtc import rtp
from orchestrator.webrtc.opus import Encoder
from orchestrator.webrtc.receive import MAX_CONCEALED, PATIENCE_TICKS, SILENT_TICKS, Receiver
from tests.webrtc.sound import level, pitch, purity, samples, tone

PAYLOAD_TYPE = 111


class Sender:
    """An RTP sender with a clock of its own; packets of `duration_ms`, as any client may choose."""

    def __init__(self, duration_ms: float = 20, *, ssrc: int = 1, sequence: int = 65500) -> None:
        self.timestamp = 2**32 - 20 * 960  # wraps early
        self._units = int(duration_ms * 48)
        self._sequence, self._ssrc = sequence, ssrc

    def packet(self, payload: bytes) -> bytes:
        timestamp = self.timestamp & 0xFFFFFFFF
        header = rtp.header(PAYLOAD_TYPE, self._sequence & 0xFFFF, timestamp, self._ssrc, marker=False)
        self._sequence += 1
        self.timestamp += self._units
        return header + payload


class Ear:
    """A receiver and what it delivered."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.receiver = Receiver(PAYLOAD_TYPE, self._deliver)
        self.now_s = 0.0

    def _deliver(self, pcm16_16k: bytes) -> None:
        self.heard += pcm16_16k

    def push(self, *packets: bytes) -> None:
        for packet in packets:
            self.now_s += 0.02
            self.receiver.push(packet, self.now_s)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.receiver.tick()

    @property
    def sound(self) -> np.ndarray:
        return samples(self.heard)

    @property
    def seconds(self) -> float:
        return len(self.heard) / 32000


TONE = browser_payloads(tone(440, 2.0, 48000))


@pytest.mark.parametrize("duration_ms", [2.5, 5, 10, 20, 40, 60])
@pytest.mark.parametrize("application", ["voip", "lowdelay"])
def test_packets_of_any_length_give_the_whole_sound(duration_ms: float, application: str) -> None:
    ear, sender = Ear(), Sender(duration_ms)
    payloads = browser_payloads(tone(440, 1.2, 48000), duration_ms, application=application)
    for payload in payloads:
        ear.push(sender.packet(payload))
        ear.tick(round(duration_ms / 20))
    assert ear.seconds == pytest.approx(len(payloads) * duration_ms / 1000)
    assert purity(ear.sound[3200:], 440, 16000) > 0.98
    assert ear.receiver.counters.silence_s == 0


def test_packets_as_long_as_opus_allows_are_not_taken_for_silence() -> None:
    """120 ms: six frames of 20 ms in one packet (RFC 6716 code 3)."""
    ear, sender = Ear(), Sender(120)
    frames = [Encoder(16000).encode(tone(440, 0.02, 16000))] * 6
    toc = bytes([frames[0][0] | 3, 0x80 | 6])
    lengths = bytes(len(frame) - 1 for frame in frames[:-1])
    for _ in range(10):
        ear.push(sender.packet(toc + lengths + b"".join(frame[1:] for frame in frames)))
        ear.tick(6)
    assert ear.seconds == pytest.approx(1.2)
    assert ear.receiver.counters.silence_s == 0


def test_stereo_becomes_mono_of_the_same_level() -> None:
    ear, sender = Ear(), Sender()
    ear.push(*map(sender.packet, browser_payloads(tone(440, 1.0, 48000), channels=2)))
    assert ear.seconds == pytest.approx(1.0)
    assert level(ear.sound[3200:]) == pytest.approx(8000 / 2**0.5, rel=0.1)
    assert pitch(ear.sound[3200:], 16000) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.2])
def test_every_hole_is_filled_so_that_no_time_is_lost(fraction: float) -> None:
    chance, ear, sender = random.Random(3), Ear(), Sender()
    payloads, lost = browser_payloads(tone(440, 20.0, 48000)), 0
    for index, payload in enumerate(payloads):
        packet = sender.packet(payload)
        if 0 < index < len(payloads) - 3 and chance.random() < fraction:
            lost += 1
        else:
            ear.push(packet)
        ear.tick()
    ear.tick(PATIENCE_TICKS)
    assert lost > 0
    assert ear.receiver.window.lost == lost
    assert ear.seconds == pytest.approx(20.0, abs=0.001), "delay does not grow and nothing is missing"
    assert ear.receiver.counters.concealed >= 0.95 * lost
    chunks = ear.sound[3200:].reshape(-1, 160)
    weak = sum(level(chunk) < 1000 for chunk in chunks) / len(chunks)
    assert weak < 0.6 * fraction, "concealed with sound, not with silence"


@pytest.mark.parametrize("lost", [{20}, {19, 20}])
def test_a_lost_frame_is_what_the_copy_in_the_next_packet_says_and_not_made_up(lost: set[int]) -> None:
    """The pitch changes with the frame that is lost last: what came before tells nothing of it."""
    whole, holed = Ear(), Ear()
    one, other = Sender(), Sender()
    sound = tone(300, 0.4, 48000) + tone(900, 0.3, 48000)
    for index, payload in enumerate(browser_payloads(sound, fec="1", packet_loss="20")):
        whole.push(one.packet(payload))
        packet = other.packet(payload)
        if index not in lost:
            holed.push(packet)
    heard, said = (ear.sound[20 * 320 : 21 * 320] for ear in (holed, whole))
    assert holed.receiver.window.lost == holed.receiver.counters.concealed == len(lost)
    assert pitch(heard, 16000) == pytest.approx(900, abs=50)
    assert np.corrcoef(heard, said)[0, 1] > 0.7


def test_a_hole_costs_the_sound_behind_it_no_more_than_40_ms_once() -> None:
    ear, sender = Ear(), Sender()
    packets = [sender.packet(payload) for payload in TONE]
    delays = []
    for index, packet in enumerate(packets):
        if index != 40:
            ear.push(packet)
        ear.tick()
        delays.append((index + 1) * 0.02 - ear.seconds)
    assert max(delays) == pytest.approx(0.04, abs=0.021)
    assert delays[44:] == pytest.approx([0.0] * len(delays[44:]), abs=1e-9)


def test_each_missing_packet_is_waited_for_as_long_as_the_first() -> None:
    ear, sender = Ear(), Sender()
    packets = [sender.packet(payload) for payload in TONE[:10]]
    ear.push(packets[0], packets[2])
    ear.tick(PATIENCE_TICKS - 1)
    ear.push(packets[4], packets[1])
    ear.tick(PATIENCE_TICKS - 1)
    ear.push(packets[3])
    assert ear.receiver.window.lost == 0
    assert ear.seconds == pytest.approx(0.1)


def test_swapped_packets_are_heard_in_order() -> None:
    plain, swapped = Ear(), Ear()
    packets = [sender.packet(p) for sender in [Sender()] for p in TONE]
    plain.push(*packets)
    for at in range(2, len(packets) - 2, 7):
        packets[at], packets[at + 1] = packets[at + 1], packets[at]
    swapped.push(*packets)
    assert swapped.heard == plain.heard
    assert swapped.receiver.window.reordered > 10
    assert swapped.receiver.counters.concealed == 0


def test_duplicates_are_heard_once() -> None:
    plain, doubled = Ear(), Ear()
    packets = [sender.packet(p) for sender in [Sender()] for p in TONE]
    plain.push(*packets)
    doubled.push(*(packet for packet in packets for _ in range(2)))
    assert doubled.heard == plain.heard
    assert doubled.receiver.window.duplicate == len(packets)


def test_a_packet_that_comes_after_its_hole_was_concealed_is_dropped() -> None:
    ear, sender = Ear(), Sender()
    packets = [sender.packet(payload) for payload in TONE[:20]]
    ear.push(*packets[:10], *packets[11:], packets[10])
    assert ear.receiver.window.late == 1
    assert ear.seconds == pytest.approx(0.4)


@pytest.mark.parametrize("timestamps_go_on", [True, False])
def test_a_sender_that_stops_for_five_seconds_is_silent_meanwhile_and_heard_at_once_after(
    timestamps_go_on: bool,
) -> None:
    ear, sender = Ear(), Sender()
    for payload in TONE[:50]:
        ear.push(sender.packet(payload))
        ear.tick()
    ear.tick(250)
    assert ear.seconds == pytest.approx(6.0, abs=0.021), "time goes on for whoever waits for an end of speech"
    assert not ear.sound[-16000 * 4 :].any()
    if timestamps_go_on:
        sender.timestamp += 250 * 960
    before = len(ear.heard)
    for payload in TONE[50:]:
        ear.push(sender.packet(payload))
        ear.tick()
    assert len(ear.heard) - before == pytest.approx(32000 * len(TONE[50:]) / 50, abs=640)
    assert level(samples(ear.heard[before:])[1600:]) > 4000


def test_nothing_is_filled_in_before_a_short_gap_has_become_a_stop() -> None:
    """A network that delivers late and all at once puts no pause into the speech."""
    ear, sender = Ear(), Sender()
    for burst in range(0, 100, 5):
        ear.tick(5)
        ear.push(*map(sender.packet, TONE[burst : burst + 5]))
    assert ear.seconds == pytest.approx(2.0)
    assert ear.receiver.counters.silence_s == 0


def test_discontinuous_transmission_is_heard_as_silence_of_its_length() -> None:
    """Timestamps go on where no packet is sent and no sequence number is missing (RFC 7587 section 3.1.3)."""
    ear, sender = Ear(), Sender()
    for payload in TONE[:25]:
        ear.push(sender.packet(payload))
        ear.tick()
    for _ in range(5):  # one packet every 400 ms
        sender.timestamp += 19 * 960
        ear.tick(19)
        ear.push(sender.packet(TONE[25]))
        ear.tick()
    assert ear.seconds == pytest.approx(0.5 + 5 * 0.4, abs=0.021)
    assert ear.receiver.counters.concealed == 0
    assert ear.receiver.counters.silence_s == pytest.approx(5 * 0.38, abs=0.021)


def test_a_sender_that_says_that_nothing_follows_is_heard_as_silent_at_once() -> None:
    """libopus ends the sound that it sends in a silence with a single byte (RFC 6716 section 3.1)."""
    ear, sender = Ear(), Sender()
    for payload in (*TONE[:25], bytes([TONE[25][0] & 0xFC])):
        ear.push(sender.packet(payload))
        ear.tick()
    ear.tick(10)
    assert ear.seconds == pytest.approx(0.52 + 0.2, abs=0.021)
    sender.timestamp += 11 * 960
    ear.push(sender.packet(TONE[26]))
    assert ear.seconds == pytest.approx(0.52 + 11 * 0.02 + 0.02, abs=0.021)
    ear.tick(SILENT_TICKS - 1)  # a stall of the network is no silence
    assert ear.seconds == pytest.approx(0.52 + 11 * 0.02 + 0.02, abs=0.021)


def test_a_timestamp_that_leaps_fills_in_nothing() -> None:
    ear, sender = Ear(), Sender()
    ear.push(*map(sender.packet, TONE[:10]))
    for leap in (3600 * 48000, -1800 * 48000, 2**31):
        sender.timestamp += leap
        ear.push(*map(sender.packet, TONE[10:20]))
    assert ear.seconds == pytest.approx(0.8)


def test_a_long_burst_of_losses_is_concealed_at_first_and_silent_then() -> None:
    ear, sender = Ear(), Sender()
    packets = [sender.packet(payload) for payload in TONE]
    ear.push(*packets[:20], *packets[60:])
    ear.tick(PATIENCE_TICKS)
    assert ear.seconds == pytest.approx(2.0)
    assert ear.receiver.counters.concealed == MAX_CONCEALED
    assert ear.receiver.counters.silence_s == pytest.approx((40 - MAX_CONCEALED) * 0.02)


@pytest.mark.parametrize("ppm", [-500, 500])
def test_a_sender_whose_clock_is_off_is_heard_whole_and_without_delay(ppm: int) -> None:
    """Five minutes: 150 ms of drift, which a buffer would have to swallow."""
    ear, sender = Ear(), Sender()
    deliver_at = np.arange(15_000) * 0.02 * (1 - ppm / 1e6)
    ticks, behind = 0, []
    for index, at in enumerate(deliver_at):
        while ticks * 0.02 <= at:
            ear.receiver.tick()
            ticks += 1
        ear.receiver.push(sender.packet(TONE[index % 100]), float(at))
        behind.append((index + 1) * 0.02 - ear.seconds)
    assert max(map(abs, behind)) < 1e-6
    assert ear.receiver.counters.silence_s == 0
    assert ear.receiver.window.lost == 0


def test_another_source_is_followed_at_once() -> None:
    ear = Ear()
    first, second = Sender(ssrc=1), Sender(ssrc=2, sequence=7)
    second.timestamp = 12345
    ear.push(*map(first.packet, TONE[:20]), *map(second.packet, TONE[20:40]))
    assert ear.seconds == pytest.approx(0.8)
    report = ear.receiver.reception()
    assert report is not None
    assert report.ssrc == 2
    assert report.packets_lost == 0


def test_what_is_not_opus_is_counted_and_the_call_goes_on() -> None:
    ear, sender = Ear(), Sender()
    ear.push(*map(sender.packet, TONE[:10]))
    ear.push(b"\x80\x6f", sender.packet(b""), sender.packet(b"\xff\xff\xff"))
    other = bytearray(sender.packet(TONE[0]))
    other[1] = 13
    ear.push(bytes(other))
    ear.push(*map(sender.packet, TONE[10:50]))
    ear.tick(PATIENCE_TICKS)
    assert ear.receiver.counters.malformed == 4
    assert level(ear.sound[-8000:]) > 4000


def test_a_client_that_never_sends_gets_no_silence_filled_in() -> None:
    ear = Ear()
    ear.tick(10 * SILENT_TICKS)
    assert ear.seconds == 0
    assert ear.receiver.reception() is None


def test_receiver_reports_count_as_the_standard_has_it() -> None:
    ear, sender = Ear(), Sender(sequence=65534)
    packets = [sender.packet(payload) for payload in TONE]
    ear.push(*packets[:10])
    first = ear.receiver.reception()
    assert first is not None
    assert (first.fraction_lost, first.packets_lost, first.highest_sequence) == (0, 0, 65536 + 7)
    ear.push(*packets[10:20:2])
    second = ear.receiver.reception()
    assert second is not None
    assert (second.fraction_lost, second.packets_lost) == (4 * 256 // 9, 4)
    assert ear.receiver.reception() is not None
    assert first.jitter == 0
    ear.now_s += 0.5
    ear.push(packets[20])
    third = ear.receiver.reception()
    assert third is not None
    assert third.jitter > 500
