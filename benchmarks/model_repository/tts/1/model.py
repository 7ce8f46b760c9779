"""A stand-in voice: first chunk after 30 ms, then twenty times as fast as it plays; a tone as long as the text."""

import time
from collections.abc import Generator

import numpy as np

from engines.serving import Chunk, Model, Request
from engines.streams import Streams

FIRST_CHUNK_S = 0.030
REAL_TIME_FACTOR = 0.05
SAMPLE_RATE = 24_000
CHUNK_S = 0.040
SECONDS_PER_CHARACTER = 0.03
AMPLITUDE = 9_000
CHUNK = (AMPLITUDE * np.sin(2 * np.pi * 450 * np.arange(int(CHUNK_S * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.int16)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._streams = Streams(Model(args), self._speak, workers=128)

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()

    def _speak(self, request: Request) -> Generator[Chunk, None, None]:
        chunks = max(1, round(len(request.text("text")) * SECONDS_PER_CHARACTER / CHUNK_S))
        started = time.monotonic()
        for index in range(chunks):
            time.sleep(max(0.0, started + FIRST_CHUNK_S + index * CHUNK_S * REAL_TIME_FACTOR - time.monotonic()))
            yield {"audio": CHUNK, "sample_rate": SAMPLE_RATE}
