from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.dialogue.answer import Answer, answer, loud_frames
from benchmarks.dialogue.words import word_times
from engines.flite import SAMPLE_RATE, VOICES, Flite

TEXT = "It is 5:46 PM, and the lighthouse keeper is awake. She climbed the two hundred steps to the top."


@pytest.fixture(scope="module")
def flite() -> Iterator[Flite]:
    engine = Flite()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def said(flite: Flite) -> Answer:
    return answer(TEXT, flite)


@pytest.mark.parametrize("voice", VOICES)
def test_words_are_those_that_are_written_one_after_the_other(voice: str) -> None:
    words = word_times("It is 5:46 PM, and I don't know.", voice)
    assert [word.text for word in words] == ["It", "is", "5:46", "PM", "and", "I", "don't", "know"]
    assert all(word.begin_s < word.end_s for word in words)
    assert all(earlier.end_s <= later.begin_s + 1e-6 for earlier, later in pairwise(words))


@pytest.mark.parametrize("voice", VOICES)
def test_a_word_is_audible_when_it_is_said_to_be(flite: Flite, voice: str) -> None:
    spoken = answer("Good morning to the lighthouse.", flite, voice)
    audible = np.flatnonzero(np.abs(spoken.samples.astype(np.int32)) > 600) / SAMPLE_RATE
    assert spoken.words[0].begin_s == pytest.approx(audible[0], abs=0.1)
    assert spoken.words[-1].end_s == pytest.approx(audible[-1], abs=0.15)


def test_an_answer_has_every_word_of_its_text(said: Answer) -> None:
    assert len(said.words) == len(TEXT.split())
    assert said.words[-1].end_s < said.samples.size / SAMPLE_RATE


@pytest.mark.parametrize("end_s", [0.7, 1.9, 3.3, 4.6])
def test_what_was_heard_is_found_again_under_noise_and_at_another_level(said: Answer, end_s: float) -> None:
    heard = said.samples[: round(end_s * SAMPLE_RATE)] * 0.5
    noise = np.random.default_rng(3).normal(0, 100, heard.size)
    place = said.place((heard + noise).astype(np.int16))
    assert place is not None
    assert place.end_s == pytest.approx(end_s, abs=0.001)


def test_what_is_not_in_the_answer_is_not_found(said: Answer, flite: Flite) -> None:
    other = answer("Nobody told me that the meeting had been moved.", flite, "rms")
    assert said.place(other.samples[:SAMPLE_RATE]) is None
    assert said.place(np.zeros(SAMPLE_RATE, np.int16)) is None
    assert said.place(np.zeros(0, np.int16)) is None


def test_a_word_counts_as_heard_once_half_of_it_was_said(said: Answer) -> None:
    third = said.words[2]
    assert said.words_until(third.begin_s + 0.01) == ["It", "is"]
    assert said.words_until(third.end_s - 0.01) == ["It", "is", "5:46"]
    assert len(said.words_until(60.0)) == len(TEXT.split())


def test_silence_between_words_is_not_counted_as_sound(said: Answer) -> None:
    with_pause = np.concatenate([said.samples[:SAMPLE_RATE], np.zeros(SAMPLE_RATE, np.int16)])
    assert loud_frames(with_pause) == loud_frames(said.samples[:SAMPLE_RATE])
    assert 0 < loud_frames(said.samples) < said.samples.size / 320
