"""The turn model: the sound of an utterance up to a pause in, the probability that the turn is complete out.

Callers decide without it after half a second (orchestrator/triton/turn.py). So execute() only takes requests in, and a
worker computes the newest first and those whose callers have gone not at all: with more questions than it can answer,
it answers as many as it can.

Requests that wait together are computed together, as many as the engine has threads, of which one utterance need not
occupy all. With one thread, the default, a batch would only keep the first answer back: on two cores an utterance takes
28 ms alone as in a batch of 4, and 29 ms in one of 16. With two threads it takes 16 ms alone, in twos and in eights.
"""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.calls import CANCEL_PARAMETER
from engines.errors import CancelledError, EngineError, EngineUnavailableError, InvalidInputError
from engines.serving import Model, Request
from engines.smart_turn import SAMPLE_RATE, SmartTurn

LOGGER = logging.getLogger(__name__)
# The oldest of more than these is refused: in half a second the worker does not get to it.
MAX_WAITING = 64
CLOSE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """A request that waits.

    Only who takes it from the list may ask about it and answer it: Triton 2.51 crashes when it is asked whether the
    caller of a request has gone that has ended.
    """

    request: Request
    samples: npt.NDArray[np.int16]

    def gone(self) -> bool:
        """Whether its caller has gone; then it has been answered."""
        try:
            cancelled = self.request.cancelled
        except Exception as error:  # Triton's, as below
            LOGGER.error("it cannot be told whether a caller has gone", exc_info=error)
            return False
        if cancelled:
            self.answer(CancelledError("the question was cancelled"))
        return cancelled

    def answer(self, outcome: float | EngineError) -> None:
        try:
            if isinstance(outcome, EngineError):
                self.request.fail(outcome)
            else:
                self.request.finish({"probability": outcome})
        except Exception as error:  # Triton's, such as no room in its shared memory: the others get their answers
            LOGGER.error("an answer of the end-of-turn model was lost", exc_info=error)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._model = Model(args)
        root = Path(args["model_repository"]).resolve().parents[1]
        path = root / self._model.parameters.text("model_path")
        threads = self._model.parameters.integer("threads", 1)
        try:
            self._engine: SmartTurn | None = SmartTurn(path, threads=threads)
        except FileNotFoundError as error:
            self._engine = None
            self._missing = f"{error}; until then endpointing goes by the words alone"
            LOGGER.warning(self._missing)
        self._together = max(1, threads)
        self._waiting: list[_Question] = []  # the newest last
        self._changed = threading.Condition()
        self._closing = False
        self._worker = threading.Thread(target=self._work, name="turn", daemon=True)
        self._worker.start()

    def execute(self, requests: list[object]) -> None:
        for each in requests:
            request = Request(self._model, each)
            if (other := request.parameter(CANCEL_PARAMETER)) is not None:
                self._give_up(other)
                request.dismiss()
                continue
            try:
                self._ask(_Question(request, self._samples(request)))
            except EngineError as error:
                request.fail(error)

    def finalize(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._worker.join(CLOSE_TIMEOUT_S)
        for question in self._waiting:
            question.answer(EngineUnavailableError(f"the model '{self._model.name}' is being unloaded"))

    def _samples(self, request: Request) -> npt.NDArray[np.int16]:
        if self._engine is None:
            raise EngineUnavailableError(self._missing)
        samples = request.samples("audio")
        if not samples.size:
            raise InvalidInputError("audio is empty")
        return samples

    def _ask(self, question: _Question) -> None:
        with self._changed:
            self._waiting.append(question)
            beyond = self._waiting.pop(0) if len(self._waiting) > MAX_WAITING else None
            self._changed.notify()
        if beyond is not None and not beyond.gone():
            beyond.answer(EngineUnavailableError(f"'{self._model.name}' has {MAX_WAITING} newer requests waiting"))

    def _give_up(self, request_id: str) -> None:
        """The caller waits for the end of its stream: it is answered now, not when its turn has come."""
        if (request := self._model.running.get(request_id)) is None:
            return
        request.cancel()
        with self._changed:
            given_up = [question for question in self._waiting if question.request is request]
            self._waiting = [question for question in self._waiting if question.request is not request]
        for question in given_up:
            question.answer(CancelledError("the question was cancelled"))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return
                newest = self._waiting[-self._together :][::-1]
                del self._waiting[-self._together :]
            if live := [question for question in newest if not question.gone()]:
                self._judge(live)

    def _judge(self, questions: list[_Question]) -> None:
        assert self._engine is not None
        began = time.monotonic()
        outcomes: list[float] | list[EngineError]
        try:
            outcomes = self._engine.completion([question.samples for question in questions])
        except Exception as error:  # whatever it is: everybody's answer depends on this thread
            LOGGER.error("the end-of-turn model failed", exc_info=error)
            reason = f"the end-of-turn model failed: {error or type(error).__name__}"
            outcomes = [EngineUnavailableError(reason)] * len(questions)
        engine_s = time.monotonic() - began
        for question, outcome in zip(questions, outcomes, strict=True):
            question.request.audio_in_s = question.samples.size / SAMPLE_RATE
            question.request.engine_s = engine_s / len(questions)
            question.answer(outcome)
