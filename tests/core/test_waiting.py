"""How long a silence must be to end a turn."""

import pytest

from orchestrator.core.endpointing import Ended, FellSilent, Hesitated, Paused
from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import LEAST, Experience
from tests.core.microphone import DEFAULT, SILENCE, SPEECH, WINDOW, WINDOW_MS, Microphone, pausing, speaking


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
        ("and then i", 0.1, DEFAULT.trailing_ms),
        ("five five", 0.98, DEFAULT.unclear_ms),
        ("five five", 0.5, DEFAULT.dictated_ms),
        ("", 0.98, DEFAULT.agreed_ms),
        ("", 0.9, DEFAULT.sure_ms),
        ("", 0.5, DEFAULT.unheard_ms),
    ],
)
def test_the_end_of_turn_model_shortens_or_lengthens_the_wait(text: str, opinion: float, wait: int) -> None:
    microphone = speaking(text)
    passed_ms = 128
    microphone.hears(SILENCE, passed_ms)
    microphone.endpointer.judge(opinion)
    assert wait <= passed_ms + microphone.silence_until_the_end_ms() <= wait + WINDOW_MS


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
        (0.05, DEFAULT.guessed_denied_ms),
    ],
)
def test_of_words_that_were_guessed_the_end_of_turn_model_alone_decides(
    text: str, opinion: float | None, wait: int
) -> None:
    microphone = speaking()
    microphone.endpointer.hear(text, DEFAULT.plausible - 0.1)
    passed_ms = 128
    microphone.hears(SILENCE, passed_ms)
    microphone.endpointer.judge(opinion)
    assert wait <= passed_ms + microphone.silence_until_the_end_ms() <= wait + WINDOW_MS


@pytest.mark.parametrize("text", ["and then i", "my number is five five"])
def test_guessed_words_that_trail_off_or_are_dictated_are_no_end_though_the_model_is_sure(text: str) -> None:
    microphone = speaking()
    microphone.endpointer.hear(text, (DEFAULT.plausible + DEFAULT.trusted) / 2)
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(0.95)
    assert microphone.endpointer.wait_ms() == DEFAULT.unclear_ms


def test_the_recognisers_answer_about_the_pause_is_waited_for_though_the_words_seem_complete() -> None:
    microphone = speaking()
    microphone.endpointer.hear("what do you think", final=False)
    microphone.hears(SILENCE, 128)
    microphone.endpointer.expect_words()
    microphone.endpointer.judge(0.95)
    assert microphone.endpointer.wait_ms() == DEFAULT.words_ms
    microphone.endpointer.hear("what do you think about", 0.9)
    assert microphone.endpointer.wait_ms() >= DEFAULT.unclear_ms


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    microphone = speaking("what time is it")
    microphone.hears(SILENCE, 128)
    microphone.endpointer.expect_words()
    assert 128 + microphone.silence_until_the_end_ms() <= DEFAULT.words_ms + WINDOW_MS


def test_what_is_not_final_takes_nothing_back_in_a_pause_whose_words_are_known() -> None:
    microphone = speaking()
    microphone.hears(SILENCE, 128)
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
    microphone = speaking("what time is it")
    microphone.hears(SILENCE, 128)
    microphone.endpointer.expect_opinion()
    assert not any(isinstance(signal, Ended) for signal in microphone.hears(SILENCE, 96))
    last_speech = 30 * WINDOW
    assert microphone.endpointer.judge(0.98) == [Ended(last_speech, microphone.position)], "it decides at once"


def test_an_opinion_that_does_not_come_is_not_waited_for() -> None:
    microphone = speaking("what time is it")
    microphone.hears(SILENCE, 128)
    microphone.endpointer.expect_opinion()
    assert 128 + microphone.silence_until_the_end_ms() <= DEFAULT.opinion_ms + WINDOW_MS
    microphone = speaking("what time is it")
    microphone.hears(SILENCE, 128)
    microphone.endpointer.expect_opinion()
    microphone.hears(SILENCE, 96)
    assert isinstance(microphone.endpointer.judge(None)[-1], Ended), "the model has none: the words decide"


