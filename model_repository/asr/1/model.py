"""The asr model: sequences of sound in, transcripts out. engines/transcriber.py has the engines."""

from engines import transcriber
from engines.recognition import Recognition
from engines.serving import Model


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        model = Model(args)
        engine = transcriber.load({key: value["string_value"] for key, value in model.config["parameters"].items()})
        self._recognition = Recognition(model, engine)

    def execute(self, requests: list[object]) -> None:
        self._recognition.accept(requests)

    def finalize(self) -> None:
        self._recognition.close()
