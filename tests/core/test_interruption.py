from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.interruption import (
    Interruption,
    Rules,
    Verdict,
    is_backchannel,
    is_command,
    is_guess,
    is_meant,
)
from tests.core.microphone import DEFAULT

WINDOW_MS = 32


def listen(interruption: Interruption, ms: int, *, voice: bool) -> tuple[Verdict | None, int]:
    """Push windows for `ms` or until a verdict; returns it and after how many ms it fell."""
    for elapsed in range(WINDOW_MS, ms + WINDOW_MS, WINDOW_MS):
        if verdict := interruption.push(voice):
            return verdict, elapsed
    return None, ms


def after(*, speech_ms: int, text: str = "", final: bool = False) -> tuple[Verdict | None, int]:
    """The verdict on speech of that length, transcribed as it ends, and the silence that it took."""
    interruption = Interruption()
    verdict, elapsed = listen(interruption, speech_ms, voice=True)
    assert verdict is None, f"confirmed while the user still speaks, after {elapsed} ms"
    verdict = interruption.hear(text, final=final) if text or final else None
    return (verdict, 0) if verdict else listen(interruption, 1000, voice=False)


@pytest.mark.parametrize(
    "text", ["stop", "Stop.", "wait a moment", "hold on", "okay stop", "um, please wait", "no", "Hey!"]
)
def test_a_command_interrupts_at_once(text: str) -> None:
    assert is_command(text)
    assert Interruption().hear(text) is Verdict.CONFIRMED


@pytest.mark.parametrize(
    "text",
    [
        "Stopp!", "Halt!", "Warte mal", "Moment!", "Moment mal", "okay, stopp", "Non !", "ja, Moment", "nein",
        "hör auf", "para", "¡Espera!", "basta", "un momento", "Arrête !", "attends", "ATTENDEZ", "ferma", "aspetta",
        "pare", "wacht", "wacht even", "停", "停下来", "等一下", "嗯，等一下",
        "ちょっと待って", "あの、ちょっと待って", "やめて", "잠깐만요",
    ],
)  # fmt: skip
def test_so_does_a_command_in_another_language(text: str) -> None:
    assert is_command(text)
    assert Interruption().hear(text, guessed=True) is Verdict.CONFIRMED


@pytest.mark.parametrize(
    "text",
    [
        "the moment",
        "a moment ago",
        "paragraph",
        "parent",
        "halter",
        "今天不停",
        "stopped",
        "non-smoking",
        "the moment it",
    ],
)
def test_nor_do_words_that_only_begin_like_one(text: str) -> None:
    assert not is_command(text)


@pytest.mark.parametrize("text", ["明天天气呢", "今日の天気は", "내일날씨는"])
def test_a_script_without_spaces_has_as_many_words_as_its_characters_tell(text: str) -> None:
    assert is_meant(text)


@pytest.mark.parametrize(
    "text", ["明天", "天気", "嗯嗯", "对对对对", "好的好的", "そうですね", "なるほど", "うんうんうん", "네네네네"]
)
def test_one_word_and_signs_of_listening_in_such_a_script_let_the_agent_go_on(text: str) -> None:
    assert not is_meant(text)


@pytest.mark.parametrize("text", ["no problem", "no way", "stopwatch", "I know", "nobody", "right", ""])
def test_what_only_sounds_like_a_command_is_none(text: str) -> None:
    assert not is_command(text)


@pytest.mark.parametrize(
    "text", ["uh-huh", "yeah", "okay", "I see", "all right", "oh wow", "got it", "no problem", "the had her"]
)
def test_a_sign_of_listening_lets_the_agent_go_on(text: str) -> None:
    assert is_backchannel(text)
    verdict, silence_ms = after(speech_ms=320, text=text, final=True)
    assert verdict is Verdict.REJECTED
    assert silence_ms <= Rules().silence_ms + WINDOW_MS


@pytest.mark.parametrize(
    "text", ["what about tomorrow", "yeah but why", "okay so tell me more about it", "paris please"]
)
def test_words_with_a_meaning_interrupt(text: str) -> None:
    assert not is_backchannel(text)
    assert after(speech_ms=320, text=text, final=True)[0] is Verdict.CONFIRMED


