"""Functions called through vLLM's own server, as LLM_BASE_URL takes one: a Qwen2 of random weights, a real vLLM.

What random weights write is noise. vLLM holds them to the form of a call where one is required.
"""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orchestrator.core.functions import Function, FunctionCall, Functions
from orchestrator.core.history import Message
from orchestrator.openai_llm import OpenAiLlm
from tests.engines_heavy.conftest import START_TIMEOUT_S, environment, tiny_weights

pytestmark = [pytest.mark.engines, pytest.mark.timeout(500)]
WEATHER = Function(
    "get_weather",
    "Tell the weather.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "maximum": 9}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
)
OFFERED = (WEATHER, Function("stop", "Stop."))
ASKED = [Message("user", "What is the weather in Oslo?")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server."""
    folder = environment("vllm")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log"
    options = {
        "model": str(tiny_weights("qwen2.py", folder)),
        "served-model-name": "tiny",
        "host": "127.0.0.1",
        "port": str(port),
        "dtype": "bfloat16",
        "max-model-len": "2048",
        "gpu-memory-utilization": "0.2",
        "tool-call-parser": "hermes",
        "tool-strict-level": "parameter",
    }
    command = [str(folder / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--enforce-eager", "--enable-auto-tool-choice"],
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _until_healthy(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(60)


def _until_healthy(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.URLError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"vLLM does not serve:\n{log.read_text()[-5_000:]}")
        else:
            return
        time.sleep(0.5)


@pytest.fixture
async def llm(url: str) -> AsyncIterator[OpenAiLlm]:
    model = OpenAiLlm(url, first_token_timeout_s=60.0)
    yield model
    await model.close()


async def called(llm: OpenAiLlm, functions: Functions, *messages: Message) -> list[FunctionCall]:
    """The calls of one answer, in which there is nothing else."""
    generation = llm.generate([*ASKED, *messages], max_tokens=1_000, temperature=0.8, functions=functions)
    calls = []
    async for got in generation:
        assert isinstance(got, FunctionCall), f"text: {got}"
        calls.append(got)
    assert generation.finish_reason in ("stop", "length")
    assert generation.output_tokens > 5
    return calls


async def test_the_one_function_that_has_to_be_called_is_called_with_arguments_of_its_kind(llm: OpenAiLlm) -> None:
    (call,) = await called(llm, Functions(OFFERED, "required", only="get_weather"))
    assert call.name == "get_weather"
    arguments = json.loads(call.arguments)
    assert set(arguments) == {"city", "days"}
    assert arguments["city"] in ("Oslo", "Rome")
    assert arguments["days"] <= 9


async def test_a_function_is_called_where_one_has_to_be_and_the_output_of_another_is_understood(llm: OpenAiLlm) -> None:
    first, *_ = await called(llm, Functions(OFFERED, "required"))
    assert first.name in ("get_weather", "stop")
    output = Message("tool", "It rains.", call_id=first.call_id)
    assert await called(llm, Functions(OFFERED, "required"), Message("assistant", "", (first,)), output)


async def test_where_the_model_is_free_it_may_say_something(llm: OpenAiLlm) -> None:
    generation = llm.generate(ASKED, max_tokens=20, temperature=0.8, functions=Functions(OFFERED))
    assert "".join([got async for got in generation if isinstance(got, str)])
