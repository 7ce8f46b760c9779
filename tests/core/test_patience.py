"""How long a silence must be after what the speaker did before: paused, was cut off, talked long, taught us something.

By the words and the model's opinion alone: test_waiting.py.
"""

import pytest

from orchestrator.core.experience import LEAST, Experience
from tests.core.microphone import DEFAULT, SILENCE, SPEECH, WINDOW_MS, Microphone, pausing, speaking
from tests.core.silence import end_ms, judged


def next_turn(microphone: Microphone, text: str, confidence: float | None = None) -> Microphone:
    """The same speaker says something after a while."""
    microphone.hears(SILENCE, 960)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear(text, confidence)
    return microphone


def test_a_speaker_whom_the_model_does_not_understand_is_judged_by_words() -> None:
    def turn_ms(text: str) -> int:
        return end_ms(next_turn(microphone, text, 0.9), 0.1)

    microphone = Microphone()
    waits = [turn_ms("I have some time today") for _ in range(DEFAULT.vain_doubts + 1)]
    assert min(waits[:-1]) >= DEFAULT.doubted_ms
    assert DEFAULT.misjudged_ms <= waits[-1] <= DEFAULT.misjudged_ms + WINDOW_MS
    assert turn_ms("what time is it") <= DEFAULT.complete_ms + WINDOW_MS
    microphone.hears(SPEECH, 960)
    for _ in range(2):  # these doubts are right
        microphone.endpointer.hear("I have some time today", 0.9)
        microphone.hears(SILENCE, 160)
        microphone.endpointer.judge(0.1)
        microphone.hears(SPEECH, 320)
    microphone.endpointer.hear("I have some time today and tomorrow", 0.9)
    microphone.silence_until_the_end_ms()
    assert turn_ms("I have some time today") >= DEFAULT.doubted_ms, "the model is believed again"


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
    assert judged(microphone, 0.05) == wait_ms


def test_of_such_a_speaker_even_guessed_words_tell_more_than_the_model() -> None:
    def turn_ms(text: str, opinion: float = 0.05) -> int:
        return end_ms(next_turn(microphone, text, DEFAULT.trusted - 0.1), opinion)

    microphone = Microphone()
    assert turn_ms("I have some time today") >= DEFAULT.denied_ms
    for wait_ms in (DEFAULT.guessed_ms, DEFAULT.misjudged_ms):  # denied in vain once, and twice
        assert wait_ms <= turn_ms("I have some time today") <= wait_ms + WINDOW_MS
    assert DEFAULT.sure_ms <= turn_ms("I have some time today", 0.5) <= DEFAULT.sure_ms + WINDOW_MS, "it does not doubt"
    assert turn_ms("and then i") >= DEFAULT.guessed_ms


def test_who_has_paused_may_pause_again_though_the_words_were_guessed() -> None:
    others = Experience()
    for _ in range(LEAST):
        others.doubted(vain=True)
    microphone = Microphone(experience=others)
    microphone.hears(SPEECH, 960)
    pausing(microphone, 320)
    microphone.endpointer.hear("I have some time today", DEFAULT.trusted - 0.1)
    assert judged(microphone, 0.9) == DEFAULT.hesitant_ms


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
    assert judged(microphone, opinion) == wait_ms
    microphone.silence_until_the_end_ms()
    next_turn(microphone, "what time is it")
    assert microphone.endpointer.wait_ms() == DEFAULT.complete_ms, "the next turn begins anew"


def test_who_was_cut_off_is_given_more_time_unless_the_model_is_certain() -> None:
    microphone = cut_off(speaking("I know what time it is"))
    assert judged(microphone, 0.9) == DEFAULT.patient_ms
    microphone.endpointer.judge(0.98)
    assert microphone.endpointer.wait_ms() == DEFAULT.complete_ms, "it asks"


def test_who_was_cut_off_twice_is_given_more_time_though_the_model_is_certain() -> None:
    microphone = cut_off(cut_off(speaking("I know what time it is")))
    assert judged(microphone, 0.98) == DEFAULT.patient_certain_ms
    for _ in range(DEFAULT.patient_turns + 1):
        next_turn(microphone, "I have some time today")
        microphone.silence_until_the_end_ms()
    microphone = cut_off(next_turn(microphone, "I know what time it is"))
    assert judged(microphone, 0.98) == DEFAULT.complete_ms, "that was long ago"


def cut_off(microphone: Microphone) -> Microphone:
    """The speaker, whose turn the model ends with certainty, goes on right after that, and asks."""
    end_ms(microphone, 0.98)
    microphone.hears(SILENCE, 320)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear("what time is it")
    return microphone
