"""Triton sequences as utterances: what the `asr` model does between its tensors and an engine."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from engines.audio import SAMPLE_RATE
from engines.errors import CancelledError, InvalidInputError
from engines.serving import Chunk, Model, Request
from engines.transcriber import NOTHING, Ask, Hypothesis, Piece, Transcriber

U = TypeVar("U")

# A request with this parameter and END closes its sequence without an answer: nobody wants the transcript.
DISCARD_PARAMETER = "discard"
MAX_REQUEST_S = 30.0


@dataclass(slots=True)
class _Sequence(Generic[U]):
    utterance: U
    heard_at: float
    heard_samples: int = 0
    abandoned: bool = False  # its caller has gone


class Recognition(Generic[U]):
    """Gives the requests of a batch to the engine together, and each its answer.

    Model parameters: `max_utterance_s` (300) bounds an utterance, `idle_s` (60) the silence after which a
    sequence is forgotten; it should be max_sequence_idle_microseconds, which Triton does not tell the model.
    """

    def __init__(self, model: Model, engine: Transcriber[U]) -> None:
        self._model = model
        self._engine = engine
        self._max_utterance_s = model.parameters.number("max_utterance_s", 300.0)
        self._idle_s = model.parameters.number("idle_s", 60.0)
        self._sequences: dict[int, _Sequence[U]] = {}

    def accept(self, requests: Iterable[Any]) -> None:
        """Takes what execute() was given."""
        now = time.monotonic()
        pieces = []
        for request in self._model.open(requests):
            try:
                if (piece := self._piece(request, now)) is not None:
                    pieces.append(piece)
            except InvalidInputError as error:
                request.fail(error)
        if pieces:
            self._engine.transcribe(pieces)
        self._forget_abandoned(now)

    def close(self) -> None:
        """Ends the engine."""
        self._engine.close()

    def _piece(self, request: Request, now: float) -> Piece[U] | None:
        number = request.sequence_id
        sequence = self._open(request, now) if request.starts_sequence else self._sequences.get(number)
        if sequence is None:
            raise InvalidInputError(
                f"sequence {number} is not open: it began without START, has ended, was cancelled, "
                f"or was silent for {self._idle_s:g} s"
            )
        if request.ends_sequence:
            del self._sequences[number]
        if request.ends_sequence and request.parameter(DISCARD_PARAMETER):
            self._engine.forget(sequence.utterance)
            request.finish(_chunk(NOTHING))
            return None
        try:
            return self._checked(request, sequence, now)
        except InvalidInputError:
            if request.ends_sequence:
                self._engine.forget(sequence.utterance)
            raise

    def _open(self, request: Request, now: float) -> _Sequence[U]:
        if forgotten := self._sequences.pop(request.sequence_id, None):
            self._engine.forget(forgotten.utterance)
        utterance = self._engine.open(
            language=request.text("language", "") or None, hotwords=request.text("hotwords", "") or None
        )
        sequence = self._sequences[request.sequence_id] = _Sequence(utterance, now)
        return sequence

    def _checked(self, request: Request, sequence: _Sequence[U], now: float) -> Piece[U]:
        samples = request.samples("audio")
        ask = Ask.FLUSH if request.flag("flush", False) else Ask.PARTIAL
        if request.ends_sequence:
            ask = Ask.FINAL
        if not len(samples) and (ask is Ask.PARTIAL or not sequence.heard_samples):
            raise InvalidInputError("audio is empty: send INT16 samples, 16 kHz mono, shape [1, number of samples]")
        request.audio_in_s = len(samples) / SAMPLE_RATE
        if request.audio_in_s > MAX_REQUEST_S:
            raise InvalidInputError(
                f"audio is {request.audio_in_s:.0f} s long: one request takes at most {MAX_REQUEST_S:g} s"
            )
        if sequence.heard_samples / SAMPLE_RATE + request.audio_in_s > self._max_utterance_s:
            raise InvalidInputError(f"the utterance is longer than {self._max_utterance_s:g} s: end the sequence")
        sequence.heard_samples += len(samples)
        sequence.heard_at = now
        return Piece(sequence.utterance, samples.tobytes(), ask, partial(self._answer, request, sequence))

    def _answer(
        self, request: Request, sequence: _Sequence[U], outcome: Hypothesis | BaseException, engine_s: float
    ) -> None:
        request.engine_s = engine_s
        if isinstance(outcome, BaseException):
            request.fail(outcome)
        elif request.cancelled:
            sequence.abandoned = True
            request.fail(CancelledError("the utterance was cancelled"))
        else:
            request.finish(_chunk(outcome))

    def _forget_abandoned(self, now: float) -> None:
        # The oldest strategy of Triton's sequence batcher ends an idle sequence without telling the model.
        for number, sequence in list(self._sequences.items()):
            if sequence.abandoned or now - sequence.heard_at > self._idle_s:
                del self._sequences[number]
                self._engine.forget(sequence.utterance)


def _chunk(hypothesis: Hypothesis) -> Chunk:
    words = [
        {"word": word.text, "start_s": word.start_s, "end_s": word.end_s, "probability": word.probability}
        for word in hypothesis.words
    ]
    return {
        "transcript": hypothesis.text,
        "stable_chars": hypothesis.stable_chars,
        "is_final": hypothesis.is_final,
        "words": json.dumps(words),
    }
