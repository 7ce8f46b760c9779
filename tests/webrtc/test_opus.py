"""orchestrator/webrtc/opus.py: sound goes through, holes are concealed, errors are errors."""

import gc
import weakref
from collections.abc import Iterator

import av
import numpy as np
import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.webrtc import opus
from orchestrator.webrtc.opus import Decoder, Encoder, OpusError
from tests.webrtc.sound import level, pitch, samples, tone

FRAME = 2 * 320  # bytes of 20 ms at 16 kHz


def frames(pcm16: bytes, sample_rate: int) -> list[bytes]:
    size = 2 * sample_rate // 50
    return [pcm16[at : at + size] for at in range(0, len(pcm16) - size + 1, size)]


def speech_mode_payloads(pcm16_48k: bytes) -> list[bytes]:
    """What a browser sends: the speech mode, each payload with a coarse copy of the one before (in-band FEC)."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 48000, "mono", "s16", 24000
    encoder.options = {"application": "voip", "fec": "1", "packet_loss": "20"}
    encoder.open()
    payloads = []
    for index, frame in enumerate(frames(pcm16_48k, 48000)):
        sound = av.AudioFrame.from_ndarray(np.frombuffer(frame, "<i2")[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts = 48000, 960 * index
        payloads += [bytes(packet) for packet in encoder.encode(sound)]
    return payloads


@pytest.mark.parametrize("sample_rate", opus.SAMPLE_RATES)
def test_a_tone_at_any_rate_arrives_with_its_pitch_and_level(sample_rate: int) -> None:
    encoder, decoder = Encoder(sample_rate), Decoder(16000)
    sent = tone(440, 1.0, sample_rate)
    heard = samples(b"".join(decoder.decode(encoder.encode(frame)) for frame in frames(sent, sample_rate)))
    assert len(heard) == 16000
    assert pitch(heard[1600:], 16000) == pytest.approx(440, abs=2)
    assert level(heard[1600:]) == pytest.approx(level(samples(sent)), rel=0.05)


@pytest.mark.parametrize("bitrate", [16000, 32000, 64000])
def test_payloads_are_as_long_as_the_bitrate_says(bitrate: int) -> None:
    encoder = Encoder(48000, bitrate=bitrate)
    payloads = [encoder.encode(frame) for frame in frames(tone(440, 1.0, 48000), 48000)]
    assert sum(map(len, payloads)) * 8 == pytest.approx(bitrate, rel=0.15)


def test_a_rate_that_opus_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="22050"):
        Encoder(22050)


def test_a_frame_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="960 bytes, not 958"):
        Encoder(24000).encode(bytes(958))


def test_a_malformed_payload_raises_and_the_decoder_goes_on() -> None:
    encoder, decoder = Encoder(16000), Decoder()
    with pytest.raises(OpusError, match="corrupted"):
        decoder.decode(b"\xff")
    assert len(decoder.decode(encoder.encode(bytes(FRAME)))) == FRAME


@pytest.mark.parametrize("before", [bytes(10 * 960), tone(440, 0.2, 24000)], ids=["silence", "sound"])
def test_the_first_frames_of_a_new_encoder_have_their_level_whatever_came_before(before: bytes) -> None:
    """Coded as a difference to what the decoder never had, they are four times too loud, or hardly to be heard."""
    old, new, decoder = Encoder(24000), Encoder(24000), Decoder()
    for frame in frames(before, 24000):
        decoder.decode(old.encode(frame))
    speech = frames(tone(440, 0.1, 24000), 24000)
    levels = [level(samples(decoder.decode(new.encode(frame)))[80:]) for frame in speech]
    assert levels == pytest.approx([8000 / 2**0.5] * len(speech), rel=0.1)


def test_a_hole_in_a_tone_is_concealed_by_the_same_tone() -> None:
    encoder, decoder = Encoder(16000), Decoder()
    payloads = [encoder.encode(frame) for frame in frames(tone(400, 0.4, 16000), 16000)]
    for payload in payloads[:10]:
        decoder.decode(payload)
    made_up = samples(decoder.conceal(320))
    assert len(made_up) == 320
    assert pitch(made_up, 16000) == pytest.approx(400, abs=50)
    assert level(made_up) > 0.5 * level(samples(tone(400, 0.4, 16000)))


def test_a_lost_frame_is_recovered_from_the_copy_in_the_next_one() -> None:
    """The lost frame changes pitch, which concealment cannot know of and the copy does."""
    sound = tone(300, 0.4, 48000) + tone(900, 0.2, 48000)
    payloads = speech_mode_payloads(sound)
    lost = 22
    recovering, concealing = Decoder(), Decoder()
    for payload in payloads[:lost]:
        recovering.decode(payload)
        concealing.decode(payload)
    wanted = Decoder()
    for payload in payloads[:lost]:
        wanted.decode(payload)
    truth = samples(wanted.decode(payloads[lost]))
    recovered = samples(recovering.recover(payloads[lost + 1], 320))
    concealed = samples(concealing.conceal(320))
    assert np.corrcoef(recovered, truth)[0, 1] > 0.8
    assert np.corrcoef(recovered, truth)[0, 1] > np.corrcoef(concealed, truth)[0, 1]


def test_codec_states_die_with_their_objects() -> None:
    encoder, decoder = Encoder(24000), Decoder()
    memory = [weakref.ref(encoder._memory), weakref.ref(decoder._memory)]
    del encoder, decoder
    gc.collect()
    assert [reference() for reference in memory] == [None, None]


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(opus, "_candidates", lambda: iter(["/nowhere/libopus.so"]))
    opus._library.cache_clear()
    yield
    opus._library.cache_clear()


@pytest.mark.usefixtures("no_library")
def test_a_machine_without_libopus_is_told_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match="pip install"):
        Decoder()
