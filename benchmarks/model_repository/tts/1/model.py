"""A stand-in voice: a tone as long as the text, chunk by chunk at a fixed rate, handed on as the tts model does."""

import sys
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np

from engines.joining import joined
from engines.serving import Chunk, Model, Request
from engines.streams import Streams
from engines.synthesizer import Sound

sys.path.append(str(Path(__file__).parents[4]))  # Triton's Python heeds no PYTHONPATH
from benchmarks import standins

CHUNK = np.frombuffer(standins.CHUNK, np.int16)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._streams = Streams(Model(args), self._speak, workers=128)

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()

    def _speak(self, request: Request) -> Generator[Chunk, None, None]:
        for samples in joined(tone(standins.chunks(request.text("text"))), standins.SAMPLE_RATE):
            yield {"audio": samples, "sample_rate": standins.SAMPLE_RATE}


def tone(chunks: int) -> Sound:
    started = time.monotonic()
    for index in range(chunks):
        time.sleep(max(0.0, started + standins.chunk_s(index) - time.monotonic()))
        yield CHUNK