@pytest.mark.parametrize("text", ["but it", "the hut", "and so", "yeah but"])
def test_two_words_without_a_meaning_do_not_interrupt_until_more_is_said(text: str) -> None:
    assert after(speech_ms=320, text=text, final=True)[0] is Verdict.REJECTED
    assert Interruption().hear(f"{text} tomorrow") is Verdict.CONFIRMED


@pytest.mark.parametrize("text", ["go back", "skip it", "but why", "not now"])
def test_two_words_with_a_meaning_do(text: str) -> None:
    assert after(speech_ms=320, text=text, final=True)[0] is Verdict.CONFIRMED


def test_words_that_are_on_their_way_are_waited_for_a_little_longer() -> None:
    interruption = Interruption()
    assert listen(interruption, 320, voice=True)[0] is None
    interruption.expect_words()
    assert listen(interruption, Rules().awaited_ms - WINDOW_MS, voice=False)[0] is None
    assert interruption.hear("stop", final=True) is Verdict.CONFIRMED


def test_words_that_do_not_come_are_not_waited_for_any_longer() -> None:
    interruption = Interruption()
    assert listen(interruption, 320, voice=True)[0] is None
    interruption.expect_words()
    verdict, silence_ms = listen(interruption, 1000, voice=False)
    assert verdict is Verdict.REJECTED
    assert silence_ms <= Rules().awaited_ms + WINDOW_MS


@pytest.mark.parametrize(
    ("text", "verdict"), [("question", Verdict.CONFIRMED), ("uh-huh", Verdict.REJECTED), ("", Verdict.REJECTED)]
)
def test_one_word_is_enough_of_the_rest_of_a_sentence_that_was_cut_off(text: str, verdict: Verdict) -> None:
    interruption = Interruption(is_rest=True)
    assert listen(interruption, 320, voice=True)[0] is None
    interruption.hear(text, final=True, guessed=True)
    assert interruption.conclude(text, guessed=True) is verdict
    assert after(speech_ms=320, text=text, final=True)[0] is Verdict.REJECTED


def test_two_words_with_a_meaning_interrupt_while_they_are_spoken() -> None:
    interruption = Interruption()
    assert listen(interruption, 320, voice=True)[0] is None
    assert interruption.hear("what about") is Verdict.CONFIRMED


def test_words_that_were_guessed_interrupt_only_if_they_command_it() -> None:
    assert Interruption().hear("the flood", final=True, guessed=True) is None
    assert Interruption().conclude("the flood", guessed=True) is Verdict.REJECTED
    assert Interruption().conclude("the flood") is Verdict.CONFIRMED
    assert Interruption().hear("please stop", guessed=True) is Verdict.CONFIRMED


@pytest.mark.parametrize(
    ("text", "confidence", "guess"),
    [
        ("what time is it", None, False),
        ("my dog is a vet", DEFAULT.trusted, False),
        ("my dog is a vet", DEFAULT.trusted - 0.01, True),
        ("what time is it", DEFAULT.trusted - 0.01, False),
        ("what time is it", DEFAULT.plausible - 0.01, True),
        ("", 0.0, True),
    ],
)
def test_a_question_is_seldom_guessed(text: str, confidence: float | None, guess: bool) -> None:
    assert is_guess(text, confidence, DEFAULT) is guess


def test_of_another_language_questions_are_not_known() -> None:
    assert is_guess("what time is it", DEFAULT.trusted - 0.01, replace(DEFAULT, english=False))


@pytest.mark.parametrize("text", ["Was ist das", "will er es haben"])
def test_nor_where_another_language_is_noticed(text: str) -> None:
    assert is_guess(text, DEFAULT.trusted - 0.01, DEFAULT)


def test_a_recogniser_that_repeats_itself_without_end_takes_no_time() -> None:
    assert is_backchannel("是啊" * 5000)
    assert not is_backchannel("是啊" * 5000 + "天")


def test_a_cough_lets_the_agent_go_on_within_half_a_second() -> None:
    verdict, silence_ms = after(speech_ms=160)
    assert verdict is Verdict.REJECTED
    assert silence_ms <= 450


