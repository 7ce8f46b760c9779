"""The speech_to_speech model: one user turn in, the agent's answer out while it is written."""

import os
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from engines import bls
from engines.audio import SAMPLE_RATE
from engines.calls import Calls
from engines.errors import EngineError, EngineUnavailableError
from engines.serving import Chunk, Model, Request
from engines.speech_to_speech import Agent, error_chunk, history, turn_audio
from engines.streams import Streams
from orchestrator.triton.prompt import ChatTemplate


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._model = model = Model(args)
        template = model.parameters.text("template_path", "")
        root = Path(args["model_repository"]).resolve().parents[1]
        # Several turns at a time are safe over gRPC; see engines/bls.py.
        url = os.environ.get("TRITON_URL")
        self._agent = Agent(
            calls=_loopback(url) if url else bls.Inference,
            template=ChatTemplate.from_directory(root / template) if template else ChatTemplate(),
            max_tokens=model.parameters.integer("max_tokens", 1024),
            temperature=model.parameters.number("temperature", 0.7),
        )
        self._instructions = model.parameters.text("instructions", "")
        self._streams = Streams(
            model, self._converse, workers=model.parameters.integer("workers" if url else "bls_workers", 1)
        )
        self._calls_by_bls = not url

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()

    def _converse(self, request: Request) -> Generator[Chunk, None, None]:
        """A failure before the first event is a Triton error as any model's; later it is the last event."""
        if self._calls_by_bls and sys.version_info >= (3, 12):
            # Triton 2.51's stub for Python 3.12 crashes the model that another one calls.
            raise EngineUnavailableError(
                "speech_to_speech needs the environment variable TRITON_URL, host:port of this server's gRPC service, "
                "or Python 3.11 in Triton"
            )
        samples = turn_audio(request.samples("audio"))
        messages = history(request.text("messages", "[]"), request.text("instructions", self._instructions))
        request.audio_in_s = len(samples) / SAMPLE_RATE
        begun = False
        turn = self._agent.turn(samples, messages, voice=request.text("voice", "") or None)
        try:
            with closing(turn.chunks(lambda: request.cancelled)) as chunks:
                for chunk in chunks:
                    begun = True
                    if chunk["sample_rate"]:
                        request.audio_out_s += len(chunk["audio"]) / chunk["sample_rate"]
                    yield chunk
        except EngineError as error:
            if not begun or request.cancelled:
                raise
            self._model.metrics.failed.increment(1)
            yield error_chunk(error)


def _loopback(url: str) -> Calls:
    from engines.loopback import Loopback  # tritonclient is only needed here

    return Loopback(url)
