"""Repeats `text` `count` times, one response each, `interval_s` apart; `fault` breaks it on purpose."""

import time
from collections.abc import Generator

import numpy as np

from engines.errors import InvalidInputError
from engines.serving import Chunk, Model, Request
from engines.streams import Streams


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        model = Model(args)
        self._streams = Streams(model, self._repeat, workers=model.parameters.integer("workers", 4), waiting=16)

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()

    def _repeat(self, request: Request) -> Generator[Chunk, None, None]:
        text = request.text("text")
        fault = request.text("fault", "none")
        if not text:
            raise InvalidInputError("text is empty")
        if fault == "slow":
            time.sleep(1.0)
        for number in range(int(request.number("count", 3))):
            if fault == "after one" and number == 1:
                raise RuntimeError("the engine broke")
            request.audio_out_s += 0.1
            yield {"text": text, "number": number, "audio": np.full(1_600, number, np.int16)}
            time.sleep(request.number("interval_s", 0.0))
