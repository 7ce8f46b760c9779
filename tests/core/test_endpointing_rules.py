"""What people are promised, in milliseconds and decibels of its own: a rule that breaks a promise fails here."""

from collections.abc import Iterable

import pytest

from tests.core.microphone import SILENCE, SPEECH, pausing, speaking
from tests.core.silence import end_ms

TRAILING, UNCLEAR, DICTATED = "and then i", "what are you talking about", "my number is five five"
COMPLETE, QUESTION, NOTHING = "I have some time today", "what time is it", ""
CERTAIN, SURE, INCLINED, OPEN, DOUBTS, DENIES, NONE = 0.99, 0.9, 0.7, 0.5, 0.2, 0.05, None
WHATEVER = (CERTAIN, SURE, INCLINED, OPEN, DOUBTS, DENIES, NONE)
UNSURE = (INCLINED, OPEN, DOUBTS, DENIES, NONE)  # everything but that the turn is over
GUESSED, SHAKY = 0.3, 0.5  # how sure the recogniser is of words that tell nothing, and a little


def of_each(text: str, opinions: Iterable[float | None]) -> list[tuple[str, float | None]]:
    return [(text, opinion) for opinion in opinions]


@pytest.mark.parametrize(
    ("text", "opinion"),
    [
        *of_each(TRAILING, WHATEVER),
        *of_each(DICTATED, WHATEVER),
        *of_each(UNCLEAR, UNSURE),
        *of_each(NOTHING, UNSURE),
        *of_each(COMPLETE, (DOUBTS, DENIES)),
    ],
)
def test_a_pause_of_700_ms_is_not_taken_where_words_or_model_say_that_there_is_more(
    text: str, opinion: float | None
) -> None:
    assert end_ms(speaking(text), opinion) > 700


@pytest.mark.parametrize(
    ("text", "confidence", "opinion"),
    [
        *((text, GUESSED, opinion) for text in (COMPLETE, UNCLEAR, TRAILING, DICTATED) for opinion in UNSURE),
        *((text, SHAKY, opinion) for text in (TRAILING, DICTATED) for opinion in WHATEVER),
    ],
)
def test_nor_where_the_words_were_guessed(text: str, confidence: float, opinion: float | None) -> None:
    microphone = speaking()
    microphone.endpointer.hear(text, confidence)
    assert end_ms(microphone, opinion) > 700


@pytest.mark.parametrize("opinion", UNSURE)
def test_nor_of_whoever_hesitated_before_in_the_same_turn(opinion: float | None) -> None:
    microphone = speaking("I went to")
    pausing(microphone, 320)
    microphone.endpointer.hear("I went to the market")
    assert end_ms(microphone, opinion) > 700


@pytest.mark.parametrize("opinion", [SURE, *UNSURE])
def test_nor_of_whoever_was_cut_off_in_this_turn_and_the_next(opinion: float | None) -> None:
    microphone = speaking(QUESTION)
    microphone.silence_until_the_end_ms()
    microphone.hears(SILENCE, 320)
    for _ in range(2):
        microphone.hears(SPEECH, 960)
        microphone.endpointer.hear(QUESTION)
        assert end_ms(microphone, opinion) > 700
        microphone.hears(SILENCE, 960)


@pytest.mark.parametrize("text", [COMPLETE, QUESTION])
@pytest.mark.parametrize("opinion", [CERTAIN, NONE])
def test_complete_words_are_answered_after_240_ms_where_nothing_speaks_against_it(
    text: str, opinion: float | None
) -> None:
    assert end_ms(speaking(text), opinion) <= 240


@pytest.mark.parametrize("text", [TRAILING, UNCLEAR, NOTHING])
def test_a_pause_of_1700_ms_is_not_taken_where_the_model_is_certain_that_there_is_more(text: str) -> None:
    assert end_ms(speaking(text), DENIES) > 1700
    if text:
        microphone = speaking()
        microphone.endpointer.hear(text, GUESSED)
        assert end_ms(microphone, DENIES) > 1700


@pytest.mark.parametrize("confidence", [None, GUESSED])
@pytest.mark.parametrize("text", [COMPLETE, UNCLEAR])
def test_nobody_waits_who_has_paused_or_been_cut_off_once_and_of_whose_end_the_model_is_certain(
    text: str, confidence: float | None
) -> None:
    microphone = speaking(TRAILING)
    pausing(microphone, 320, opinion=CERTAIN)
    microphone.endpointer.hear(text, confidence)
    assert end_ms(microphone, CERTAIN) <= 260
    microphone.hears(SILENCE, 320)
    microphone.hears(SPEECH, 2400)
    microphone.endpointer.hear(text, confidence)
    assert end_ms(microphone, CERTAIN) <= 260


@pytest.mark.parametrize(("noise_db", "opinion", "waits"), [(-50, 0.97, True), (-50, 0.98, False), (-60, 0.97, False)])
def test_in_noise_the_model_must_be_more_certain(noise_db: float, opinion: float, waits: bool) -> None:
    microphone = speaking(UNCLEAR)  # at -25 dB
    microphone.hears((SILENCE[0], noise_db), 128)
    microphone.endpointer.judge(opinion)
    assert (microphone.endpointer.wait_ms() > 400) is waits
    microphone.hears((SILENCE[0], -70), 64)
    assert (microphone.endpointer.wait_ms() > 400) is waits, "it was asked in noise"


@pytest.mark.parametrize(("softer_db", "faint"), [(10, False), (25, True)])
def test_a_television_is_told_from_a_speaker_who_turns_away(softer_db: float, faint: bool) -> None:
    microphone = speaking(QUESTION)
    microphone.silence_until_the_end_ms()
    microphone.hears((SPEECH[0], SPEECH[1] - softer_db))
    assert microphone.endpointer.faint is faint
