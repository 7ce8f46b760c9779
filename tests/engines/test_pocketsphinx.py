import itertools
import os
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

import numpy as np
import pytest

from engines.decoding import Decoders
from engines.errors import EngineUnavailableError, InvalidInputError
from engines.pocketsphinx import Pocketsphinx, Queue
from engines.transcriber import Ask, Hypothesis, Piece
from tests.end_to_end.words import word_error_rate
from tests.engines.recordings import PAUSE, SENTENCES, recording

CHUNK = 2 * 16_000 * 160 // 1000


class Caller:
    """One caller of the engine, who keeps the answers to its pieces in the order they came."""

    def __init__(self, engine: Pocketsphinx) -> None:
        self.engine = engine
        self.utterance: Queue = engine.open(language=None, hotwords=None)
        self.answers: SimpleQueue[tuple[int, Hypothesis | BaseException]] = SimpleQueue()
        self.asked = 0

    def say(self, pcm16_16k: bytes, ask: Ask = Ask.PARTIAL) -> None:
        number = self.asked
        self.asked += 1

        def answer(outcome: Hypothesis | BaseException, engine_s: float) -> None:
            assert engine_s >= 0
            self.answers.put((number, outcome))

        self.engine.transcribe([Piece(self.utterance, pcm16_16k, ask, answer)])

    def say_in_chunks(self, pcm16_16k: bytes, last: Ask = Ask.PARTIAL) -> None:
        starts = range(0, len(pcm16_16k), CHUNK)
        for start in starts:
            self.say(pcm16_16k[start : start + CHUNK], last if start == starts[-1] else Ask.PARTIAL)

    def hear_all(self) -> list[Hypothesis]:
        """The answers to all pieces; each has one, in their order."""
        answers = [self.answers.get(timeout=30) for _ in range(self.asked)]
        assert [number for number, _ in answers] == list(range(self.asked))
        assert self.answers.empty()
        self.asked = 0
        hypotheses = [outcome for _, outcome in answers]
        assert all(isinstance(outcome, Hypothesis) for outcome in hypotheses), hypotheses
        return hypotheses  # type: ignore[return-value]


@pytest.fixture(scope="module")
def engine() -> Iterator[Pocketsphinx]:
    engine = Pocketsphinx(workers=2, decoders=2)
    yield engine
    engine.close()


@pytest.fixture
def lone_engine() -> Iterator[Pocketsphinx]:
    engine = Pocketsphinx(workers=1, decoders=1)
    yield engine
    engine.close()


def test_every_piece_is_answered_once_and_in_order(engine: Pocketsphinx) -> None:
    caller = Caller(engine)
    caller.say_in_chunks(recording("what_time_is_it.wav") + PAUSE, Ask.FINAL)
    *partials, final = caller.hear_all()
    assert not any(partial.is_final for partial in partials)
    assert final.is_final
    assert final.text == "what time is it"


def test_more_utterances_than_decoders_are_all_understood(engine: Pocketsphinx) -> None:
    callers = [Caller(engine) for _ in range(6)]
    sounds = [recording(sentence["file"]) + PAUSE for sentence in SENTENCES]
    for start in range(0, max(map(len, sounds[:6])), CHUNK):
        for caller, sound in zip(callers, sounds, strict=False):
            if start < len(sound):
                caller.say(sound[start : start + CHUNK])
    for caller in callers:
        caller.say(PAUSE, Ask.FINAL)
    texts = [caller.hear_all()[-1].text for caller in callers]
    rates = [word_error_rate(sentence["text"], text) for sentence, text in zip(SENTENCES, texts, strict=False)]
    assert sum(rates) / len(rates) <= 0.15


