"""Answers from Triton's `llm` model, which has the tensors of Triton's vLLM backend."""

import json
import logging
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.core.call_reader import CallReader, beginning
from orchestrator.core.context import PROMPT_TOKENS
from orchestrator.core.functions import NO_FUNCTIONS, FunctionCall, Functions
from orchestrator.core.history import Message
from orchestrator.errors import BackendRejectedError
from orchestrator.triton.client import TritonClient
from orchestrator.triton.prompt import ChatTemplate

FIRST_TOKEN_TIMEOUT_S = 15.0
# vLLM writes 16 tokens unless it is told otherwise.
DEFAULT_MAX_TOKENS = 1024

LOGGER = logging.getLogger(__name__)

Tensors = Mapping[str, NDArray[np.generic]]


class TritonGeneration:
    """One answer being written: iterates over text deltas and the calls of `functions`; closing it aborts the model.

    `writes_calls`: the model knows how, and may do so where it is offered nothing; then that is left out.
    `input_tokens` is known from the first delta on; `output_tokens` counts those received so far. `finish_reason` is
    None until the model says 'stop' (complete) or 'length' (max_tokens reached).
    """

    def __init__(
        self,
        responses: AsyncGenerator[Tensors, None],
        functions: Functions = NO_FUNCTIONS,
        *,
        writes_calls: bool = False,
    ) -> None:
        self.input_tokens = 0
        self.output_tokens = 0
        self.finish_reason: str | None = None
        self._responses = responses
        self._callable = frozenset({functions.only}) if functions.only is not None else functions.names
        self._may_call = bool(functions)
        self._reader = CallReader(_call_id) if writes_calls or functions else None
        self._read: deque[str | FunctionCall] = deque()
        if self._reader is not None:
            self._read.extend(self._reader.push(beginning(functions)))

    def __aiter__(self) -> "TritonGeneration":
        return self

    async def __anext__(self) -> str | FunctionCall:
        while True:
            while not self._read:
                response = await anext(self._responses, None)
                self._read.extend(self._newly_read(response))
                if response is None and not self._read:
                    raise StopAsyncIteration
            read = self._read.popleft()
            if not isinstance(read, FunctionCall) or (self._may_call and read.name in self._callable):
                return read
            if self._may_call:
                raise BackendRejectedError(
                    f"the language model called a function that it was not offered: {read.name!r}"
                )
            # It does as it did earlier in the conversation; nobody is to hear that.
            LOGGER.info("the language model called a function though it was offered none")

    async def aclose(self) -> None:
        """Abort what is still being written."""
        await self._responses.aclose()

    def _newly_read(self, response: Tensors | None) -> list[str | FunctionCall]:
        """What there is to be read once this response is here, or the last one has been."""
        text = ""
        if response is not None:
            self._count(response)
            text = str(response["text_output"][0].decode()) if response["text_output"].size else ""
        if self._reader is None:
            return [text] if text else []
        try:
            if response is None:
                return self._reader.finish(cut_short=self.finish_reason == "length")
            return self._reader.push(text)
        except ValueError as error:
            if not self._may_call:
                LOGGER.info("the language model called a function though it was offered none")
                return []
            raise BackendRejectedError(
                f"the language model called a function in a way that cannot be read: {error}"
            ) from error

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

    @property
    def calls_functions(self) -> bool:
        """Whether the model's template is one that offers functions, and has them called in a way that is read here."""
        return self._template.calls_functions

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None,
        temperature: float,
        functions: Functions = NO_FUNCTIONS,
    ) -> TritonGeneration:
        """Answer the chat; `max_tokens` None is DEFAULT_MAX_TOKENS. Only where it `calls_functions` offer any.

        While iterating raises BackendRejectedError for parameters out of range and for calls that cannot be read or are
        of no function that was offered, BackendUnavailableError when Triton is lost, BackendTimeoutError when the first
        token takes too long. InvalidRequestError at once for messages that the model's template refuses, and for a last
        one that is too long.
        """
        prompt = self._template.render(messages, max_tokens=PROMPT_TOKENS, functions=functions)
        sampling = {"max_tokens": max_tokens or DEFAULT_MAX_TOKENS, "temperature": temperature}
        if functions:
            prompt += beginning(functions)
            if self._template.marks_are_special:
                sampling["skip_special_tokens"] = False
        inputs = {
            "text_input": _text(prompt),
            "stream": _true(),
            "exclude_input_in_output": _true(),
            "sampling_parameters": _text(json.dumps(sampling)),
            "return_finish_reason": _true(),
            "return_num_input_tokens": _true(),
            "return_num_output_tokens": _true(),
        }
        responses = self._client.stream(self._model, inputs, timeout_s=self._timeout_s)
        return TritonGeneration(responses, functions, writes_calls=self.calls_functions)

    def count_tokens(self, messages: Sequence[Message], functions: Functions = NO_FUNCTIONS) -> int:
        """How many tokens these have in a prompt: exactly but for some marks where the template has its tokenizer."""
        return self._template.count_messages(messages) + self._template.count_functions(functions)


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex[:20]}"


def _text(value: str) -> NDArray[np.generic]:
    return np.array([value.encode()], dtype=np.object_)


def _true() -> NDArray[np.generic]:
    return np.array([True])
