"""The tts model: text in, streamed speech out. The parameter `engine` picks who speaks (engines/synthesizer.py)."""

from collections.abc import Generator
from contextlib import closing

from engines import synthesizer
from engines.errors import CancelledError
from engines.joining import joined
from engines.serving import Chunk, Model, Request
from engines.streams import Streams


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        model = Model(args)
        self._engine = synthesizer.load(
            {key: value["string_value"] for key, value in model.config["parameters"].items()}
        )
        self._streams = Streams(model, self._speak, workers=model.parameters.integer("workers", 16))

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()
        self._engine.close()

    def _speak(self, request: Request) -> Generator[Chunk, None, None]:
        sound = self._engine.synthesize(
            request.text("text"),
            voice=request.text("voice", "") or None,
            language=request.text("language", "") or None,
            speed=request.number("speed", 1.0),
        )
        with closing(joined(sound, self._engine.sample_rate)) as chunks:
            for samples in chunks:
                if not len(samples):
                    if request.cancelled:
                        raise CancelledError("the caller has gone")
                    continue
                request.audio_out_s += len(samples) / self._engine.sample_rate
                yield {"audio": samples, "sample_rate": self._engine.sample_rate}
