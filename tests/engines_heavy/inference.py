"""Requests to a decoupled model as any Triton client makes them."""

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

Response = dict[str, np.ndarray]


def tensor(name: str, value: Any) -> triton.InferInput:
    """An input [1] from a Python value: str is STRING, bool BOOL, float FP32."""
    types = {str: np.object_, bool: np.bool_, float: np.float32}
    array = np.array([value.encode() if isinstance(value, str) else value], types[type(value)])
    result = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    result.set_data_from_numpy(array)
    return result


@dataclass(frozen=True, slots=True)
class Call:
    """A request under way."""

    responses: AsyncIterator[Response]
    cancel: Any


@asynccontextmanager
async def call(url: str, model: str, inputs: Mapping[str, Any]) -> AsyncIterator[Call]:
    """Send one request; leaving closes the connection."""

    async def requests() -> AsyncIterator[dict[str, Any]]:
        yield {
            "model_name": model,
            "inputs": [tensor(name, value) for name, value in inputs.items()],
            "enable_empty_final_response": True,
        }

    async with triton.InferenceServerClient(url) as client:
        stream = client.stream_infer(requests())

        async def responses() -> AsyncIterator[Response]:
            async for result, error in stream:
                if error is not None:
                    raise error
                described = result.get_response()
                if described.outputs:
                    yield {output.name: result.as_numpy(output.name) for output in described.outputs}
                if described.parameters["triton_final_response"].bool_param:
                    return

        yield Call(responses(), stream.cancel)


async def answer(url: str, model: str, **inputs: Any) -> list[Response]:
    """All responses to one request."""
    async with call(url, model, inputs) as request:
        return [response async for response in request.responses]


async def refusal(url: str, model: str, **inputs: Any) -> str:
    """The error of a request that must not be served."""
    try:
        responses = await answer(url, model, **inputs)
    except InferenceServerException as error:
        return str(error)
    raise AssertionError(f"served instead of refused: {responses}")


def metric(metrics_url: str, name: str) -> float:
    """The sum of one metric over its labels, from the server's metrics page."""
    with urllib.request.urlopen(metrics_url, timeout=5) as page:
        text = page.read().decode()
    values = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    assert values, f"no metric {name} in:\n{text}"
    return sum(float(value) for value in values)


async def until(condition: Callable[[], bool], timeout_s: float) -> None:
    """Return once the condition holds; TimeoutError where it never does."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


async def settled(value: Callable[[], float]) -> float:
    """The value once it was read often in a second and stayed the same: models hand their metrics on with a delay."""
    latest, unchanged = value(), 0
    while unchanged < 20:
        await asyncio.sleep(0.05)
        now = value()
        latest, unchanged = now, unchanged + 1 if now == latest else 0
    return latest