def test_a_speaker_whom_the_model_does_not_understand_is_judged_by_words() -> None:
    def end_ms(text: str) -> int:
        microphone.hears(SILENCE, 960)
        microphone.hears(SPEECH, 960)
        microphone.endpointer.hear(text, 0.9)
        microphone.hears(SILENCE, 128)
        ended = microphone.endpointer.judge(0.1)
        return 128 if ended else 128 + microphone.silence_until_the_end_ms()

    microphone = Microphone()
    waits = [end_ms("I have some time today") for _ in range(DEFAULT.vain_doubts + 1)]
    assert min(waits[:-1]) >= DEFAULT.doubted_ms
    assert DEFAULT.misjudged_ms <= waits[-1] <= DEFAULT.misjudged_ms + WINDOW_MS
    assert end_ms("what time is it") <= DEFAULT.complete_ms + WINDOW_MS
    microphone.hears(SPEECH, 960)
    for _ in range(2):  # these doubts are right
        microphone.endpointer.hear("I have some time today", 0.9)
        microphone.hears(SILENCE, 160)
        microphone.endpointer.judge(0.1)
        microphone.hears(SPEECH, 320)
    microphone.endpointer.hear("I have some time today and tomorrow", 0.9)
    microphone.silence_until_the_end_ms()
    assert end_ms("I have some time today") >= DEFAULT.doubted_ms, "the model is believed again"


@pytest.mark.parametrize(
    ("text", "pause_ms", "wait_ms"),
    [
        ("I saw the market", 320, DEFAULT.denied_ms),
        ("I saw the market", 160, DEFAULT.doubted_ms),  # between two words
        ("I went to the", 320, DEFAULT.incomplete_ms),  # the words told as much
    ],
)
def test_a_model_that_denied_an_end_rightly_is_believed_when_it_denies_the_next(
    text: str, pause_ms: int, wait_ms: int
) -> None:
    microphone = speaking()
    microphone.endpointer.hear(text, 0.9)
    pausing(microphone, pause_ms, opinion=0.05)
    microphone.endpointer.hear(f"{text} and bought some bread", 0.9)
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(0.05)
    assert microphone.endpointer.wait_ms() == wait_ms


def test_of_such_a_speaker_even_guessed_words_tell_more_than_the_model() -> None:
    def end_ms(text: str, opinion: float = 0.05) -> int:
        microphone.hears(SILENCE, 960)
        microphone.hears(SPEECH, 960)
        microphone.endpointer.hear(text, DEFAULT.trusted - 0.1)
        microphone.hears(SILENCE, 128)
        microphone.endpointer.judge(opinion)
        return 128 + microphone.silence_until_the_end_ms()

    microphone = Microphone()
    assert end_ms("I have some time today") >= DEFAULT.guessed_denied_ms
    for wait_ms in (DEFAULT.incomplete_ms, DEFAULT.misjudged_ms):  # denied in vain once, and twice
        assert wait_ms <= end_ms("I have some time today") <= wait_ms + WINDOW_MS
    assert DEFAULT.sure_ms <= end_ms("I have some time today", 0.5) <= DEFAULT.sure_ms + WINDOW_MS, "it does not doubt"
    assert end_ms("and then i") >= DEFAULT.incomplete_ms


def test_who_has_paused_may_pause_again_though_the_words_were_guessed() -> None:
    others = Experience()
    for _ in range(LEAST):
        others.doubted(vain=True)
    microphone = Microphone(experience=others)
    microphone.hears(SPEECH, 960)
    pausing(microphone, 320)
    microphone.endpointer.hear("I have some time today", DEFAULT.trusted - 0.1)
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(0.9)
    assert microphone.endpointer.wait_ms() == DEFAULT.hesitant_ms


@pytest.mark.parametrize(
    ("pause_ms", "opinion", "wait_ms"),
    [
        (96, None, DEFAULT.complete_ms),
        (192, None, DEFAULT.complete_ms),
        (224, None, DEFAULT.hesitant_ms),
        (320, None, DEFAULT.hesitant_ms),
        (320, DEFAULT.model_inclined - 0.05, DEFAULT.hesitant_ms),
        (320, DEFAULT.model_inclined, DEFAULT.inclined_ms),
        (320, DEFAULT.model_sure, DEFAULT.sure_ms),
        (320, DEFAULT.model_certain, DEFAULT.agreed_ms),
    ],
)
def test_who_has_paused_in_a_turn_may_pause_again_less_likely_where_the_model_is_sure(
    pause_ms: int, opinion: float | None, wait_ms: int
) -> None:
    microphone = speaking("I went to")
    pausing(microphone, pause_ms)
    microphone.endpointer.hear("I went to the market")
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(opinion)
    assert microphone.endpointer.wait_ms() == wait_ms
    microphone.silence_until_the_end_ms()
    microphone.hears(SILENCE, 1000)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear("what time is it")
    assert microphone.endpointer.wait_ms() == DEFAULT.complete_ms, "the next turn begins anew"


