"""orchestrator/webrtc/send.py: what a listener hears, packet by packet, and what silence costs."""

import itertools

import numpy as np
import pytest

from orchestrator.webrtc import rtp, send
from orchestrator.webrtc.opus import SAMPLE_RATES, Decoder, Encoder
from orchestrator.webrtc.playout import Playout
from orchestrator.webrtc.send import MAX_FADING_FRAMES, Sender, silent_payload
from tests.webrtc.sound import level, pitch, purity, samples, sharpest_edge, tone

MARKER = 0x80


class Listener:
    """Takes packets off a sender and decodes them at 48 kHz, as browsers do."""

    def __init__(self) -> None:
        self.playout = Playout(on_started=lambda _: None, on_finished=lambda _: None)
        self.datagrams: list[bytes] = []
        self.sender = Sender(self.playout, self.datagrams.append, payload_type=111, ssrc=42)
        self._decoder = Decoder(48000)

    def say(self, turn: int, pcm16: bytes, sample_rate: int) -> None:
        self.playout.begin(turn)
        self.playout.write(pcm16, sample_rate)
        self.playout.end()

    def hear(self, ticks: int) -> np.ndarray:
        """The sound of the next `ticks` packets."""
        del self.datagrams[:]
        for _ in range(ticks):
            self.sender.tick()
        return samples(b"".join(self._decoder.decode(packet.payload) for packet in self.packets))

    @property
    def packets(self) -> list[rtp.RtpPacket]:
        return [rtp.parse(datagram) for datagram in self.datagrams]


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_every_tick_sends_one_packet_whose_numbers_go_on_without_a_gap(listener: Listener) -> None:
    listener.sender._sequence, listener.sender.timestamp = 65500, 2**32 - 20 * 960
    listener.hear(5)
    packets = listener.packets
    listener.say(1, tone(440, 0.2, 24000), 24000)
    listener.hear(10)
    packets += listener.packets
    listener.hear(100)
    packets += listener.packets
    assert len(packets) == 115
    assert {packet.payload_type for packet in packets} == {111}
    assert {packet.ssrc for packet in packets} == {42}
    for one, next_one in itertools.pairwise(packets):
        assert next_one.sequence == (one.sequence + 1) & 0xFFFF
        assert next_one.timestamp == (one.timestamp + 960) & 0xFFFFFFFF


def test_sequence_numbers_begin_in_the_lower_half() -> None:
    for _ in range(50):
        listener = Listener()
        listener.hear(1)
        assert listener.packets[0].sequence <= 0x8000


@pytest.mark.parametrize("sample_rate", [*SAMPLE_RATES, 22050])
def test_speech_arrives_with_its_pitch_and_level(listener: Listener, sample_rate: int) -> None:
    listener.hear(3)
    listener.say(1, tone(440, 0.4, sample_rate), sample_rate)
    heard = listener.hear(20)
    assert pitch(heard, 48000) == pytest.approx(440, abs=3)
    assert purity(heard[960:], 440, 48000) > 0.95
    assert level(heard[960:-960]) == pytest.approx(8000 / 2**0.5, rel=0.1)


def test_the_marker_says_where_speech_begins(listener: Listener) -> None:
    listener.hear(3)
    listener.say(1, tone(440, 0.1, 24000), 24000)
    listener.hear(15)
    first = listener.datagrams
    listener.say(2, tone(440, 0.1, 24000), 24000)
    listener.hear(15)
    marks = [bool(datagram[1] & MARKER) for datagram in first + listener.datagrams]
    assert marks == [True] + [False] * 14 + [True] + [False] * 14


@pytest.mark.parametrize("offset", [0, 1500])
def test_silence_after_speech_is_encoded_until_the_codec_is_silent_and_repeated_then(
    listener: Listener, offset: int
) -> None:
    """A constant offset rings longest in the encoder's filter."""
    sound = (samples(tone(440, 0.3, 24000)) + offset).astype("<i2").tobytes()
    listener.say(1, sound, 24000)
    listener.hear(15)
    heard = listener.hear(MAX_FADING_FRAMES + 10)
    payloads = [packet.payload for packet in listener.packets]
    silent = silent_payload(24000)
    first_silent = payloads.index(silent)
    assert 1 <= first_silent < 40
    assert all(payload == silent for payload in payloads[first_silent + 1 :])
    assert not heard[960 * (first_silent + 1) :].any()
    assert sharpest_edge(heard[240:]) < 300, "no click where the encoder is left"


