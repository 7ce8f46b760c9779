"""Answers from Triton's `llm` model, which has the tensors of Triton's vLLM backend."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.core.context import PROMPT_TOKENS
from orchestrator.core.history import Message
from orchestrator.triton.client import TritonClient
from orchestrator.triton.prompt import ChatTemplate

FIRST_TOKEN_TIMEOUT_S = 15.0
# vLLM writes 16 tokens unless it is told otherwise.
DEFAULT_MAX_TOKENS = 1024

Tensors = Mapping[str, NDArray[np.generic]]


class TritonGeneration:
    """One answer being written: iterates over text deltas; closing it aborts the model.

    `input_tokens` is known from the first delta on; `output_tokens` counts those received so far. `finish_reason` is
    None until the model says 'stop' (complete) or 'length' (max_tokens reached).
    """

    def __init__(self, responses: AsyncGenerator[Tensors, None]) -> None:
        self.input_tokens = 0
        self.output_tokens = 0
        self.finish_reason: str | None = None
        self._responses = responses

    def __aiter__(self) -> "TritonGeneration":
        return self

    async def __anext__(self) -> str:
        while True:
            response = await anext(self._responses)  # its StopAsyncIteration is ours
            self._count(response)
            text = response["text_output"][0].decode() if response["text_output"].size else ""
            if text:
                return str(text)

    async def aclose(self) -> None:
        """Abort what is still being written."""
        await self._responses.aclose()

    def _count(self, response: Tensors) -> None:
        if "num_input_tokens" in response:
            self.input_tokens = int(response["num_input_tokens"].reshape(-1)[0])
        if "num_output_tokens" in response:
            self.output_tokens += int(response["num_output_tokens"].sum())
        if "finish_reason" in response:
            reason = response["finish_reason"][0].decode()
            self.finish_reason = None if reason == "None" else reason  # str(None), as the vLLM backend has it


class TritonLlm:
    """Writes answers to chats, in prompts of `PROMPT_TOKENS` at most. `template` is the model's own."""

    def __init__(
        self,
        client: TritonClient,
        template: ChatTemplate,
        *,
        model: str = "llm",
        first_token_timeout_s: float = FIRST_TOKEN_TIMEOUT_S,
    ) -> None:
        self._client = client
        self._template = template
        self._model = model
        self._timeout_s = first_token_timeout_s

    def generate(self, messages: Sequence[Message], *, max_tokens: int | None, temperature: float) -> TritonGeneration:
        """Answer the chat; `max_tokens` None is DEFAULT_MAX_TOKENS.

        While iterating raises BackendRejectedError for parameters out of range, BackendUnavailableError when Triton is
        lost, BackendTimeoutError when the first token takes too long. InvalidRequestError at once for messages that the
        model's template refuses, and for a last one that is too long.
        """
        sampling = {"max_tokens": max_tokens or DEFAULT_MAX_TOKENS, "temperature": temperature}
        inputs = {
            "text_input": _text(self._template.render(messages, max_tokens=PROMPT_TOKENS)),
            "stream": _true(),
            "exclude_input_in_output": _true(),
            "sampling_parameters": _text(json.dumps(sampling)),
            "return_finish_reason": _true(),
            "return_num_input_tokens": _true(),
            "return_num_output_tokens": _true(),
        }
        return TritonGeneration(self._client.stream(self._model, inputs, timeout_s=self._timeout_s))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """How many tokens these messages have in a prompt: exactly where the template has its model's tokenizer."""
        return self._template.count_messages(messages)


def _text(value: str) -> NDArray[np.generic]:
    return np.array([value.encode()], dtype=np.object_)


def _true() -> NDArray[np.generic]:
    return np.array([True])