def test_a_model_that_was_certain_in_vain_is_no_more_than_sure_until_it_was_right() -> None:
    microphone = speaking("I went to")
    pausing(microphone, 320, opinion=0.99)
    waits = []
    for _ in range(2):
        microphone.endpointer.hear("I went to the market")
        microphone.hears(SILENCE, 128)
        microphone.endpointer.judge(0.99)
        waits.append(microphone.endpointer.wait_ms())
        microphone.silence_until_the_end_ms()
        microphone.hears(SILENCE, 960)
        microphone.hears(SPEECH, 960)
        microphone.endpointer.hear("I went to")
        pausing(microphone, 320)
    assert waits == [DEFAULT.sure_ms, DEFAULT.agreed_ms]


def test_a_doubt_about_an_end_that_was_none_was_right_after_all() -> None:
    microphone = Microphone()
    for pause_ms in (320, 960):  # cut off, then over
        microphone.hears(SPEECH, 960)
        microphone.endpointer.hear("I saw the market", 0.9)
        microphone.hears(SILENCE, 128)
        microphone.endpointer.judge(0.05)
        wait_ms = microphone.endpointer.wait_ms()
        microphone.silence_until_the_end_ms()
        microphone.hears(SILENCE, pause_ms)
    assert wait_ms == DEFAULT.denied_ms


def test_who_was_cut_off_is_given_more_time_unless_the_model_is_certain_that_never_was_in_vain() -> None:
    def wait_ms_after(opinion: float, then: float = 0.98) -> int:
        """Of who was cut off where the model thought so; of the next end it thinks `then`."""
        microphone = speaking("I know what time it is")
        microphone.hears(SILENCE, 128)
        microphone.endpointer.judge(opinion)
        microphone.silence_until_the_end_ms()
        microphone.hears(SILENCE, 320)
        microphone.hears(SPEECH, 960)
        microphone.endpointer.hear("what time is it")
        microphone.hears(SILENCE, 128)
        microphone.endpointer.judge(then)
        return microphone.endpointer.wait_ms()

    assert wait_ms_after(0.7) == DEFAULT.complete_ms
    assert wait_ms_after(0.98) == DEFAULT.patient_certain_ms, "it was certain in vain"
    assert wait_ms_after(0.98, then=0.9) == DEFAULT.patient_ms


@pytest.mark.parametrize(
    ("text", "spoken_ms", "wait_ms"),
    [
        ("I have some time today", DEFAULT.long_ms - 320, DEFAULT.complete_ms),
        ("I have some time today", DEFAULT.long_ms + 320, DEFAULT.talkative_ms),
        ("what time is it", DEFAULT.long_ms + 320, DEFAULT.complete_ms),
    ],
)
def test_who_has_talked_long_is_given_more_time_unless_they_ask(text: str, spoken_ms: int, wait_ms: int) -> None:
    microphone = speaking(text)  # for 960 ms
    microphone.hears(SPEECH, spoken_ms - 960)
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(0.98)
    assert microphone.endpointer.wait_ms() == wait_ms


def test_an_opinion_holds_for_its_own_pause_only() -> None:
    microphone = speaking("and then i")
    microphone.endpointer.judge(0.9)  # no pause yet
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(0.9)
    microphone.hears(SPEECH, 96)
    assert microphone.silence_until_the_end_ms() >= DEFAULT.trailing_ms


@pytest.mark.parametrize("silence_ms", [64, 200, 500, 2000])
def test_a_fixed_silence_is_the_clients_own_whatever_was_said(silence_ms: int) -> None:
    for text in ("what time is it", "and then i", ""):
        microphone = speaking(text, Rules(fixed_ms=silence_ms))
        assert silence_ms <= microphone.silence_until_the_end_ms() < silence_ms + WINDOW_MS
        assert any(isinstance(signal, Paused) for signal in microphone.signals)
