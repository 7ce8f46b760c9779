from collections.abc import Iterator
from typing import get_args

import numpy as np
import pytest

from benchmarks.dialogue.script import BROKEN, VOICES, Disturbance, Noise
from benchmarks.dialogue.sounds import LEVEL, SAMPLE_RATE, Studio, at_level, faded, muffled, pink, quietest


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    made = Studio()
    yield made
    made.close()


def rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))


@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_is_as_loud_as_the_others(studio: Studio, voice: str) -> None:
    assert 0.7 * LEVEL < rms(studio.said(voice, "What time is it?")) < 1.1 * LEVEL


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("parts", BROKEN, ids=lambda parts: parts[0])
def test_a_sentence_is_cut_between_its_words_and_loses_nothing(
    studio: Studio, voice: str, parts: tuple[str, ...]
) -> None:
    cut = studio.sentence(voice, parts)
    whole = studio.said(voice, " ".join(parts))
    assert len(cut) == len(parts)
    assert sum(part.size for part in cut) == whole.size
    # Every part has about the share of the sentence that its letters have.
    letters = np.array([len(part.replace(" ", "")) for part in parts])
    shares = np.array([part.size for part in cut]) / whole.size
    assert np.abs(shares - letters / letters.sum()).max() < 0.15


@pytest.mark.parametrize("kind", get_args(Noise))
def test_noise_has_the_level_that_is_asked_for_and_is_always_the_same(studio: Studio, kind: Noise) -> None:
    noise = studio.noise(kind, -20.0)
    assert rms(noise) == pytest.approx(LEVEL / 10, rel=0.35)
    assert np.array_equal(noise, studio.noise(kind, -20.0))


@pytest.mark.parametrize("sound", get_args(Disturbance))
def test_a_disturbance_can_be_heard_and_is_short(studio: Studio, sound: Disturbance) -> None:
    made = studio.disturbance(sound, "slt")
    assert 0.1 * SAMPLE_RATE < made.size < 5 * SAMPLE_RATE
    assert rms(made) > 50


def test_side_speech_is_another_voice_and_20_db_softer(studio: Studio) -> None:
    assert rms(studio.disturbance("side speech", "slt")) == pytest.approx(LEVEL / 10, rel=0.3)


def test_pink_noise_falls_by_3_db_an_octave() -> None:
    power = np.abs(np.fft.rfft(pink(np.random.default_rng(1), 1 << 16))) ** 2
    octaves = [float(power[1 << n : 1 << n + 1].mean()) for n in range(9, 14)]
    falls = 10 * np.log10(np.array(octaves[:-1]) / octaves[1:])
    assert falls == pytest.approx(np.full(4, 3.0), abs=0.7)


def test_a_muffled_sound_has_lost_its_high_notes() -> None:
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = np.sin(2 * np.pi * 200 * time_s), np.sin(2 * np.pi * 4_000 * time_s)
    assert rms(muffled(low)) > 0.9 * rms(low)
    assert rms(muffled(high)) < 0.1 * rms(high)


def test_the_quietest_place_is_found() -> None:
    sound = np.ones(SAMPLE_RATE)
    sound[8_300:8_500] = 0
    assert 8_300 <= quietest(sound, 8_000) <= 8_500


def test_a_faded_sound_begins_and_ends_softly_and_is_untouched_between() -> None:
    sound = faded(np.ones(SAMPLE_RATE))
    assert sound.size == SAMPLE_RATE
    assert sound[0] < 0.05 > sound[-1]
    assert (sound[200:-200] == 1).all()


def test_a_level_is_measured_where_the_sound_is_audible() -> None:
    sound = np.concatenate([np.ones(SAMPLE_RATE), np.zeros(9 * SAMPLE_RATE)])
    assert at_level(sound, 500.0).max() == pytest.approx(500.0)
