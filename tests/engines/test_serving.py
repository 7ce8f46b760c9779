"""engines/serving.py and engines/streams.py as a client of Triton sees them, through the test model `streams`."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from engines.calls import CANCEL_PARAMETER
from orchestrator.errors import BackendRejectedError, BackendUnavailableError, ConfigurationError
from orchestrator.triton import tensors
from orchestrator.triton.client import TritonClient
from tests.servers.triton import TEST_MODELS, RunningTriton, run_triton
from tests.triton.metrics import metric, settled_metric, until_metric


@pytest.fixture
async def client(triton: RunningTriton) -> AsyncIterator[TritonClient]:
    client = TritonClient(triton.grpc_url)
    yield client
    await client.close()


def inputs(text: bytes = b"hello", **options: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"text": np.array([text], np.object_)}
    types = {"count": np.int32, "interval_s": np.float32, "fault": np.object_}
    return made | {name: np.array([value], types[name]) for name, value in options.items()}


async def responses(client: TritonClient, **request: Any) -> list[service_pb2.ModelInferResponse]:
    """All responses to one request, final flag included, read until the server ends the stream."""
    stream = client.open("streams")
    stream.write(tensors.request("streams", inputs(**request)))
    stream.end()
    answers = []
    async with asyncio.timeout(10):
        while (response := await stream.read(5)) is not None:
            answers.append(response)
    return answers


async def test_every_stream_ends_with_exactly_one_final_flag(client: TritonClient) -> None:
    answers = await responses(client, count=3)
    assert [tensors.is_final(answer) for answer in answers] == [False, False, False, True]
    assert not answers[-1].outputs


async def test_a_stream_without_chunks_still_ends(client: TritonClient) -> None:
    (only,) = await responses(client, count=0)
    assert tensors.is_final(only)
    assert not only.outputs


async def test_outputs_have_the_types_of_the_configuration(client: TritonClient) -> None:
    first, *_ = await responses(client, text="née ☕".encode())
    assert {output.name: (output.datatype, list(output.shape)) for output in first.outputs} == {
        "text": ("BYTES", [1]),
        "number": ("INT32", [1]),
        "audio": ("INT16", [1_600]),
    }
    assert tensors.outputs(first)["text"][0].decode() == "née ☕"


async def test_text_that_is_not_utf_8_is_refused(client: TritonClient) -> None:
    with pytest.raises(BackendRejectedError, match="input 'text' is not valid UTF-8"):
        await responses(client, text=b"\xff\xfe")


async def test_an_engine_that_breaks_is_reported_with_its_error(client: TritonClient) -> None:
    with pytest.raises(BackendUnavailableError, match="INTERNAL: RuntimeError: the engine broke"):
        await responses(client, fault=b"after one")


async def test_requests_run_side_by_side_up_to_the_number_of_workers(client: TritonClient) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await asyncio.gather(*(responses(client, count=2, interval_s=0.4) for _ in range(8)))
    assert 0.8 <= loop.time() - started < 4


async def test_more_requests_than_workers_and_places_are_answered_with_unavailable(client: TritonClient) -> None:
    answers = await asyncio.gather(
        *(responses(client, count=2, interval_s=0.3) for _ in range(8 + 16 + 4)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, BackendUnavailableError)]
    assert 1 <= len(refused) <= 4
    assert all("requests waiting" in str(answer) for answer in refused)
    assert sum(isinstance(answer, list) for answer in answers) == len(answers) - len(refused)


async def test_a_request_stays_cancellable_when_another_of_its_id_ends(client: TritonClient) -> None:
    stream = client.open("streams")
    for count in (1, 1_000):
        request = inputs(count=count, interval_s=0.05)
        stream.write(tensors.request("streams", request, request_id="used twice"))
    async with asyncio.timeout(10):
        while (response := await stream.read(5)) is not None and not tensors.is_final(response):
            pass
        stream.write(tensors.request("streams", inputs(), parameters={CANCEL_PARAMETER: "used twice"}))
        stream.end()
        while await stream.read(5) is not None:
            pass


async def test_what_a_model_does_is_counted(triton: RunningTriton, client: TritonClient) -> None:
    url, prefix = triton.metrics_url, "goassist_streams_"
    names = ("failed_total", "audio_output_seconds_total", "first_chunk_seconds_count", "cancelled_total")
    failed, audio_s, first_chunks, cancelled = (metric(url, prefix + name) for name in names)
    await responses(client, count=5)
    with pytest.raises(BackendRejectedError):
        await responses(client, text=b"")
    async with aclosing(client.stream("streams", inputs(count=1_000, interval_s=0.05), timeout_s=5)) as answers:
        await anext(answers)
    assert await until_metric(url, prefix + "cancelled_total", cancelled + 1) >= cancelled + 1
    assert await until_metric(url, prefix + "failed_total", failed + 1) >= failed + 1
    assert await until_metric(url, prefix + "audio_output_seconds_total", audio_s + 0.6) >= audio_s + 0.6 - 1e-6
    assert await until_metric(url, prefix + "first_chunk_seconds_count", first_chunks + 2) >= first_chunks + 2
    assert metric(url, prefix + "real_time_factor") > 0


async def test_a_short_request_does_not_stand_for_the_minute_of_sound_before_it(
    triton: RunningTriton, client: TritonClient
) -> None:
    url, prefix = triton.metrics_url, "goassist_streams_"
    audio_s, engine_s = (metric(url, prefix + name) for name in ("audio_output_seconds_total", "engine_seconds_total"))
    await responses(client, count=2_000)  # 200 s of sound in no time
    await responses(client, count=1, interval_s=0.5)  # by itself five times slower than speech
    assert await until_metric(url, prefix + "audio_output_seconds_total", audio_s + 200.05) >= audio_s + 200.05
    assert await until_metric(url, prefix + "engine_seconds_total", engine_s + 0.5) >= engine_s + 0.5
    assert 0 < metric(url, prefix + "real_time_factor") < 1


async def test_what_was_computed_before_an_engine_broke_is_counted(triton: RunningTriton, client: TritonClient) -> None:
    url, name = triton.metrics_url, "goassist_streams_engine_seconds_total"
    before_s = await settled_metric(url, name)
    with pytest.raises(BackendUnavailableError):
        await responses(client, fault=b"after one", interval_s=0.4)
    assert await until_metric(url, name, before_s + 0.4) >= before_s + 0.4


async def test_a_wrong_parameter_fails_the_load_by_name(tmp_path: Path) -> None:
    shutil.copytree(TEST_MODELS / "streams", tmp_path / "streams")
    config = tmp_path / "streams" / "config.pbtxt"
    config.write_text(config.read_text().replace('"8"', '"many"'))
    with (
        pytest.raises(ConfigurationError, match="parameter 'workers' of 'streams' must be a whole number: 'many'"),
        run_triton(tmp_path),
    ):
        pass


async def test_unloading_the_model_ends_its_streams_within_seconds(tmp_path: Path) -> None:
    shutil.copytree(TEST_MODELS / "streams", tmp_path / "streams")
    loop = asyncio.get_running_loop()
    with run_triton(tmp_path) as triton:
        client = TritonClient(triton.grpc_url)
        answers = client.stream("streams", inputs(count=10_000, interval_s=0.05), timeout_s=5)
        await anext(answers)
        stopped_at = loop.time()
    assert loop.time() - stopped_at < 15
    with pytest.raises(BackendUnavailableError):
        async for _ in answers:
            pass
    await client.close()