def test_a_noise_whose_transcript_is_known_to_be_empty_takes_less() -> None:
    assert after(speech_ms=160, final=True)[1] < after(speech_ms=160)[1]


def test_lasting_speech_interrupts_without_words() -> None:
    verdict, elapsed = listen(Interruption(), 2000, voice=True)
    assert verdict is Verdict.CONFIRMED
    assert elapsed <= Rules().lasting_ms + WINDOW_MS


def test_a_long_sign_of_listening_gets_more_time() -> None:
    interruption = Interruption()
    assert interruption.hear("yeah") is None
    verdict, elapsed = listen(interruption, 2000, voice=True)
    assert verdict is Verdict.CONFIRMED
    assert Rules().lasting_ms < elapsed <= Rules().backchannel_ms + WINDOW_MS


def test_speech_that_goes_on_makes_a_conclusion_void() -> None:
    interruption = Interruption()
    listen(interruption, 160, voice=True)
    assert interruption.hear("uh", final=True) is None
    assert listen(interruption, Rules().silence_ms - WINDOW_MS, voice=False)[0] is None
    interruption.push(True)
    assert listen(interruption, Rules().silence_ms + WINDOW_MS, voice=False)[0] is None


@given(
    st.lists(st.booleans() | st.sampled_from(["", "uh", "stop", "what is that"]), max_size=40),
    st.sampled_from(["", "uh", "why"]),
)
def test_a_verdict_falls_within_a_second_and_a_half_of_silence_or_speech(happened: list[bool | str], text: str) -> None:
    for voice in (True, False):
        interruption = Interruption()
        for each in happened:
            if (interruption.push(each) if isinstance(each, bool) else interruption.hear(each)) is not None:
                return
        interruption.hear(text)
        assert listen(interruption, 1500, voice=voice)[0] is not None


@given(st.lists(st.booleans(), max_size=60))
def test_only_speech_can_interrupt(windows: list[bool]) -> None:
    interruption = Interruption()
    spoken_ms = 0
    for voice in windows:
        spoken_ms += WINDOW_MS * voice
        if interruption.push(voice) is Verdict.CONFIRMED:
            assert spoken_ms >= Rules().lasting_ms
            return


def test_the_agents_own_voice_is_rejected_at_once() -> None:
    interruption = Interruption()
    assert interruption.push(True) is None, "it was not told yet"
    assert interruption.push(True, echo=True) is None
    assert interruption.push(True, echo=True) is Verdict.REJECTED


def test_words_that_are_half_an_echo_prove_nothing() -> None:
    interruption = Interruption()
    for _ in range(3):
        interruption.push(True)
    for _ in range(2):
        interruption.push(True, echo=True)
    assert interruption.hear("of the people who") is None
    assert interruption.conclude("of the people who") is Verdict.REJECTED


def test_a_person_who_goes_on_over_the_echo_is_heard() -> None:
    interruption = Interruption()
    interruption.push(True, echo=True)
    assert listen(interruption, 2000, voice=True)[0] is Verdict.CONFIRMED


def test_a_voice_that_stays_in_the_background_is_rejected_whatever_it_says() -> None:
    interruption = Interruption()
    assert interruption.push(True, distant=True) is None
    assert interruption.hear("stop the bus over there") is None
    heard_ms = WINDOW_MS
    while (verdict := interruption.push(True, distant=True)) is None:
        heard_ms += WINDOW_MS
    assert verdict is Verdict.REJECTED
    assert heard_ms <= Rules().distant_ms
    assert interruption.conclude("stop the bus over there") is Verdict.REJECTED


def test_who_begins_softly_and_gets_loud_is_heard_from_the_beginning() -> None:
    interruption = Interruption()
    for _ in range(4):
        assert interruption.push(True, distant=True) is None
    verdict, loud_ms = listen(interruption, 1000, voice=True)
    assert verdict is Verdict.CONFIRMED
    assert loud_ms + 4 * WINDOW_MS <= Rules().lasting_ms + WINDOW_MS
