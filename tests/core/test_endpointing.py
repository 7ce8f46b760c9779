"""Windows of 32 ms in, signals out; levels are dB of full scale, positions samples of 16 kHz."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.endpointing import (
    Began,
    Ended,
    Endpointer,
    Hesitated,
    Lasted,
    Paused,
    Resumed,
    Signal,
)
from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import Experience

DEFAULT = Rules()
WINDOW = 512
WINDOW_MS = 32
SPEECH, SILENCE, LINGERING = (0.95, -25.0), (0.02, -70.0), (0.9, -60.0)


class Microphone:
    """Pushes windows into an endpointer and keeps every signal."""

    def __init__(self, rules: Rules | None = None, *, experience: Experience | None = None) -> None:
        self.endpointer = Endpointer(rules, experience)
        self.position = 0
        self.signals: list[Signal] = []

    def hears(self, window: tuple[float, float], ms: int = WINDOW_MS) -> list[Signal]:
        """That window over and over, for `ms`; returns the signals."""
        before = len(self.signals)
        for _ in range(ms // WINDOW_MS):
            self.position += WINDOW
            self.signals += self.endpointer.push(*window, self.position)
        return self.signals[before:]

    def silence_until_the_end_ms(self) -> int:
        """How long it must be silent now for the turn to end."""
        start = self.position
        while not any(isinstance(signal, Ended) for signal in self.hears(SILENCE)):
            assert self.position - start < 16_000 * 10, "the turn never ends"
        return (self.position - start) // 16


def speaking(text: str = "", rules: Rules | None = None) -> Microphone:
    microphone = Microphone(rules)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear(text)
    return microphone


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
    assert microphone.hears(SILENCE, 640) == [Hesitated(start), Paused(start), Lasted(start)]
    assert microphone.endpointer.in_pause
    resumed = microphone.position
    assert microphone.hears(SPEECH, 320) == [Resumed(resumed)]
    assert not microphone.endpointer.in_pause


def test_a_gap_inside_a_word_is_no_pause() -> None:
    microphone = speaking()
    microphone.hears(SILENCE, 96)
    microphone.hears(SPEECH, 96)
    assert [type(signal) for signal in microphone.signals] == [Began, Hesitated, Resumed]


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
    assert microphone.hears(SILENCE, 480) == [Hesitated(30 * WINDOW), Paused(30 * WINDOW), Lasted(30 * WINDOW)]
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
        ("what are you talking about", 0.9, DEFAULT.agreed_ms),
        ("what are you talking about", 0.7, DEFAULT.inclined_ms),
        ("and then i", 0.9, DEFAULT.unclear_ms),
        ("what time is it", 0.1, DEFAULT.doubted_ms),
        ("what time is it", 0.5, DEFAULT.complete_ms),
        ("and then i", 0.1, DEFAULT.trailing_ms),
        ("", 0.9, DEFAULT.agreed_ms),
        ("what are you talking about", 0.1, DEFAULT.incomplete_ms),
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
        (0.95, DEFAULT.complete_ms),
        (0.7, DEFAULT.likely_ms),
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
    passed_ms = 128
    microphone.hears(SILENCE, passed_ms)
    microphone.endpointer.judge(opinion)
    assert wait <= passed_ms + microphone.silence_until_the_end_ms() <= wait + WINDOW_MS


def test_guessed_words_that_trail_off_are_no_end_though_the_model_is_sure() -> None:
    microphone = speaking()
    microphone.endpointer.hear("and then i", (DEFAULT.plausible + DEFAULT.trusted) / 2)
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
    assert microphone.endpointer.judge(0.9) == [Ended(last_speech, microphone.position)], "it decides at once"


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
    def end_ms() -> int:
        microphone.hears(SILENCE, 960)
        microphone.hears(SPEECH, 960)
        microphone.endpointer.hear("what time is it", 0.9)
        microphone.hears(SILENCE, 128)
        ended = microphone.endpointer.judge(0.1)
        return 128 if ended else 128 + microphone.silence_until_the_end_ms()

    microphone = Microphone()
    waits = [end_ms() for _ in range(DEFAULT.vain_doubts + 1)]
    assert min(waits[:-1]) >= DEFAULT.doubted_ms
    assert waits[-1] <= DEFAULT.complete_ms + WINDOW_MS
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear("what time is it", 0.9)
    microphone.hears(SILENCE, 160)
    microphone.endpointer.judge(0.1)
    microphone.hears(SPEECH, 320)  # this doubt was right
    microphone.endpointer.judge(0.1)
    microphone.endpointer.hear("what time is it now", 0.9)
    microphone.silence_until_the_end_ms()
    assert end_ms() >= DEFAULT.doubted_ms, "the model is believed again"


def test_of_such_a_speaker_even_guessed_words_tell_more_than_the_model() -> None:
    def end_ms(text: str) -> int:
        microphone.hears(SILENCE, 960)
        microphone.hears(SPEECH, 960)
        microphone.endpointer.hear(text, DEFAULT.trusted - 0.1)
        microphone.hears(SILENCE, 128)
        microphone.endpointer.judge(0.05)
        return 128 + microphone.silence_until_the_end_ms()

    microphone = Microphone()
    assert end_ms("what time is it") >= DEFAULT.denied_ms
    for wait_ms in (DEFAULT.incomplete_ms, DEFAULT.likely_ms):  # denied in vain once, and twice
        assert wait_ms <= end_ms("what time is it") <= wait_ms + WINDOW_MS
    assert end_ms("and then i") >= DEFAULT.incomplete_ms


def pausing(microphone: Microphone, ms: int, opinion: float | None = None) -> None:
    """A pause of so many ms, which the model may judge, and speech again."""
    signals = microphone.hears(SILENCE, ms)
    if opinion is not None:
        signals += microphone.endpointer.judge(opinion)
    assert not any(isinstance(signal, Ended) for signal in signals + microphone.hears(SPEECH, 640))


@pytest.mark.parametrize(
    ("pause_ms", "opinion", "wait_ms"),
    [
        (96, None, DEFAULT.complete_ms),
        (192, None, DEFAULT.complete_ms),
        (224, None, DEFAULT.hesitant_ms),
        (320, None, DEFAULT.hesitant_ms),
        (320, DEFAULT.model_sure - 0.05, DEFAULT.hesitant_ms),
        (320, DEFAULT.model_sure, DEFAULT.likely_ms),
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
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear("what time is it")
    assert microphone.endpointer.wait_ms() == DEFAULT.complete_ms, "the next turn begins anew"


def test_a_model_that_was_sure_in_vain_convinces_nobody_until_it_was_right() -> None:
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
    assert waits == [DEFAULT.hesitant_ms, DEFAULT.likely_ms]


def known() -> Microphone:
    """A speaker whose level is known from a turn."""
    microphone = speaking("what time is it")
    microphone.silence_until_the_end_ms()
    return microphone


def softer(by_db: float) -> tuple[float, float]:
    return SPEECH[0], SPEECH[1] - by_db


def test_a_far_voice_is_told_from_the_speaker_once_it_is_known_how_loud_that_one_is() -> None:
    microphone = Microphone()
    microphone.hears(softer(30))
    assert not microphone.endpointer.faint
    assert not microphone.endpointer.distant
    microphone = known()
    for below_db, faint in ((3.0, False), (DEFAULT.faint_db - 3, False), (DEFAULT.faint_db + 3, True)):
        microphone.hears(softer(below_db))
        assert microphone.endpointer.faint is faint


def test_a_voice_is_distant_until_it_was_nearly_as_loud_as_the_speaker() -> None:
    endpointer = (microphone := known()).endpointer
    microphone.hears(softer(DEFAULT.distant_db + 3))
    assert endpointer.distant
    microphone.hears(softer(DEFAULT.distant_db - 3))
    microphone.hears(softer(DEFAULT.distant_db + 3), 320)
    assert not endpointer.distant


def test_after_a_voice_in_the_background_the_next_soft_onsets_are_no_speakers() -> None:
    endpointer = (microphone := known()).endpointer
    between = softer((DEFAULT.faint_db + DEFAULT.distant_db) / 2)
    microphone.hears(between)
    assert not endpointer.faint
    endpointer.beware()
    for _ in range(4):  # each of them makes it last longer
        microphone.hears(SILENCE, 640)
        assert microphone.hears(between) != []
        assert endpointer.faint
        endpointer.dismiss()
    assert microphone.hears(SPEECH) != [], "the speaker is heard at once"
    assert not endpointer.faint
    microphone.silence_until_the_end_ms()
    microphone.hears(SILENCE, DEFAULT.wary_ms)
    microphone.hears(between)
    assert not endpointer.faint, "it has been quiet for long enough"


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


def test_a_sound_that_is_forgotten_at_its_onset_makes_nobody_wait() -> None:
    microphone = speaking("what time is it")
    microphone.silence_until_the_end_ms()
    microphone.hears(SPEECH)
    microphone.endpointer.reset()  # the agent's own voice
    microphone.hears(SILENCE, 960)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear("what time is it")
    assert microphone.silence_until_the_end_ms() <= DEFAULT.complete_ms + WINDOW_MS


def test_a_second_opinion_takes_the_firsts_place() -> None:
    microphone = speaking("what are you talking about")
    microphone.hears(SILENCE, 128)
    assert microphone.endpointer.judge(0.1) == []
    assert Lasted(30 * WINDOW) in microphone.hears(SILENCE, 256)
    assert isinstance(microphone.endpointer.judge(0.9)[-1], Ended)


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


def test_silence_begins_where_the_level_falls_though_the_detector_lingers() -> None:
    microphone = speaking("what time is it")
    last_speech = microphone.position
    microphone.hears(LINGERING, 192)
    microphone.hears(SILENCE, 320)
    assert microphone.signals[-1] == Ended(last_speech, last_speech + 7 * WINDOW)


def test_a_shout_does_not_turn_quiet_speech_into_silence_for_long() -> None:
    microphone = speaking("and then i")
    microphone.hears((0.95, -5.0), 96)
    microphone.hears((0.9, -30.0), 640)
    assert isinstance(microphone.signals[-1], Resumed)


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
                    case Paused(since):
                        assert state in ("speaking", "hesitating")
                        assert begun_at <= since < microphone.position
                        state = "paused"
                    case Lasted(since):
                        assert state == "paused"
                        assert begun_at <= since < microphone.position
                    case Resumed(at):
                        assert state in ("hesitating", "paused")
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
