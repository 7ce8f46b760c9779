"""When an utterance begins, pauses and goes on. How long its last silence must be: test_waiting.py."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.endpointing import Began, Ended, FellSilent, Hesitated, Paused, Resumed, Signal
from orchestrator.core.endpointing_rules import Rules
from tests.core.microphone import DEFAULT, LINGERING, SILENCE, SPEECH, WINDOW, WINDOW_MS, Microphone, speaking


def test_speech_begins_with_the_sound_before_its_onset() -> None:
    microphone = Microphone()
    microphone.hears(SILENCE, 960)
    assert microphone.hears(SPEECH) == [Began(30 * WINDOW - 300 * 16)]
    assert microphone.hears(SPEECH, 960) == []


def test_the_call_begins_no_earlier_than_its_first_sample() -> None:
    assert Microphone().hears(SPEECH) == [Began(0)]


def test_an_onset_shorter_than_the_rule_is_none() -> None:
    microphone = Microphone(Rules(onset_ms=96))
    for _ in range(5):
        microphone.hears(SPEECH, 64)
        microphone.hears(SILENCE, 32)
    assert microphone.signals == []
    assert len(microphone.hears(SPEECH, 96)) == 1


def test_a_pause_is_announced_once_and_its_end_too() -> None:
    microphone = speaking("and then i")
    start = microphone.position
    assert microphone.hears(SILENCE, 640) == [Hesitated(start), FellSilent(start), Paused(start)]
    assert microphone.endpointer.in_pause
    resumed = microphone.position
    assert microphone.hears(SPEECH, 320) == [Resumed(resumed)]
    assert not microphone.endpointer.in_pause


def test_a_gap_inside_a_word_is_no_pause() -> None:
    microphone = speaking()
    microphone.hears(SILENCE, 64)
    microphone.hears(SPEECH, 96)
    assert [type(signal) for signal in microphone.signals] == [Began, Hesitated, Resumed]


def test_an_opinion_that_is_there_before_the_pause_counts_in_it() -> None:
    microphone = speaking("what time is it")
    assert FellSilent(microphone.position) in microphone.hears(SILENCE, 96)
    microphone.endpointer.expect_opinion()
    assert microphone.endpointer.wait_ms() == DEFAULT.opinion_ms
    assert not microphone.endpointer.judge(0.99)
    assert microphone.endpointer.wait_ms() == DEFAULT.complete_ms
    assert microphone.silence_until_the_end_ms() + 96 <= DEFAULT.complete_ms + WINDOW_MS


def test_an_opinion_about_a_silence_that_is_over_does_not_count() -> None:
    microphone = speaking("what time is it")
    microphone.hears(SILENCE, 96)
    microphone.hears(SPEECH, 96)
    assert not microphone.endpointer.judge(0.01)
    microphone.hears(SILENCE, 64)
    assert not microphone.endpointer.judge(0.01), "nor one that nobody asked for"
    assert microphone.endpointer.wait_ms() == DEFAULT.complete_ms


def test_a_voice_that_stirs_puts_the_end_off_for_a_moment() -> None:
    stirring = (0.8, SILENCE[1])
    microphone = speaking("what time is it")
    microphone.hears(SILENCE, 160)
    assert not any(isinstance(signal, Ended) for signal in microphone.hears(stirring, 128))
    assert [type(signal) for signal in microphone.hears(SPEECH)] == [Resumed]
    microphone = speaking("what time is it")
    microphone.hears(SILENCE, 160)
    ended_ms = 160
    while not any(isinstance(signal, Ended) for signal in microphone.hears(stirring)):
        ended_ms += WINDOW_MS
    assert ended_ms <= DEFAULT.complete_ms + DEFAULT.stirring_ms + WINDOW_MS


def test_a_speaker_who_was_cut_off_is_given_more_time() -> None:
    microphone = speaking("what time is it")
    microphone.silence_until_the_end_ms()
    microphone.hears(SILENCE, 320)
    waits = []
    for _ in range(DEFAULT.patient_turns + 1):
        microphone.hears(SPEECH, 960)
        microphone.endpointer.hear("what time is it")
        waits.append(microphone.silence_until_the_end_ms())
        microphone.hears(SILENCE, 960)
    assert min(waits[:-1]) >= DEFAULT.patient_ms
    assert waits[-1] <= DEFAULT.complete_ms + WINDOW_MS


@pytest.mark.parametrize(("heard", "patient"), [("", False), (" ", False), ("and", True)])
def test_a_sound_without_words_after_the_end_tells_of_no_cut(heard: str, patient: bool) -> None:
    microphone = speaking("what time is it")
    microphone.silence_until_the_end_ms()
    microphone.hears(SILENCE, 320)
    microphone.hears(SPEECH, 160)  # a breath, or a word
    microphone.endpointer.hear(heard)
    microphone.silence_until_the_end_ms()
    microphone.hears(SILENCE, 960)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear("what time is it")
    assert (microphone.silence_until_the_end_ms() >= DEFAULT.patient_ms) is patient


@pytest.mark.parametrize(("pause_ms", "is_rest"), [(128, True), (DEFAULT.cut_off_ms - 2 * WINDOW_MS, False)])
def test_speech_that_begins_where_a_turn_ended_is_the_rest_of_it(pause_ms: int, is_rest: bool) -> None:
    microphone = speaking("I do not understand")
    microphone.silence_until_the_end_ms()
    microphone.hears(SILENCE, pause_ms)
    microphone.hears(SPEECH, 320)
    assert microphone.endpointer.is_rest is is_rest
    microphone.silence_until_the_end_ms()
    assert not microphone.endpointer.is_rest


def test_a_sound_that_is_forgotten_at_its_onset_makes_nobody_wait() -> None:
    microphone = speaking("what time is it")
    microphone.silence_until_the_end_ms()
    microphone.hears(SPEECH)
    microphone.endpointer.reset()  # the agent's own voice
    microphone.hears(SILENCE, 960)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear("what time is it")
    assert microphone.silence_until_the_end_ms() <= DEFAULT.complete_ms + WINDOW_MS


def test_the_client_ends_the_utterance_itself() -> None:
    microphone = speaking("and then i")
    end = microphone.position
    microphone.hears(SILENCE, 320)
    assert microphone.endpointer.end(microphone.position) == [Ended(end, microphone.position)]
    assert microphone.endpointer.end(microphone.position) == []
    assert not microphone.endpointer.speaking


def test_a_forgotten_utterance_leaves_nothing_behind() -> None:
    microphone = speaking("what time is it")
    microphone.hears(SILENCE, 160)
    microphone.endpointer.reset()
    assert microphone.hears(SILENCE, 960) == []
    assert len(microphone.hears(SPEECH)) == 1


WINDOWS = st.lists(
    st.tuples(
        st.sampled_from([SPEECH, SILENCE, LINGERING, (0.4, -40.0), (0.3, -20.0), (0.6, -90.0)]), st.integers(1, 30)
    ),
    max_size=40,
)


HEARD = st.sampled_from(["", "what time is it", "and then i", "five five", 0.1, 0.9])


RULES = st.builds(
    replace,
    st.just(DEFAULT),
    fixed_ms=st.none() | st.integers(0, 1500),
    onset_ms=st.integers(0, 200),
    judge_ms=st.integers(0, 400),
    pause_ms=st.integers(0, 400),
    complete_ms=st.integers(0, 400),
)


@given(RULES, WINDOWS, st.lists(HEARD, min_size=1, max_size=40), st.sampled_from([None, 0.2, 0.9]))
def test_whatever_is_heard_the_signals_tell_a_story_that_makes_sense(
    rules: Rules,
    sounds: list[tuple[tuple[float, float], int]],
    heard: list[str | float],
    confidence: float | None,
) -> None:
    microphone = Microphone(rules)
    endpointer = microphone.endpointer
    state, begun_at, spoken_until = "silent", 0, 0
    told: list[Signal] = []
    for index, (window, count) in enumerate(sounds):
        for _ in range(count):
            for signal in told + microphone.hears(window):
                match signal:
                    case Began(at):
                        assert state == "silent"
                        assert spoken_until <= at < microphone.position, "utterances do not overlap"
                        state, begun_at = "speaking", at
                    case Hesitated(since):
                        assert state == "speaking"
                        assert begun_at <= since < microphone.position
                        state = "hesitating"
                    case FellSilent(since):
                        assert state in ("speaking", "hesitating")
                        assert begun_at <= since < microphone.position
                        state = "fallen silent"
                    case Paused(since):
                        assert state == "fallen silent"
                        assert begun_at <= since < microphone.position
                        state = "paused"
                    case Resumed(at):
                        assert state in ("hesitating", "fallen silent", "paused")
                        assert at == microphone.position - WINDOW
                        state = "speaking"
                    case Ended(last_speech, at):
                        assert state == "paused"
                        assert microphone.position - WINDOW <= at <= microphone.position
                        least_ms = rules.fixed_ms if rules.fixed_ms is not None else min(rules.complete_ms, 240)
                        assert at - last_speech >= least_ms * 16, "no turn ends before the rule's silence"
                        state, spoken_until = "silent", last_speech
            told = []
            assert endpointer.speaking == (state != "silent")
            assert endpointer.in_pause == (state == "paused")
        opinion = heard[index % len(heard)]
        told = endpointer.hear(opinion, confidence) if isinstance(opinion, str) else endpointer.judge(opinion)
    if endpointer.speaking:
        microphone.silence_until_the_end_ms()
