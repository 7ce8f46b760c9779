"""Speech recognition by Whisper (faster-whisper), streamed by local agreement, on a GPU or a CPU.

One thread decodes. Each time it takes all utterances of which an answer is due, whatever their sessions, and decodes
them in one call of CTranslate2; what arrives meanwhile is the next batch. So the batches grow with the load. A piece
that asks for a partial result waits for the call that it brings about while calls are quick; once they are not, it is
answered at once by what is known, and the newer hypothesis goes with the next piece.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.audio import BYTES_PER_S
from engines.errors import EngineUnavailableError, InvalidInputError, ModelSetupError
from engines.parameters import Parameters
from engines.transcriber import Ask, Hypothesis, Piece
from engines.whisper import Limits, Whisper, Window, check_folder, checked_language
from engines.whisper_utterance import Utterance

LOGGER = logging.getLogger(__name__)
QUICK_S = 0.16  # callers send a piece so often
PARTIALS_S = 0.25  # a call of partial results takes no longer than this, since whoever ends meanwhile waits for it
CLOSE_TIMEOUT_S = 5.0


class FasterWhisper:
    """Decodes at most `max_batch` utterances in a call, each again after `period_s` of new sound.

    `counted` is called after each call with the number of windows in it.
    """

    def __init__(
        self,
        whisper: Whisper,
        *,
        max_batch: int = 16,
        period_s: float = 0.5,
        language: str = "",
        hotwords: str = "",
        counted: Callable[[int], None] = lambda windows: None,
    ) -> None:
        self._whisper = whisper
        self._max_batch = max_batch
        self._period_s = period_s
        self._language = checked_language(language, whisper.languages) if language else None
        self._hotwords = hotwords
        self._counted = counted
        self._changed = threading.Condition()
        self._waiting: dict[int, Utterance] = {}
        self._closing = False
        # The first call takes longer: many seconds on a GPU for which CTranslate2 has no kernels. Those for times
        # of words are among them, hence a word.
        whisper.decode([Window(bytes(BYTES_PER_S), prefix=whisper.hotword_tokens("hello")[1:], timed=True)])
        started_at = time.monotonic()
        whisper.decode([Window(bytes(BYTES_PER_S))])
        self._call_s = time.monotonic() - started_at
        self._room = 1  # partial results that fit into a call of PARTIALS_S, by what the latest calls took
        self._thread = threading.Thread(target=self._run, name="whisper", daemon=True)
        self._thread.start()

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> "FasterWhisper":
        """Make the engine from model parameters.

        `model_path` (a CTranslate2 folder), `device` (cuda, cpu), `compute_type` (float16, int8_float16, int8),
        `beam_size` (1), `threads` (of a CPU; 0: as many as there are cores), `max_batch` (64 on cuda, 16 on cpu),
        `period_s` (0.5), `language`, `hotwords` (of every utterance), and the limits of belief `no_speech_threshold`,
        `log_prob_threshold`, `compression_ratio_threshold`.
        """
        read = Parameters("asr", parameters)
        folder = Path(read.text("model_path"))
        check_folder(folder)
        device = read.text("device", "cuda")
        if device not in ("cuda", "cpu"):
            raise ModelSetupError(f"faster-whisper: device is {device!r}; it can be: cuda, cpu")
        usual = Limits()
        limits = Limits(
            no_speech=read.number("no_speech_threshold", usual.no_speech),
            log_probability=read.number("log_prob_threshold", usual.log_probability),
            compression=read.number("compression_ratio_threshold", usual.compression),
        )
        whisper = Whisper(
            folder,
            device=device,
            compute_type=read.text("compute_type", "float16" if device == "cuda" else "int8"),
            beam_size=read.integer("beam_size", 1),
            threads=read.integer("threads", 0),
            limits=limits,
        )
        try:
            return cls(
                whisper,
                max_batch=read.integer("max_batch", 64 if device == "cuda" else 16),
                period_s=read.number("period_s", 0.5),
                language=read.text("language", ""),
                hotwords=read.text("hotwords", ""),
                counted=_metrics(),
            )
        except InvalidInputError as error:
            raise ModelSetupError(f"the asr model's parameter 'language': {error}") from error

    def open(self, *, language: str | None, hotwords: str | None) -> Utterance:
        """A new utterance; without a language it has the configured one, or the one that the model hears."""
        code = checked_language(language, self._whisper.languages) if language else self._language
        if code is None and not self._whisper.detects_language:
            code = self._whisper.languages[0]
        expected = ", ".join(filter(None, (self._hotwords, hotwords)))
        return Utterance(code, self._whisper.hotword_tokens(expected) if expected else ())

    def transcribe(self, pieces: Sequence[Piece[Utterance]]) -> None:
        """Queue the pieces, or answer them where only a partial result is wanted and calls are not quick."""
        answered: list[_Answer] = []
        with self._changed:
            for piece in pieces:
                utterance = piece.utterance
                utterance.hear(piece.pcm16_16k)
                wait = piece.ask is not Ask.PARTIAL or self._quick()
                if wait or utterance.waiting or utterance.held:
                    utterance.waiting.append(piece)
                else:
                    answered += _answers(utterance, [piece])
                if utterance.waiting or utterance.due(self._period_s):
                    self._waiting[id(utterance)] = utterance
            self._changed.notify()
        for answer in answered:
            answer.give()

    def forget(self, utterance: Utterance) -> None:
        """Decode it no more; pieces that wait are answered with what is known."""
        with self._changed:
            utterance.forgotten = True

    def close(self) -> None:
        """Answer what waits with EngineUnavailableError and free the model, after the call that runs."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        with self._changed:
            left = [piece for utterance in self._waiting.values() for piece in utterance.waiting]
            self._waiting.clear()
        for piece in left:
            piece.answer(EngineUnavailableError("the asr model is being unloaded"), 0.0)
        if not self._thread.is_alive():
            self._whisper.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return
                batch, answered = self._next()
            self._give(answered)
            if batch:
                self._decode(batch)

    def _next(self) -> "tuple[list[Utterance], list[_Answer]]":
        """Take the next batch, and the pieces that are answered by what is known already."""
        due: list[Utterance] = []
        answered: list[_Answer] = []
        quick = self._quick()
        for key, utterance in list(self._waiting.items()):
            if utterance.due(self._period_s):
                due.append(utterance)
                if not utterance.urgent and not quick:
                    answered += _answers(utterance, _taken(utterance))
            else:
                del self._waiting[key]
                answered += _answers(utterance, _taken(utterance))
        urgent = [utterance for utterance in due if utterance.urgent]
        # Each window of a call takes its time, on a GPU too: partial results can wait.
        return urgent[: self._max_batch] or due[: self._room], answered

    def _quick(self) -> bool:
        """Whether a partial result that is asked for now would come before the next piece."""
        return self._call_s * (1 + len(self._waiting) // self._room) <= QUICK_S

    def _make_room(self, windows: int) -> None:
        """Learn from a call of so many partial results how many the next one may have."""
        fitting = int(windows * PARTIALS_S / max(self._call_s, 1e-3))
        if self._call_s > PARTIALS_S:
            self._room = max(1, min(self._room, fitting))
        elif windows == self._room:
            self._room = min(self._max_batch, max(windows + 1, fitting))

    def _decode(self, batch: Sequence[Utterance]) -> None:
        with self._changed:
            windows = [utterance.window() for utterance in batch]  # which depend on what waits
            taken = [_taken(utterance) for utterance in batch]
            for utterance in batch:
                del self._waiting[id(utterance)]
        try:
            answered = self._decoded(batch, windows, taken)
        except Exception as error:  # whatever it is: everybody's recognition depends on this thread
            LOGGER.error("Whisper failed", exc_info=error)
            failure = EngineUnavailableError(f"Whisper failed: {error or type(error).__name__}")
            answered = [_Answer(piece, failure, 0.0) for pieces in taken for piece in pieces]
        self._give(answered)

    def _decoded(
        self, batch: Sequence[Utterance], windows: Sequence[Window], taken: Sequence[list[Piece[Utterance]]]
    ) -> "list[_Answer]":
        """Decode a batch; the answers to the pieces taken, less those of utterances that need another call."""
        started_at = time.monotonic()
        results = self._whisper.decode(windows)
        self._counted(len(batch))
        answered: list[_Answer] = []
        unfinished: list[tuple[Utterance, list[Piece[Utterance]]]] = []
        with self._changed:
            self._call_s = time.monotonic() - started_at
            if all(piece.ask is Ask.PARTIAL for pieces in taken for piece in pieces):
                self._make_room(len(batch))
            for utterance, window, result, pieces in zip(batch, windows, results, taken, strict=True):
                utterance.computed_s += self._call_s / len(batch)
                complete = utterance.understand(window, result)
                if not complete and any(piece.ask is not Ask.PARTIAL for piece in pieces):
                    unfinished.append((utterance, pieces))
                else:
                    answered += _answers(utterance, pieces)
            for utterance, pieces in unfinished:
                utterance.waiting.extendleft(reversed(pieces))
                self._waiting[id(utterance)] = utterance
        return answered

    def _give(self, answers: "Sequence[_Answer]") -> None:
        for answer in answers:
            try:
                answer.give()
            except Exception as error:  # Triton's, such as no room in its shared memory: the others get their answers
                LOGGER.error("an answer of Whisper's was lost", exc_info=error)
        with self._changed:
            for answer in answers:
                answer.piece.utterance.held = False


@dataclass(frozen=True, slots=True)
class _Answer:
    piece: Piece[Utterance]
    outcome: Hypothesis | BaseException
    computed_s: float

    def give(self) -> None:
        self.piece.answer(self.outcome, self.computed_s)


def _taken(utterance: Utterance) -> list[Piece[Utterance]]:
    pieces = list(utterance.waiting)
    utterance.waiting.clear()
    utterance.held = bool(pieces)
    return pieces


def _answers(utterance: Utterance, pieces: Sequence[Piece[Utterance]]) -> list[_Answer]:
    answers = []
    for piece in pieces:
        answers.append(_Answer(piece, utterance.hypothesis(piece.ask), utterance.computed_s))
        utterance.computed_s = 0.0
    return answers


def _metrics() -> Callable[[int], None]:
    """Counters on Triton's metrics page: calls of CTranslate2, and windows of sound decoded by them."""
    import triton_python_backend_utils as pb_utils

    from engines import metrics

    publisher = metrics.Publisher()

    def counter(name: str, description: str) -> metrics.Metric:
        with metrics.channel:
            family = pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.COUNTER)
        return metrics.Family(family, publisher).metric()

    calls = counter("goassist_asr_decode_batches_total", "Calls of CTranslate2, each for all utterances that were due")
    windows = counter("goassist_asr_decoded_windows_total", "Windows of sound that were decoded in these calls")

    def count(number: int) -> None:
        calls.increment(1)
        windows.increment(number)

    return count
