"""A stand-in language model: always the same answer, token by token at a fixed rate."""

import sys
import time
from collections.abc import Generator
from pathlib import Path

from engines.serving import Chunk, Model, Request
from engines.streams import Streams

sys.path.append(str(Path(__file__).parents[4]))  # Triton's Python heeds no PYTHONPATH
from benchmarks.standins import TOKENS, token_s


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._streams = Streams(Model(args), self._generate, workers=128)

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()

    def _generate(self, request: Request) -> Generator[Chunk, None, None]:
        started = time.monotonic()
        for index, token in enumerate(TOKENS):
            time.sleep(max(0.0, started + token_s(index) - time.monotonic()))
            yield {"text_output": token}
