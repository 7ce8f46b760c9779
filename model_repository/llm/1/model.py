"""The llm model of the embedded profile: the offline conversationalist behind the tensors of Triton's vLLM backend."""

import time
from collections.abc import Generator

from engines import sampling
from engines.eliza import Eliza
from engines.errors import InvalidInputError
from engines.serving import Chunk, Model, Request
from engines.streams import Streams


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        model = Model(args)
        self._eliza = Eliza(model.parameters.text("name", "GoAssist"))
        self._words_at_once = model.parameters.integer("words_at_once", 30)
        self._words_per_second = model.parameters.number("words_per_second", 0)
        self._streams = Streams(model, self._answer, workers=model.parameters.integer("workers", 64))

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()

    def _answer(self, request: Request) -> Generator[Chunk, None, None]:
        prompt = request.text("text_input")
        stream = request.flag("stream", False)
        if stream and not request.flag("exclude_input_in_output", True):
            raise InvalidInputError("exclude_input_in_output cannot be false when stream is true")
        wanted = _sampling(request)
        counts = {"input": self._eliza.count_tokens(prompt), "output": 0}
        text = "" if request.flag("exclude_input_in_output", stream) else prompt
        for number, word in enumerate(self._eliza.generate(prompt, wanted)):
            if stream and number > self._words_at_once and self._words_per_second > 0:
                time.sleep(1 / self._words_per_second)
                request.engine_s -= 1 / self._words_per_second  # a pause, not work
            text += word.text
            counts["output"] += word.tokens
            if stream or word.finish_reason:
                yield _chunk(request, text, word.finish_reason, counts)
                text, counts["output"] = "", 0


def _sampling(request: Request) -> sampling.Sampling:
    """From the tensor, or from the request's own parameters as Triton's generate endpoint sends them."""
    if request.has("sampling_parameters"):
        return sampling.parse(request.text("sampling_parameters"))
    values = {name: request.parameter(name) for name in sampling.NAMES}
    return sampling.check({name: value for name, value in values.items() if value is not None})


def _chunk(request: Request, text: str, finish_reason: str | None, counts: dict[str, int]) -> Chunk:
    """One response; the counts and the reason where they are asked for. The reason is 'None' until the last one."""
    optional = {
        "finish_reason": str(finish_reason),
        "num_input_tokens": counts["input"],
        "num_output_tokens": counts["output"],
    }
    return {"text_output": text} | {k: v for k, v in optional.items() if request.flag(f"return_{k}", False)}
