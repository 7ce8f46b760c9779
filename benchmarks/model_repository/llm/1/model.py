"""A stand-in language model: first token after 50 ms, then 30 tokens a second, always the same answer."""

import time
from collections.abc import Generator

from engines.serving import Chunk, Model, Request
from engines.streams import Streams

FIRST_TOKEN_S = 0.050
TOKENS_PER_S = 30
ANSWER = (
    "Okay here it is. The forecast for this afternoon is mostly sunny with a light breeze from the west."
    " Temperatures should stay close to twenty one degrees until the early evening hours."
    " You might want to bring a thin jacket if you plan on staying out late tonight."
)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._streams = Streams(Model(args), self._generate, workers=128)

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()

    def _generate(self, request: Request) -> Generator[Chunk, None, None]:
        started = time.monotonic()
        for index, word in enumerate(ANSWER.split(" ")):
            time.sleep(max(0.0, started + FIRST_TOKEN_S + index / TOKENS_PER_S - time.monotonic()))
            yield {"text_output": f" {word}" if index else word}
