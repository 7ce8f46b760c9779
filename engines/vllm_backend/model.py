"""The model: Triton's vLLM backend's tensors ⇄ vLLM.

In: text_input STRING [1]; optional stream BOOL, sampling_parameters STRING (JSON), exclude_input_in_output BOOL and
return_finish_reason, return_num_input_tokens, return_num_output_tokens BOOL, all [1]. Out: text_output STRING [n] (one
element for each of n sequences; what is new since the last response where `stream` is true), and what was asked for of
finish_reason STRING [n] ("None" before the end), num_input_tokens UINT32 [1], num_output_tokens UINT32 [n] (of this
response). No chat template is applied: the caller renders it.

Parameters of config.pbtxt: `engine_arguments` (file beside this version's others, default model.json), `senders`
(threads that send responses, default 4), REPORT_CUSTOM_METRICS (vllm:* metrics, default false).
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from engines.errors import CancelledError, EngineUnavailableError, InvalidInputError
from engines.serving import Chunk, Model, Request
from engines.vllm_backend.engine import Engine, read_arguments

LOOK_UP_S = 0.05
"""How often a request that waits for its first token looks whether its caller is still there."""
CLOSE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request's inputs, checked."""

    text: str
    stream: bool
    echo: bool
    """Whether the prompt goes before the output; only without `stream`."""
    params: Any
    """vllm.SamplingParams"""
    finish_reason: bool
    input_tokens: bool
    output_tokens: bool


class TritonPythonModel:
    """What Triton's Python backend drives."""

    def initialize(self, args: dict[str, str]) -> None:
        """Start the engine."""
        model = Model(args)
        arguments = read_arguments(model.folder / model.parameters.text("engine_arguments", "model.json"))
        statistics: list[Any] = []
        if model.parameters.flag("REPORT_CUSTOM_METRICS", False):
            from engines.vllm_backend.metrics import EngineStatistics

            statistics = [EngineStatistics(model, args["model_version"])]
        self._model = model
        self._input_tokens = model.metrics.counter("input_tokens_total", "Tokens of prompts")
        self._output_tokens = model.metrics.counter("output_tokens_total", "Tokens generated")
        self._senders = ThreadPoolExecutor(model.parameters.integer("senders", 4), thread_name_prefix="llm-sender")
        self._lock = threading.Lock()
        self._open: set[Future[None]] = set()
        self._engine = Engine(arguments, statistics)

    def execute(self, requests: Iterable[Any]) -> None:
        """Take requests and return at once; the engine batches them itself."""
        for request in self._model.open(requests):
            answer = self._engine.submit(self._answer(request))
            with self._lock:
                self._open.add(answer)
            answer.add_done_callback(partial(self._conclude, request))

    def finalize(self) -> None:
        """Abort what runs and end the engine."""
        with self._lock:
            running = set(self._open)
        for answer in running:
            answer.cancel()
        wait(running, timeout=CLOSE_TIMEOUT_S)
        self._engine.close()
        self._senders.shutdown()

    async def _answer(self, request: Request) -> None:
        loop = asyncio.get_running_loop()
        async with contextlib.aclosing(self._chunks(request, read_prompt(request))) as chunks:
            async for chunk in chunks:
                # Not on the engine's loop, which has all streams to serve. While this waits, vLLM joins deltas.
                await loop.run_in_executor(self._senders, request.send, chunk)

    async def _chunks(self, request: Request, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        first = True
        async with contextlib.aclosing(self._outputs(request, prompt)) as outputs:
            async for output in outputs:
                if first:
                    self._input_tokens.increment(len(output.prompt_token_ids))
                first = False
                self._output_tokens.increment(sum(len(one.token_ids) for one in output.outputs))
                yield response(prompt, output)

    async def _outputs(self, request: Request, prompt: Prompt) -> AsyncGenerator[Any, None]:
        """Yield vLLM's outputs; CancelledError as soon as the caller is found to have gone."""
        loop = asyncio.get_running_loop()
        async with contextlib.aclosing(self._engine.generate(prompt.text, prompt.params)) as outputs:
            while True:
                following = asyncio.ensure_future(anext(outputs, None))
                try:
                    while not (await asyncio.wait({following}, timeout=LOOK_UP_S))[0]:
                        if await loop.run_in_executor(self._senders, lambda: request.cancelled):
                            raise CancelledError(f"the request to '{self._model.name}' was cancelled")
                finally:
                    following.cancel()  # does nothing where it is done
                    await asyncio.wait({following})
                output = following.result()
                if output is None:
                    return
                yield output

    def _conclude(self, request: Request, answer: "Future[None]") -> None:
        if answer.cancelled():
            request.fail(EngineUnavailableError(f"the model '{self._model.name}' is being unloaded"))
        elif error := answer.exception():
            request.fail(error)
        else:
            request.finish()
        with self._lock:
            self._open.discard(answer)


def read_prompt(request: Request) -> Prompt:
    """Read a request's inputs; InvalidInputError says what is wrong with them."""
    from engines.vllm_backend import sampling

    stream = request.flag("stream", False)
    echo = not request.flag("exclude_input_in_output", stream)
    if stream and echo:
        raise InvalidInputError("exclude_input_in_output cannot be false where stream is true")
    if request.has("sampling_parameters"):
        fields = sampling.parsed(request.text("sampling_parameters"))
    else:  # Triton's generate endpoint puts them among the request's own parameters
        fields = {name: request.parameter(name) for name in sampling.FIELDS}
    return Prompt(
        text=request.text("text_input"),
        stream=stream,
        echo=echo,
        params=sampling.sampling(fields, stream=stream),
        finish_reason=request.flag("return_finish_reason", False),
        input_tokens=request.flag("return_num_input_tokens", False),
        output_tokens=request.flag("return_num_output_tokens", False),
    )


def response(prompt: Prompt, output: Any) -> Chunk:
    """Make the tensors of one vllm.RequestOutput, in which sequences without anything new may be missing."""
    count = prompt.params.n
    texts, reasons, tokens = [""] * count, ["None"] * count, [0] * count
    for one in output.outputs:
        texts[one.index] = prompt.text + one.text if prompt.echo else one.text
        reasons[one.index] = str(one.finish_reason)
        tokens[one.index] = len(one.token_ids)
    chunk: dict[str, Any] = {"text_output": _strings(texts)}
    if prompt.finish_reason:
        chunk["finish_reason"] = _strings(reasons)
    if prompt.input_tokens:
        chunk["num_input_tokens"] = np.array([len(output.prompt_token_ids)], np.uint32)
    if prompt.output_tokens:
        chunk["num_output_tokens"] = np.array(tokens, np.uint32)
    return chunk


def _strings(texts: list[str]) -> Any:
    return np.array([text.encode() for text in texts], np.object_)
