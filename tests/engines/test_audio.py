import numpy as np
import pytest

from engines.audio import has_voice, is_above, levels, speech_level
from tests.engines.recordings import PAUSE, recording


def noise(rms: float, seconds: float = 1.0) -> bytes:
    return np.random.default_rng(0).normal(0, rms, int(16_000 * seconds)).astype("<i2").tobytes()


def test_levels_are_the_rms_of_20_ms_frames() -> None:
    sound = np.concatenate([np.full(320, 100), np.full(320, -300), np.full(100, 9)]).astype("<i2").tobytes()
    assert levels(sound).tolist() == [100, 300]


def test_speech_is_a_voice_also_in_noise() -> None:
    speech = np.frombuffer(recording("weather.wav"), "<i2").astype(float)
    background = np.frombuffer(noise(np.sqrt((speech**2).mean()) / 10, len(speech) / 16_000), "<i2")
    assert has_voice(speech.astype("<i2").tobytes())
    assert has_voice((speech + background).astype("<i2").tobytes())
    assert has_voice((speech / 20).astype("<i2").tobytes())


@pytest.mark.parametrize("sound", [b"", bytes(100), PAUSE, noise(10), noise(500), noise(5_000)])
def test_silence_and_steady_noise_are_not(sound: bytes) -> None:
    assert not has_voice(sound)


def test_a_pause_is_below_the_speech_level_of_its_utterance_and_speech_above() -> None:
    utterance = recording("weather.wav") + PAUSE
    level = speech_level(utterance)
    assert not is_above(PAUSE, level)
    assert is_above(recording("weather.wav"), level)


def test_less_than_a_frame_is_never_above() -> None:
    assert not is_above(np.full(319, 10_000, "<i2").tobytes(), 30)
