"""How long a silence must be to end a turn: by the words, the model's opinion, and answers that are on their way.

What the speaker has done before counts, too: test_patience.py. What people are promised: test_endpointing_rules.py.
"""

import pytest

from orchestrator.core.endpointing import Ended, FellSilent, Hesitated, Paused
from orchestrator.core.endpointing_rules import Rules
from tests.core.microphone import DEFAULT, SILENCE, SPEECH, WINDOW, WINDOW_MS, speaking
from tests.core.silence import ASKED_MS, end_ms, judged, silent, silent_after


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("what time is it", DEFAULT.complete_ms),
        ("what are you talking about", DEFAULT.unclear_ms),
        ("my number is five five", DEFAULT.dictated_ms),
        ("and then i", DEFAULT.trailing_ms),
        ("", DEFAULT.unheard_ms),
        (" ", DEFAULT.unheard_ms),
    ],
)
def test_the_words_decide_how_long_the_silence_must_be(text: str, wait: int) -> None:
    assert wait <= speaking(text).silence_until_the_end_ms() <= wait + WINDOW_MS


def test_words_that_arrive_in_the_pause_count_at_once() -> None:
    microphone = speaking("what time is")
    assert microphone.hears(SILENCE, 480) == [Hesitated(30 * WINDOW), FellSilent(30 * WINDOW), Paused(30 * WINDOW)]
    assert microphone.endpointer.hear("what time is it") == [Ended(30 * WINDOW, microphone.position)]


def test_words_of_the_turn_before_do_not_count_in_the_next() -> None:
    microphone = speaking("what time is it")
    microphone.silence_until_the_end_ms()
    microphone.endpointer.hear("what time is it")  # late
    microphone.hears(SPEECH, 320)
    assert microphone.silence_until_the_end_ms() >= DEFAULT.unheard_ms


def test_of_another_language_the_punctuation_decides() -> None:
    rules = Rules(english=False)
    assert speaking("ich gehe in die", rules).silence_until_the_end_ms() >= DEFAULT.unclear_ms
    assert speaking("Ich gehe jetzt.", rules).silence_until_the_end_ms() <= DEFAULT.complete_ms + WINDOW_MS


@pytest.mark.parametrize(
    ("text", "opinion", "wait"),
    [
        ("I have some time today", 0.98, DEFAULT.complete_ms),
        ("I have some time today", 0.9, DEFAULT.agreed_ms),
        ("I have some time today", 0.7, DEFAULT.agreed_ms),
        ("I have some time today", 0.5, DEFAULT.open_ms),
        ("I have some time today", 0.2, DEFAULT.doubted_ms),
        ("I have some time today", 0.1, DEFAULT.doubted_ms),
        ("what time is it", 0.98, DEFAULT.complete_ms),
        ("what time is it", 0.5, DEFAULT.complete_ms),
        ("what time is it", 0.2, DEFAULT.asked_ms),
        ("what time is it", 0.1, DEFAULT.asked_ms),
        ("what are you talking about", 0.98, DEFAULT.agreed_ms),
        ("what are you talking about", 0.9, DEFAULT.sure_ms),
        ("what are you talking about", 0.7, DEFAULT.inclined_ms),
        ("what are you talking about", 0.5, DEFAULT.unclear_ms),
        ("what are you talking about", 0.2, DEFAULT.incomplete_ms),
        ("what are you talking about", 0.1, DEFAULT.denied_ms),
        ("and then i", 0.98, DEFAULT.unclear_ms),
        ("and then i", 0.9, DEFAULT.unclear_ms),
        ("and then i", 0.7, DEFAULT.trailing_ms),
        ("and then i", 0.1, DEFAULT.denied_ms),
        ("five five", 0.98, DEFAULT.unclear_ms),
        ("five five", 0.5, DEFAULT.dictated_ms),
        ("", 0.98, DEFAULT.agreed_ms),
        ("", 0.9, DEFAULT.sure_ms),
        ("", 0.5, DEFAULT.unheard_ms),
    ],
)
def test_the_end_of_turn_model_shortens_or_lengthens_the_wait(text: str, opinion: float, wait: int) -> None:
    assert wait <= end_ms(speaking(text), opinion) <= wait + WINDOW_MS