def test_an_end_after_a_flush_and_silence_repeats_the_answer_without_decoding(engine: Pocketsphinx) -> None:
    caller = Caller(engine)
    caller.say(recording("mother_visits.wav") + PAUSE, Ask.FLUSH)
    (flushed,) = caller.hear_all()
    caller.say(PAUSE)
    started = time.process_time()
    caller.say(PAUSE, Ask.FINAL)
    *_, final = caller.hear_all()
    assert final.words == flushed.words != ()
    assert time.process_time() - started < 0.05


def test_speech_after_a_flush_is_added(engine: Pocketsphinx) -> None:
    caller = Caller(engine)
    caller.say(recording("what_time_is_it.wav") + PAUSE, Ask.FLUSH)
    caller.say(recording("tell_me_a_story.wav") + PAUSE, Ask.FLUSH)
    caller.say(PAUSE, Ask.FINAL)
    first, second, final = caller.hear_all()
    assert first.text == "what time is it"
    assert second.text == final.text
    assert second.text.startswith(first.text)
    assert second.stable_chars == len(first.text), "what was said before a pause does not change any more"
    assert word_error_rate("what time is it tell me a story", final.text) <= 0.13


def test_long_noise_before_speech_does_not_spoil_it(engine: Pocketsphinx) -> None:
    noise = np.random.default_rng(3).normal(0, 60, 9 * 16_000).astype("<i2").tobytes()
    caller = Caller(engine)
    caller.say_in_chunks(noise, Ask.FLUSH)
    caller.say_in_chunks(recording("what_time_is_it.wav") + PAUSE, Ask.FINAL)
    answers = caller.hear_all()
    assert answers[-1].text == "what time is it"


def test_a_long_utterance_is_closed_at_pauses_and_its_closed_part_does_not_change(engine: Pocketsphinx) -> None:
    caller = Caller(engine)
    said = SENTENCES[5:11]
    sound = b"".join(recording(sentence["file"]) + PAUSE + PAUSE for sentence in said)
    answers = []
    for start in range(0, len(sound), CHUNK):
        caller.say(sound[start : start + CHUNK])
        answers += caller.hear_all()
    caller.say(b"", Ask.FINAL)
    answers += caller.hear_all()
    stable = [answer.text[: answer.stable_chars] for answer in answers]
    assert stable[-2]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(stable))
    assert word_error_rate(" ".join(sentence["text"] for sentence in said), answers[-1].text) <= 0.15
    starts = [word.start_s for word in answers[-1].words]
    assert starts == sorted(starts)


def test_a_forgotten_utterance_gives_its_decoder_back(lone_engine: Pocketsphinx) -> None:
    sound = recording("weather.wav") + PAUSE
    gone, next_caller = Caller(lone_engine), Caller(lone_engine)
    gone.say(sound)
    gone.hear_all()
    lone_engine.forget(gone.utterance)
    next_caller.say(sound)
    (partial,) = next_caller.hear_all()
    assert "weather" in partial.text


def test_an_engine_that_is_behind_answers_partial_results_at_once_and_loses_no_sound(lone_engine: Pocketsphinx) -> None:
    sound = recording("weather.wav") + PAUSE
    callers = [Caller(lone_engine) for _ in range(12)]
    for caller in callers:
        caller.say(sound)
    begun = time.monotonic()
    first = callers[-1].hear_all()
    at_once_s = time.monotonic() - begun
    callers[-1].say(PAUSE, Ask.FINAL)
    final = callers[-1].hear_all()[-1]
    assert [answer.is_final for answer in first] == [False]
    assert "weather" in final.text
    for caller in callers[:-1]:
        caller.hear_all()
    assert at_once_s < (time.monotonic() - begun) / 3


def test_no_work_is_done_for_an_utterance_that_is_forgotten(lone_engine: Pocketsphinx) -> None:
    def decoding_s(callers: list[Caller], *, forgotten: bool) -> float:
        begun = time.process_time()
        for caller in callers:
            caller.say(recording("weather.wav"))
            if forgotten:
                lone_engine.forget(caller.utterance)
        for caller in callers:
            caller.hear_all()
        return time.process_time() - begun

    one_s = decoding_s([Caller(lone_engine)], forgotten=False)
    assert decoding_s([Caller(lone_engine) for _ in range(8)], forgotten=True) < 4 * one_s  # one may have begun


