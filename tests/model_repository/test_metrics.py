"""Triton's /metrics page: what every model of the embedded profile counts there. tests/engines_heavy has the others."""

import asyncio
import time

import numpy as np
import pytest

from orchestrator.errors import BackendRejectedError
from orchestrator.triton import tensors
from orchestrator.triton.client import TritonClient
from tests.servers.triton import MODEL_REPOSITORY, RunningTriton
from tests.triton.metrics import settled_metric, until_metric
from tests.triton.test_speech_to_speech import ask, recording

MODELS = sorted(path.name for path in MODEL_REPOSITORY.iterdir() if path.is_dir())
HEARS, SPEAKS = ("asr", "speech_to_speech", "turn"), ("speech_to_speech", "tts")
BAD_INPUTS = {
    "asr": {"audio": np.zeros((1, 0), np.int16)},
    "llm": {"text_input": np.array([b""], np.object_)},
    "speech_to_speech": {"audio": np.zeros(0, np.int16)},
    "tts": {"text": np.array([b""], np.object_)},
    "turn": {"audio": np.zeros((1, 0), np.int16)},
}


async def served(triton: RunningTriton, model: str, inputs: dict[str, np.ndarray]) -> list[object]:
    client = TritonClient(triton.grpc_url)
    try:
        return [response async for response in client.stream(model, inputs, timeout_s=20)]
    finally:
        await client.close()


@pytest.fixture(scope="module")
def used(triton: RunningTriton) -> RunningTriton:
    """A server of which every model has answered a request."""
    ask(triton, recording("what_is_your_name"))
    asyncio.run(served(triton, "turn", {"audio": recording("what_is_your_name")[np.newaxis]}))
    return triton


@pytest.mark.parametrize("model", MODELS)
async def test_every_model_counts_first_chunks_computing_and_sound(used: RunningTriton, model: str) -> None:
    names = ["first_chunk_seconds_count", "first_chunk_seconds_sum", "engine_seconds_total"]
    names += ["audio_input_seconds_total"] if model in HEARS else []
    names += ["audio_output_seconds_total"] if model in SPEAKS else []
    names += ["real_time_factor"] if model in HEARS + SPEAKS else []
    for name in names:
        assert await until_metric(used.metrics_url, f"goassist_{model}_{name}", 1e-9) > 0, name


@pytest.mark.parametrize("model", MODELS)
async def test_every_model_counts_what_it_refused(used: RunningTriton, model: str) -> None:
    name = f"goassist_{model}_failed_total"
    before = await settled_metric(used.metrics_url, name)
    inputs = BAD_INPUTS[model]
    if model == "asr":
        await refused_sequence(used, inputs)
    else:
        with pytest.raises(BackendRejectedError):
            await served(used, model, inputs)
    assert await until_metric(used.metrics_url, name, before + 1) == before + 1


async def test_requests_that_wait_for_one_voice_do_not_count_as_computing(used: RunningTriton) -> None:
    name = "goassist_tts_engine_seconds_total"
    text = "The quick brown fox jumps over the lazy dog, and then he sleeps. " * 3
    inputs = {"text": np.array([text.encode()], np.object_), "voice": np.array([b"slt"], np.object_)}
    before_s = await settled_metric(used.metrics_url, name)
    began_s = time.monotonic()
    await asyncio.gather(*(served(used, "tts", inputs) for _ in range(8)))
    took_s = time.monotonic() - began_s
    # A voice says one sentence at a time, so that all eight together cannot compute for longer than they took.
    assert 0 < await settled_metric(used.metrics_url, name) - before_s < 1.5 * took_s


async def refused_sequence(triton: RunningTriton, inputs: dict[str, np.ndarray]) -> None:
    """One request of asr, which takes sequences alone, that it refuses."""
    client = TritonClient(triton.grpc_url)
    stream = client.open("asr")
    control = {"sequence_id": 7_007, "sequence_start": True, "sequence_end": True}
    stream.write(tensors.request("asr", inputs, parameters=control))
    stream.end()
    with pytest.raises(BackendRejectedError):
        await stream.read(20)
    await client.close()
