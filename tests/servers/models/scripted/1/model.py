"""Answers a ChatML prompt with what its last user message asks for, as a language model goes on with what is begun.

The message is a JSON list of the pieces of the whole answer, a token each. What of the answer the prompt has begun
already is not written again, and an answer that is begun otherwise is refused. It ends with 'length' where `max_tokens`
are fewer than its tokens.
"""

import json
import re
from collections.abc import Generator

from engines.errors import InvalidInputError
from engines.serving import Chunk, Model, Request
from engines.streams import Streams

USER = re.compile(r"<\|im_start\|>user\n(\[.*?\])<\|im_end\|>", re.DOTALL)
ASSISTANT = "<|im_start|>assistant\n"


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        model = Model(args)
        self._streams = Streams(model, _answer, workers=model.parameters.integer("workers", 8))

    def execute(self, requests: list[object]) -> None:
        self._streams.accept(requests)

    def finalize(self) -> None:
        self._streams.close()


def _answer(request: Request) -> Generator[Chunk, None, None]:
    prompt = request.text("text_input")
    pieces = json.loads(USER.findall(prompt)[-1])
    begun = prompt.rpartition(ASSISTANT)[2]
    if not "".join(pieces).startswith(begun):
        raise InvalidInputError(f"the answer is begun by {begun!r}")
    most = json.loads(request.text("sampling_parameters"))["max_tokens"]
    pieces = _behind(pieces, len(begun))
    for number, piece in enumerate(pieces[:most], start=1):
        reason = "length" if number == most < len(pieces) else "stop" if number == len(pieces) else "None"
        yield {
            "text_output": piece,
            "finish_reason": reason,
            "num_input_tokens": len(prompt.split()),
            "num_output_tokens": 1,
        }


def _behind(pieces: list[str], characters: int) -> list[str]:
    """The pieces without so many characters at their beginning."""
    left = []
    for piece in pieces:
        left.append(piece[characters:])
        characters = max(0, characters - len(piece))
    return [piece for piece in left if piece]
