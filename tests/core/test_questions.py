"""How long a silence must be to end a turn that asks for an answer."""

from orchestrator.core.endpointing_rules import Rules
from tests.core.microphone import DEFAULT, SILENCE, SPEECH, pausing, speaking


def test_a_question_waits_longer_where_doubts_of_the_model_were_right() -> None:
    microphone = speaking("what time is it")
    pausing(microphone, 300, opinion=0.1)
    microphone.endpointer.hear("what time is it in paris")
    microphone.silence_until_the_end_ms()
    microphone.hears(SILENCE, 960)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear("what time is it")
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(0.1)
    assert microphone.endpointer.wait_ms() == DEFAULT.doubted_ms


def test_a_question_of_which_the_recogniser_is_not_wholly_unsure_is_one() -> None:
    microphone = speaking()
    microphone.endpointer.hear("what time is it", DEFAULT.plausible)
    assert microphone.endpointer.wait_ms() == DEFAULT.complete_ms
    microphone.endpointer.hear("I have some time today", DEFAULT.plausible)
    assert microphone.endpointer.wait_ms() == DEFAULT.unclear_ms


def test_of_another_language_nobody_knows_what_is_a_question() -> None:
    microphone = speaking(rules=Rules(english=False))
    microphone.endpointer.hear("Was kostet das?", 0.9)
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(0.1)
    assert microphone.endpointer.wait_ms() == DEFAULT.doubted_ms


def test_who_asks_after_a_pause_may_pause_again() -> None:
    microphone = speaking("can you tell me")
    pausing(microphone, 320)
    microphone.endpointer.hear("can you tell me the time")
    assert microphone.endpointer.wait_ms() == DEFAULT.hesitant_ms