def test_an_utterance_that_is_due_takes_the_decoder_of_one_that_is_not(lone_engine: Pocketsphinx) -> None:
    sound = recording("what_time_is_it.wav") + PAUSE
    speaking, due = Caller(lone_engine), Caller(lone_engine)
    speaking.say(sound)
    due.say(sound)
    due.say(PAUSE, Ask.FINAL)
    assert due.hear_all()[-1].text == "what time is it"
    speaking.say(PAUSE, Ask.FINAL)
    assert speaking.hear_all()[-1].text == "what time is it"


def test_what_only_grows_is_decoded_at_a_lower_priority_than_what_is_due(lone_engine: Pocketsphinx) -> None:
    priorities: SimpleQueue[int] = SimpleQueue()

    def answer(outcome: Hypothesis | BaseException, engine_s: float) -> None:
        priorities.put(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    utterance = lone_engine.open(language=None, hotwords=None)
    niceness = []
    for ask in (Ask.PARTIAL, Ask.FLUSH):
        lone_engine.transcribe([Piece(utterance, recording("right.wav"), ask, answer)])
        niceness.append(priorities.get(timeout=30))
    assert niceness[0] > niceness[1] == own


def test_an_utterance_begins_with_the_means_of_those_before() -> None:
    decoders = Decoders({}, 1)
    own, usual = np.full(13, 1.0, np.float32), np.full(13, 9.0, np.float32)
    try:
        assert decoders.expected(own, 0.5) == pytest.approx(own), "nothing is known of any"
        decoders.learn(usual)
        after_s = [0.3, 0.5, 1.3, 10.0]
        expected = [float(decoders.expected(own, of_s)[0]) for of_s in after_s]
        assert expected == sorted(expected, reverse=True), "the longer it is, the more its own count"
        assert expected[0] == pytest.approx(9.0), "the silence before the voice tells nothing"
        assert expected[2] == pytest.approx(5.0)
        for _ in range(20):
            decoders.learn(own)
        assert decoders.expected(usual, 0.3) == pytest.approx(own, abs=1e-3), "the latest count most"
    finally:
        decoders.close()


@pytest.mark.parametrize("rms", [0, 20, 1_000])
def test_silence_and_noise_are_no_words(engine: Pocketsphinx, rms: int) -> None:
    caller = Caller(engine)
    caller.say_in_chunks(np.random.default_rng(2).normal(0, rms, 48_000).astype("<i2").tobytes(), Ask.FINAL)
    assert caller.hear_all()[-1] == Hypothesis("", 0, is_final=True)


def test_single_samples_and_odd_pieces_add_up(engine: Pocketsphinx) -> None:
    caller = Caller(engine)
    sound = recording("what_time_is_it.wav") + PAUSE
    for start in range(0, len(sound), 322):
        caller.say(sound[start : start + 322])
    caller.say(b"", Ask.FINAL)
    assert caller.hear_all()[-1].text == "what time is it"


def test_another_language_is_refused(engine: Pocketsphinx) -> None:
    with pytest.raises(InvalidInputError, match="unknown language 'de'; available: en"):
        engine.open(language="de", hotwords=None)
    assert engine.open(language="en_US", hotwords="Triton")


def test_closing_answers_what_waits_and_ends_the_threads() -> None:
    before = set(threading.enumerate())
    engine = Pocketsphinx(workers=1, decoders=1)
    callers = [Caller(engine) for _ in range(4)]
    for caller in callers:
        caller.say(recording("weather.wav") * 2, Ask.FINAL)
    engine.close()
    outcomes = [caller.answers.get(timeout=10)[1] for caller in callers]
    assert any(isinstance(outcome, EngineUnavailableError) for outcome in outcomes)
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
        assert not thread.is_alive()
