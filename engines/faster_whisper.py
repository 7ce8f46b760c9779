"""Speech recognition by Whisper (faster-whisper), streamed by local agreement, on a GPU or a CPU.

One thread decodes. Each time it takes all utterances of which an answer is due, whatever their sessions, and decodes
them in one call of CTranslate2; what arrives meanwhile is the next batch. So the batches grow with the load.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engines.agreement import Agreement
from engines.audio import AUDIBLE_RMS, BYTES_PER_S, has_voice, is_above
from engines.errors import EngineUnavailableError, InvalidInputError, ModelSetupError
from engines.parameters import Parameters
from engines.transcriber import Ask, Hypothesis, Piece
from engines.whisper import Limits, Result, Whisper, Window, check_folder, checked_language

LOGGER = logging.getLogger(__name__)
TRIM_S = 20.0  # from here on the settled beginning of a window goes
MAX_WINDOW_S = 28.0  # a longer one is decoded in parts
KEPT_S, LEAST_CUT_S = 4.0, 14.0  # of such a window: its end stays, and this much of its beginning goes at least
SETTLED_CUT_S = 2.0  # less settled sound is not worth a cut
AGREE_S = 0.3  # hypotheses about nearly the same sound agree on its half-spoken end, too
LANGUAGE_S = 3.0  # after so much sound a detected language stays
LEAD_S = 1.0  # silence that is kept before speech
CLOSE_TIMEOUT_S = 5.0
_VOICE_BYTES = BYTES_PER_S  # voice is looked for in stretches of one second


class Utterance:
    """The sound of one utterance that is not settled yet, and what was understood. Its owner holds a lock."""

    def __init__(self, language: str | None, hotwords: tuple[int, ...]) -> None:
        self.language = language
        self.waiting: deque[Piece[Utterance]] = deque()
        self.forgotten = False
        self._hotwords = hotwords
        self._agreement = Agreement()
        self._sound = bytearray()
        self._start_s = 0.0  # of the window in the utterance
        self._decoded = 0  # bytes of the window that the latest hypothesis is for
        self._voiced = False

    @property
    def urgent(self) -> bool:
        """Whether more than a partial result is waited for."""
        return any(piece.ask is not Ask.PARTIAL for piece in self.waiting)

    def hear(self, pcm16_16k: bytes) -> None:
        """More sound. As long as there is no voice in it, only its last second is kept."""
        known = max(0, len(self._sound) - _VOICE_BYTES)
        self._sound += pcm16_16k
        if not self._voiced:
            self._look_for_voice(known)

    def due(self, period_s: float) -> bool:
        """Whether to decode: there is new sound, for a partial result a period of it, or word times are missing."""
        if self.forgotten or not self._voiced:
            return False
        if self.urgent and self._agreement.latest.times is None:
            return True
        if not self.urgent and len(self._sound) - self._decoded < period_s * BYTES_PER_S:
            return False
        return is_above(bytes(self._sound[self._decoded :]), AUDIBLE_RMS)

    def window(self) -> Window:
        """The sound to decode."""
        sound = bytes(self._sound[: int(MAX_WINDOW_S) * BYTES_PER_S])
        timed = self.urgent or len(sound) > TRIM_S * BYTES_PER_S
        return Window(sound, self.language, self._hotwords, self._agreement.prefix, timed)

    def understand(self, window: Window, result: Result) -> bool:
        """Take the result for a window; whether it was all the sound that there was when it was taken."""
        seconds = len(window.pcm16_16k) / BYTES_PER_S
        if seconds >= LANGUAGE_S:
            self.language = result.language
        if result.decoded is not None:
            newer_s = seconds - self._decoded / BYTES_PER_S
            self._agreement.hear(result.decoded, settle=newer_s >= AGREE_S)
        self._decoded = len(window.pcm16_16k)
        if seconds >= MAX_WINDOW_S:
            self._cut_full_window()
            return False
        settled_s = self._agreement.settled_until() or 0.0
        if seconds > TRIM_S and settled_s >= SETTLED_CUT_S:
            self._cut(settled_s)
        return True

    def hypothesis(self, ask: Ask) -> Hypothesis:
        """What is understood by now."""
        text, stable = self._agreement.text, self._agreement.stable_chars
        if ask is Ask.PARTIAL:
            return Hypothesis(text, stable, is_final=False)
        words = self._agreement.words(self._start_s)
        return Hypothesis(text, len(text) if ask is Ask.FINAL else stable, is_final=True, words=words)

    def _cut_full_window(self) -> None:
        latest = self._agreement.latest
        limit = MAX_WINDOW_S - KEPT_S
        kept = [time for time in latest.times or () if time.end_s > limit]
        self._cut(max(LEAST_CUT_S, min(limit, kept[0].start_s)) if kept else limit)

    def _cut(self, at_s: float) -> None:
        size = int(at_s * BYTES_PER_S) // 2 * 2
        self._agreement.cut(at_s, self._start_s)
        self._drop(size)
        self._decoded = max(0, self._decoded - size)
        self._voiced = False
        self._look_for_voice(0)

    def _look_for_voice(self, start: int) -> None:
        stops = range(min(start + _VOICE_BYTES, len(self._sound)), len(self._sound) + _VOICE_BYTES, _VOICE_BYTES // 2)
        self._voiced = any(has_voice(bytes(self._sound[max(0, stop - _VOICE_BYTES) : stop])) for stop in stops)
        spare = len(self._sound) - int(LEAD_S * BYTES_PER_S)
        if not self._voiced and spare > 0 and not self._agreement.latest.units:
            self._drop(spare // 2 * 2)
            self._decoded = 0

    def _drop(self, size: int) -> None:
        del self._sound[:size]
        self._start_s += size / BYTES_PER_S


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
        whisper.decode([Window(bytes(BYTES_PER_S))])  # the first call takes longer
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
        """Queue the pieces."""
        with self._changed:
            for piece in pieces:
                piece.utterance.hear(piece.pcm16_16k)
                piece.utterance.waiting.append(piece)
                self._waiting[id(piece.utterance)] = piece.utterance
            self._changed.notify()

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
            for piece, hypothesis in answered:
                piece.answer(hypothesis, 0.0)
            if batch:
                self._decode(batch)

    def _next(self) -> tuple[list[Utterance], list[tuple[Piece[Utterance], Hypothesis]]]:
        """Take the next batch, and the pieces that are answered by what is known already."""
        due, answered = [], []
        for key, utterance in list(self._waiting.items()):
            if utterance.due(self._period_s):
                due.append(utterance)
            else:
                del self._waiting[key]
                answered += _answers(utterance, _taken(utterance))
        urgent = [utterance for utterance in due if utterance.urgent]
        if urgent and self._whisper.device == "cpu":
            due = urgent  # on a CPU each window of a batch takes its time: partial results can wait
        elif urgent:
            due.sort(key=lambda utterance: not utterance.urgent)
        return due[: self._max_batch], answered

    def _decode(self, batch: Sequence[Utterance]) -> None:
        with self._changed:
            windows = [utterance.window() for utterance in batch]
            taken = [_taken(utterance) for utterance in batch]
            for utterance in batch:
                del self._waiting[id(utterance)]
        started_at = time.monotonic()
        try:
            results = self._whisper.decode(windows)
        except RuntimeError as error:  # CTranslate2's: out of memory, a lost device
            LOGGER.error("Whisper failed", exc_info=error)
            for piece in (piece for pieces in taken for piece in pieces):
                piece.answer(EngineUnavailableError(f"Whisper failed: {error}"), 0.0)
            return
        each_s = (time.monotonic() - started_at) / sum(map(len, taken))
        self._counted(len(batch))
        answered: list[tuple[Piece[Utterance], Hypothesis]] = []
        with self._changed:
            for utterance, window, result, pieces in zip(batch, windows, results, taken, strict=True):
                complete = utterance.understand(window, result)
                if not complete and any(piece.ask is not Ask.PARTIAL for piece in pieces):
                    utterance.waiting.extendleft(reversed(pieces))
                    self._waiting[id(utterance)] = utterance
                else:
                    answered += _answers(utterance, pieces)
        for piece, hypothesis in answered:
            piece.answer(hypothesis, each_s)


def _taken(utterance: Utterance) -> list[Piece[Utterance]]:
    pieces = list(utterance.waiting)
    utterance.waiting.clear()
    return pieces


def _answers(utterance: Utterance, pieces: Sequence[Piece[Utterance]]) -> list[tuple[Piece[Utterance], Hypothesis]]:
    return [(piece, utterance.hypothesis(piece.ask)) for piece in pieces]


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