def test_of_a_silence_no_more_is_encoded_than_it_takes_to_be_silent(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, frames = Encoder.encode, 0

    def counted(encoder: Encoder, pcm16: bytes) -> bytes:
        nonlocal frames
        frames += 1
        return encode(encoder, pcm16)

    silent = silent_payload(24000)
    monkeypatch.setattr(Encoder, "encode", counted)
    listener.hear(50)
    assert frames == 0, "before the first word"
    listener.say(1, tone(440, 0.3, 24000), 24000)
    listener.hear(200)
    payloads = [packet.payload for packet in listener.packets]
    assert frames == 1 + payloads.index(silent) + 1, "one that begins the encoder, all up to the first silent one"


def test_an_encoder_that_never_falls_silent_is_left_after_a_second(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Encoder(24000).encode(tone(300, 0.02, 24000))
    monkeypatch.setattr(send, "silent_payload", lambda sample_rate: other)  # which no silence becomes
    listener.say(1, tone(440, 0.3, 24000), 24000)
    listener.hear(200)
    payloads = [packet.payload for packet in listener.packets]
    assert payloads.index(other) == 15 + 50
    assert set(payloads[15 + 50 :]) == {other}


def test_speech_after_repeated_silence_sounds_as_if_all_silence_had_been_encoded(listener: Listener) -> None:
    sound = tone(440, 0.2, 24000)
    listener.say(1, sound, 24000)
    listener.hear(200)
    listener.say(2, sound, 24000)
    heard = listener.hear(10)
    encoder, decoder = Encoder(24000), Decoder(48000)
    frames = [sound[at : at + 960] for at in range(0, len(sound), 960)]
    for frame in [*frames, *[bytes(960)] * 190]:
        decoder.decode(encoder.encode(frame))
    reference = samples(b"".join(decoder.decode(encoder.encode(frame)) for frame in frames))
    assert np.corrcoef(heard, reference)[0, 1] > 0.999
    assert level(heard) == pytest.approx(level(reference), rel=0.01)


def test_a_response_at_another_rate_begins_without_a_burst_or_a_hole(listener: Listener) -> None:
    for turn, rate in enumerate([24000, 16000, 48000, 24000]):
        listener.say(turn, tone(440, 0.2, rate), rate)
        heard = listener.hear(11)
        levels = [level(heard[at : at + 960]) for at in range(480, 960 * 9, 960)]
        assert levels == pytest.approx([8000 / 2**0.5] * len(levels), rel=0.15)


def test_an_interruption_is_heard_as_a_fade_and_not_as_a_click(listener: Listener) -> None:
    listener.say(1, tone(440, 2.0, 24000), 24000)
    speech = listener.hear(20)
    listener.playout.clear()
    after = listener.hear(5)
    assert level(after[960:]) < 50
    together = np.concatenate([speech[960:], after])
    assert sharpest_edge(together) < 3 * sharpest_edge(speech[960:])


def test_a_client_that_does_not_listen_is_sent_nothing_while_the_response_goes_on(listener: Listener) -> None:
    listener.say(1, tone(440, 0.2, 24000), 24000)
    listener.sender.active = False
    before = listener.sender.timestamp
    assert len(listener.hear(5)) == 0
    assert listener.playout.played_s == pytest.approx(0.1)
    assert listener.sender.timestamp == before + 5 * 960
    listener.sender.active = True
    assert level(listener.hear(5)[960:]) > 4000


def test_counters_are_those_of_sender_reports(listener: Listener) -> None:
    listener.hear(7)
    assert listener.sender.packets == 7
    assert listener.sender.octets == sum(len(packet.payload) for packet in listener.packets)
    assert listener.sender.timestamp == listener.packets[-1].timestamp
