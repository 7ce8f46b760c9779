"""When the turn would be taken in a recording: the real models and the real endpointer, in the recording's own time.

Every answer arrives as late as its model took to give it here, so that a rehearsal tells what a call would, and takes
a third of the time. It does not tell what a network, a busy machine or the agent's own answer would change.
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

from benchmarks.dialogue.sounds import Samples
from engines.pocketsphinx import Pocketsphinx, Queue
from engines.smart_turn import SmartTurn
from engines.transcriber import Ask, Hypothesis, Piece
from orchestrator.core.endpointing import Began, Ended, Endpointer, FellSilent, Hesitated, Paused, Resumed
from orchestrator.core.endpointing_rules import SAMPLE_RATE
from orchestrator.listener import HEARD_SAMPLES
from orchestrator.triton.asr import CHUNK_BYTES, Transcript, Word
from orchestrator.vad import WINDOW_SAMPLES, VoiceDetector

ROOT = Path(__file__).resolve().parents[2]
TURN_MODEL = ROOT / "models/turn/smart-turn-v3.0.onnx"
# The way to Triton and back on a busy machine; docs/benchmarks.md has 2 to 3.5 ms on an idle one.
TRANSPORT_S = 0.005


@dataclass(frozen=True, slots=True)
class Window:
    """What the voice detector reports of one window; `end` in samples."""

    probability: float
    level_db: float
    end: int


@dataclass(frozen=True, slots=True)
class Words:
    """What the recogniser understood, and how long it took."""

    text: str
    confidence: float | None
    took_s: float


@dataclass(frozen=True, slots=True)
class Opinion:
    """The end-of-turn model's probability that the turn is complete, and how long it took."""

    probability: float
    took_s: float


class Ears(Protocol):
    """What is heard in one recording; places are samples from its beginning."""

    windows: Sequence[Window]

    def hand_over(self, begin: int, end: int) -> None:
        """The sound of an utterance that began at `begin` is there up to `end`; nothing is asked yet."""

    def words(self, begin: int, end: int) -> Words:
        """What an utterance that began at `begin` says up to `end`."""

    def opinion(self, begin: int, end: int) -> Opinion:
        """Whether a turn is complete whose sound this is."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A turn's end, in samples: where its speech ended, and when that was decided, and what was understood."""

    last_speech: int
    at: int
    text: str


class Models:
    """The models of the embedded profile, in this process. Close them to free the recogniser."""

    def __init__(self, turn_model: Path = TURN_MODEL) -> None:
        self._detector = VoiceDetector()
        self.turn = SmartTurn(turn_model)
        self.recogniser = Pocketsphinx.from_parameters({"workers": "1", "decoders": "1"})

    def close(self) -> None:
        """Free the recogniser."""
        self.recogniser.close()

    def listen(self, sound: Samples) -> "Listening":
        """The ears for one recording."""
        return Listening(self, sound, asyncio.run(self._windows(sound)))

    async def _windows(self, sound: Samples) -> list[Window]:
        reports: asyncio.Queue[Window] = asyncio.Queue()
        stream = self._detector.open(lambda *window: reports.put_nowait(Window(*window)))
        found = []
        for at in range(0, len(sound) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES):
            stream.push(sound[at : at + WINDOW_SAMPLES].tobytes())
            found.append(await reports.get())
        stream.close()
        return found


class Listening:
    """One recording, heard by the models."""

    def __init__(self, models: Models, sound: Samples, windows: Sequence[Window]) -> None:
        self.windows = windows
        self._models = models
        self._sound = sound
        self._utterance: Queue | None = None
        self._began = self._heard = 0
        self._free_s = 0.0  # when the recogniser has decoded what was handed over

    def hand_over(self, begin: int, end: int) -> None:
        """See Ears."""
        self._grow(begin, end)
        _, took_s = self._ask(end, Ask.PARTIAL)
        self._free_s = end / SAMPLE_RATE + took_s

    def words(self, begin: int, end: int) -> Words:
        """See Ears."""
        self._grow(begin, end)
        waits_s = max(0.0, self._free_s - end / SAMPLE_RATE)
        hypothesis, took_s = self._ask(end, Ask.FLUSH)
        words = tuple(Word(word.text, word.start_s, word.end_s, word.probability) for word in hypothesis.words)
        transcript = Transcript(hypothesis.text, hypothesis.stable_chars, hypothesis.is_final, words)
        return Words(transcript.text, transcript.confidence, waits_s + took_s + TRANSPORT_S)

    def opinion(self, begin: int, end: int) -> Opinion:
        """See Ears."""
        started = perf_counter()
        (probability,) = self._models.turn.completion([self._sound[begin:end]])
        return Opinion(probability, perf_counter() - started + TRANSPORT_S)

    def _grow(self, begin: int, end: int) -> None:
        """Decode whole chunks up to `end`, as in a call, where they have been decoded by now."""
        if self._utterance is None or begin != self._began or end < self._heard:
            if self._utterance is not None:
                self._models.recogniser.forget(self._utterance)
            self._utterance = self._models.recogniser.open(language=None, hotwords=None)
            self._began = self._heard = begin
        while end - self._heard > CHUNK_BYTES // 2:
            self._ask(self._heard + CHUNK_BYTES // 2, Ask.PARTIAL)

    def _ask(self, end: int, ask: Ask) -> tuple[Hypothesis, float]:
        assert self._utterance is not None
        answered: Future[tuple[Hypothesis, float]] = Future()

        def answer(outcome: Hypothesis | BaseException, engine_s: float) -> None:
            if isinstance(outcome, BaseException):
                answered.set_exception(outcome)
            else:
                answered.set_result((outcome, engine_s))

        piece = Piece(self._utterance, self._sound[self._heard : end].tobytes(), ask, answer)
        self._heard = end
        self._models.recogniser.transcribe([piece])
        return answered.result(timeout=60)


def rehearse(ears: Ears, endpointer: Endpointer) -> Iterator[Taken]:
    """The turns that would be taken, in order. What the endpointer learns, it keeps."""
    began, pause, text = 0, 0, ""
    due: list[tuple[float, int, Words | Opinion]] = []  # when it arrives, in samples, and of which pause
    for window in ears.windows:
        signals = []
        for arrival in sorted((each for each in due if each[0] <= window.end), key=lambda each: each[0]):
            due.remove(arrival)
            _, of_pause, answer = arrival
            if of_pause != pause:
                continue
            if isinstance(answer, Words):
                text = answer.text
                signals += endpointer.hear(answer.text, answer.confidence)
            else:
                signals += endpointer.judge(answer.probability)
        signals += endpointer.push(window.probability, window.level_db, window.end)
        for signal in signals:
            asked: list[Words | Opinion] = []
            match signal:
                case Began(at):
                    began, text = at, ""
                    pause += 1
                case Resumed():
                    pause += 1
                case Hesitated():
                    ears.hand_over(began, window.end)
                case FellSilent(since):
                    asked = [ears.opinion(max(began, since - HEARD_SAMPLES), window.end)]
                    endpointer.expect_opinion()
                case Paused():
                    asked = [ears.words(began, window.end)]
                    endpointer.expect_words()
                case Ended(last_speech, at):
                    pause += 1
                    yield Taken(last_speech, at, text)
            due += [(window.end + answer.took_s * SAMPLE_RATE, pause, answer) for answer in asked]
