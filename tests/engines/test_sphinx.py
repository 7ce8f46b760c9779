import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from engines.pocketsphinx import SEARCH
from engines.sphinx import Decoder
from tests.end_to_end.words import word_error_rate
from tests.engines.recordings import PAUSE, recording

STORY = recording("tell_me_a_story.wav") + PAUSE


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder({"maxhmmpf": 5000, "maxwpf": 20})
    yield decoder
    decoder.close()


def decode(decoder: Decoder, sound: bytes) -> None:
    decoder.begin(decoder.measure(sound))
    decoder.process(sound)
    decoder.end()


def test_a_whole_utterance_is_decoded_into_words_with_times(decoder: Decoder) -> None:
    decode(decoder, STORY)
    assert word_error_rate("tell me a story", decoder.hypothesis()) == 0
    segments = list(decoder.segments())
    assert [each.word for each in segments if each.word.isalpha()] == ["tell", "me", "a", "story"]
    assert segments[0].start_s == 0
    assert all(one.end_s <= other.start_s + 0.011 for one, other in itertools.pairwise(segments))
    assert segments[-1].end_s == pytest.approx(len(STORY) / 32_000, abs=0.1)


def test_the_same_sound_has_the_same_answer_whatever_was_decoded_before(decoder: Decoder) -> None:
    def answer() -> list[tuple[str, float]]:
        decoder.begin(decoder.measure(STORY))
        decoder.process(STORY)
        decoder.end()
        return [(each.word, each.probability) for each in decoder.segments()]

    first = answer()
    decode(decoder, np.random.default_rng(0).normal(0, 5_000, 32_000).astype("<i2").tobytes())
    assert answer() == first


def test_where_no_word_ends_with_the_sound_what_was_thought_before_its_end_is_the_answer() -> None:
    decoder = Decoder(SEARCH)
    decode(decoder, recording("five_plus_seven.wav")[:38_400])
    assert not decoder.hypothesis(), "there is a path through the words after all: another recording is needed"
    words = [each for each in decoder.segments() if each.word.isalpha()]
    assert [each.word for each in words] == ["what", "is", "five"]
    assert {each.probability for each in words} == {0.0}
    decoder.close()


def test_a_hypothesis_is_there_while_the_utterance_goes_on(decoder: Decoder) -> None:
    decoder.begin(decoder.measure(STORY))
    decoder.process(STORY[: len(STORY) * 3 // 4])
    assert "tell" in decoder.hypothesis()
    decoder.end()


def test_means_that_were_wrong_can_be_set_right_before_the_words(decoder: Decoder) -> None:
    silence, spoken = STORY[:6_400], STORY[6_400:]
    right = decoder.measure(STORY)
    understood = []
    for later in (None, right):
        decoder.begin(right - 30.0)
        decoder.process(silence)
        if later is not None:
            decoder.adjust(later)
        decoder.process(spoken)
        decoder.end()
        understood.append(word_error_rate("tell me a story", decoder.hypothesis()))
    assert understood[0] > 0, "these means are not wrong enough to tell"
    assert understood[1] == 0


def test_the_means_of_a_louder_sound_differ_in_the_first_cepstrum_above_all(decoder: Decoder) -> None:
    samples = np.frombuffer(recording("weather.wav"), "<i2") // 4
    quiet, loud = (decoder.measure((samples * gain).astype("<i2").tobytes()) for gain in (1, 3))
    assert loud[0] > quiet[0] + 5
    assert np.abs(loud[1:] - quiet[1:]).max() < 2.5


def test_sound_shorter_than_a_frame_has_neither_words_nor_means(decoder: Decoder) -> None:
    assert decoder.measure(bytes(20)).tolist() == [0] * 13
    decode(decoder, bytes(20))
    assert decoder.hypothesis() == ""


def test_decoding_leaves_the_interpreter_to_other_threads(decoder: Decoder) -> None:
    def longest_gap() -> float:
        """The longest time in which this thread did not run, as a part of the decoding."""
        decoding = threading.Thread(target=decode, args=(decoder, STORY * 4))
        started = last = time.monotonic()
        longest_s = 0.0
        decoding.start()
        while decoding.is_alive():
            now = time.monotonic()
            longest_s, last = max(longest_s, now - last), now
        return longest_s / (time.monotonic() - started)

    # One that holds the interpreter lets no other thread run from its beginning to its end; others' programs may do so
    # once.
    assert any(longest_gap() < 0.5 for _ in range(3))