@pytest.mark.parametrize("text", ["what time is it", "and then i", "what are you talking about", "five five"])
@pytest.mark.parametrize(
    ("opinion", "wait"),
    [
        (None, DEFAULT.unclear_ms),
        (0.98, DEFAULT.agreed_ms),
        (0.9, DEFAULT.sure_ms),
        (0.7, DEFAULT.inclined_ms),
        (0.5, DEFAULT.unheard_ms),
        (0.25, DEFAULT.incomplete_ms),
        (0.05, DEFAULT.denied_ms),
    ],
)
def test_of_words_that_were_guessed_the_end_of_turn_model_alone_decides(
    text: str, opinion: float | None, wait: int
) -> None:
    microphone = speaking()
    microphone.endpointer.hear(text, DEFAULT.plausible - 0.1)
    assert wait <= end_ms(microphone, opinion) <= wait + WINDOW_MS


@pytest.mark.parametrize("text", ["and then i", "my number is five five"])
def test_guessed_words_that_trail_off_or_are_dictated_are_no_end_though_the_model_is_sure(text: str) -> None:
    microphone = speaking()
    microphone.endpointer.hear(text, (DEFAULT.plausible + DEFAULT.trusted) / 2)
    assert judged(microphone, 0.95) == DEFAULT.unclear_ms


def test_the_recognisers_answer_about_the_pause_is_waited_for_though_the_words_seem_complete() -> None:
    microphone = speaking()
    microphone.endpointer.hear("what do you think", final=False)
    silent(microphone).endpointer.expect_words()
    microphone.endpointer.judge(0.95)
    assert microphone.endpointer.wait_ms() == DEFAULT.words_ms
    microphone.endpointer.hear("what do you think about", 0.9)
    assert microphone.endpointer.wait_ms() >= DEFAULT.unclear_ms


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    microphone = silent_after("what time is it")
    microphone.endpointer.expect_words()
    assert ASKED_MS + microphone.silence_until_the_end_ms() <= DEFAULT.words_ms + WINDOW_MS


def test_what_is_not_final_takes_nothing_back_in_a_pause_whose_words_are_known() -> None:
    microphone = silent_after("")
    microphone.endpointer.expect_words()
    microphone.endpointer.hear("and then i", 0.9)
    microphone.endpointer.hear("and then i", 0.0, final=False)
    assert microphone.endpointer.wait_ms() == DEFAULT.trailing_ms
    microphone.hears(SPEECH, 320)
    microphone.endpointer.hear("and then i went home", 0.9, final=False)
    assert microphone.endpointer.wait_ms() == DEFAULT.complete_ms, "of the next words it does"


def test_words_that_the_recogniser_is_sure_of_count() -> None:
    microphone = speaking()
    microphone.endpointer.hear("what time is it", DEFAULT.trusted)
    assert microphone.silence_until_the_end_ms() <= DEFAULT.complete_ms + WINDOW_MS


def test_complete_words_wait_a_moment_for_an_opinion_that_is_on_its_way() -> None:
    microphone = silent_after("what time is it")
    microphone.endpointer.expect_opinion()
    assert not any(isinstance(signal, Ended) for signal in microphone.hears(SILENCE, 96))
    last_speech = 30 * WINDOW
    assert microphone.endpointer.judge(0.98) == [Ended(last_speech, microphone.position)], "it decides at once"


def test_an_opinion_that_does_not_come_is_not_waited_for() -> None:
    microphone = silent_after("what time is it")
    microphone.endpointer.expect_opinion()
    assert ASKED_MS + microphone.silence_until_the_end_ms() <= DEFAULT.opinion_ms + WINDOW_MS
    microphone = silent_after("what time is it")
    microphone.endpointer.expect_opinion()
    microphone.hears(SILENCE, 96)
    assert isinstance(microphone.endpointer.judge(None)[-1], Ended), "the model has none: the words decide"


def test_an_opinion_holds_for_its_own_pause_only() -> None:
    microphone = speaking("and then i")
    microphone.endpointer.judge(0.9)  # no pause yet
    judged(microphone, 0.9)
    microphone.hears(SPEECH, 96)
    assert microphone.silence_until_the_end_ms() >= DEFAULT.trailing_ms


@pytest.mark.parametrize("silence_ms", [64, 200, 500, 2000])
def test_a_fixed_silence_is_the_clients_own_whatever_was_said(silence_ms: int) -> None:
    for text in ("what time is it", "and then i", ""):
        microphone = speaking(text, Rules(fixed_ms=silence_ms))
        assert silence_ms <= microphone.silence_until_the_end_ms() < silence_ms + WINDOW_MS
        assert any(isinstance(signal, Paused) for signal in microphone.signals)
