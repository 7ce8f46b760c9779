"""Answers each piece of a sequence with the number of its samples, after five seconds or once it is cancelled."""

import time
from collections.abc import Generator

from engines.serving import CANCEL_CHECK_S, Chunk, Model, Request
from engines.streams import Streams

COMPUTES_S = 5.0


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._streams = Streams(Model(args), self._count, workers=4)

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()

    def _count(self, request: Request) -> Generator[Chunk, None, None]:
        until = time.monotonic() + COMPUTES_S
        while time.monotonic() < until and not request.cancelled:
            time.sleep(CANCEL_CHECK_S)
        yield {"samples": request.samples("audio").size}
