"""What was heard, from Opus packets with arrival times."""

import av
import numpy as np
import pytest
from goassist_client.recording import SAMPLE_RATE, Recording

from tests.clients.scripted_server import tone


def packets(samples: np.ndarray) -> list[bytes]:
    """20 ms Opus packets."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = SAMPLE_RATE, "mono", "s16", 64_000
    encoded = []
    for start in range(0, len(samples), 960):
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, start : start + 960], "s16", "mono")
        frame.sample_rate = SAMPLE_RATE
        encoded += [bytes(packet) for packet in encoder.encode(frame)]
    return encoded


def recording_of(samples: np.ndarray, *, first_timestamp: int = 0, lost: tuple[int, ...] = ()) -> Recording:
    recording = Recording()
    for index, payload in enumerate(packets(samples)):
        if index not in lost:
            recording.add(payload, (first_timestamp + 960 * index) % 2**32, 1.0 + 0.02 * index)
    return recording


def test_a_tone_arrives_as_loud_and_as_high_as_it_was_sent() -> None:
    recording = recording_of(tone(1.0, hz=1000, amplitude=8000))
    samples = recording.samples()[4800:]
    assert len(recording.samples()) == SAMPLE_RATE
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(samples) == pytest.approx(1000, abs=5)
    assert recording.level_dbfs() == pytest.approx(20 * np.log10(8000 / 2**0.5 / 32768), abs=1)


def test_lost_packets_leave_silence_in_their_place() -> None:
    recording = recording_of(tone(1.0), lost=(20, 21))
    samples = recording.samples()
    assert len(samples) == SAMPLE_RATE
    assert not samples[20 * 960 : 22 * 960].any()
    assert recording.audible_s() == pytest.approx(0.96, abs=0.021)


def test_the_rtp_clock_may_wrap_in_the_middle() -> None:
    recording = recording_of(tone(0.5), first_timestamp=2**32 - 960 * 10)
    assert len(recording.samples()) == SAMPLE_RATE // 2


def test_arrival_times_say_when_sound_began_and_ended() -> None:
    recording = recording_of(np.concatenate([np.zeros(9600, np.int16), tone(0.4), np.zeros(19200, np.int16)]))
    assert recording.first_audible_s() == pytest.approx(1.2, abs=0.021)
    assert recording.last_audible_s() == pytest.approx(1.58, abs=0.021)
    assert recording.first_audible_s(since_s=1.7) is None
    assert recording.last_audible_s(since_s=1.7) is None
    assert recording.last_audible_s(until_s=1.3) == pytest.approx(1.28, abs=0.021)


def test_a_recording_without_samples_still_knows_the_levels() -> None:
    recording = Recording(keep_samples=False)
    for index, payload in enumerate(packets(tone(0.5))):
        recording.add(payload, 960 * index, 0.02 * index)
    assert recording.audible_s() == pytest.approx(0.5, abs=0.021)
    assert len(recording.samples()) == 0


def test_a_recording_is_resampled_for_a_recogniser() -> None:
    samples = recording_of(tone(1.0, hz=440)).resampled(16_000)
    assert len(samples) == pytest.approx(16_000, abs=32)
    assert np.argmax(np.abs(np.fft.rfft(samples[:16000].astype(float)))) * 16000 / len(samples) == pytest.approx(
        440, abs=3
    )
