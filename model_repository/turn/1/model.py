"""The turn model: the sound of an utterance up to a pause in, the probability that the turn is complete out."""

import logging
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.errors import EngineError, EngineUnavailableError, InvalidInputError
from engines.serving import Model, Request
from engines.smart_turn import SAMPLE_RATE, SmartTurn

LOGGER = logging.getLogger(__name__)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._model = Model(args)
        root = Path(args["model_repository"]).resolve().parents[1]
        path = root / self._model.parameters.text("model_path")
        try:
            self._engine: SmartTurn | None = SmartTurn(path, threads=self._model.parameters.integer("threads", 1))
        except FileNotFoundError as error:
            self._engine = None
            self._missing = f"{error}; until then endpointing goes by the words alone"
            LOGGER.warning(self._missing)

    def execute(self, requests: list[object]) -> None:
        good: list[Request] = []
        for request in self._model.open(requests):
            try:
                request.audio_in_s = self._samples(request).size / SAMPLE_RATE
                good.append(request)
            except EngineError as error:
                request.fail(error)
        if self._engine is None or not good:
            return
        began = time.monotonic()
        probabilities = self._engine.completion([request.samples("audio") for request in good])
        for request, probability in zip(good, probabilities, strict=True):
            request.engine_s = (time.monotonic() - began) / len(good)
            request.finish({"probability": probability})

    def _samples(self, request: Request) -> npt.NDArray[np.int16]:
        if self._engine is None:
            raise EngineUnavailableError(self._missing)
        samples = request.samples("audio")
        if not samples.size:
            raise InvalidInputError("audio is empty")
        return samples
