import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from orchestrator.errors import BackendRejectedError, BackendTimeoutError, BackendUnavailableError
from orchestrator.triton.client import TritonClient
from orchestrator.triton.embedded import EmbeddedTriton, Ports
from tests.servers.triton import TEST_MODELS, RunningTriton
from tests.triton.metrics import settled_metric, until_metric

CANCELLED = "goassist_streams_cancelled_total"


@pytest.fixture
async def client(triton: RunningTriton) -> AsyncIterator[TritonClient]:
    client = TritonClient(triton.grpc_url)
    yield client
    await client.close()


def inputs(text: bytes = b"hello", **options: Any) -> dict[str, Any]:
    """Inputs of the test model `streams`."""
    made: dict[str, Any] = {"text": np.array([text], np.object_)}
    types = {"count": np.int32, "interval_s": np.float32, "fault": np.object_}
    return made | {name: np.array([value], types[name]) for name, value in options.items()}


async def test_responses_come_in_order_and_then_the_stream_ends(client: TritonClient) -> None:
    answers = [answer async for answer in client.stream("streams", inputs(count=4), timeout_s=5)]
    assert [int(answer["number"][0]) for answer in answers] == [0, 1, 2, 3]
    assert {answer["text"][0] for answer in answers} == {b"hello"}
    assert answers[2]["audio"].dtype == np.int16
    assert answers[2]["audio"].tolist() == [2] * 1_600


async def test_a_proxy_for_the_outside_world_is_not_asked(
    triton: RunningTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    client = TritonClient(triton.grpc_url)
    assert await client.server_ready()
    await client.close()


async def test_responses_come_while_the_model_still_works(client: TritonClient) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with aclosing(client.stream("streams", inputs(count=3, interval_s=0.5), timeout_s=5)) as answers:
        await anext(answers)
        first_s = loop.time() - started
        async for _ in answers:
            pass
    assert first_s < 0.4 * (loop.time() - started)


async def test_streams_run_side_by_side(client: TritonClient) -> None:
    loop = asyncio.get_running_loop()

    async def one() -> int:
        return len([answer async for answer in client.stream("streams", inputs(count=5, interval_s=0.2), timeout_s=5)])

    started = loop.time()
    assert await asyncio.gather(*(one() for _ in range(6))) == [5] * 6
    assert loop.time() - started < 4.5 * 5 * 0.2


async def test_closing_a_stream_cancels_it_in_the_model(triton: RunningTriton, client: TritonClient) -> None:
    before = await settled_metric(triton.metrics_url, CANCELLED)
    async with aclosing(client.stream("streams", inputs(count=1_000, interval_s=0.05), timeout_s=5)) as answers:
        await anext(answers)
    assert await until_metric(triton.metrics_url, CANCELLED, before + 1) == before + 1


async def test_cancelling_the_task_of_a_stream_cancels_it_in_the_model(
    triton: RunningTriton, client: TritonClient
) -> None:
    before = await settled_metric(triton.metrics_url, CANCELLED)
    begun = asyncio.Event()

    async def consume() -> None:
        async with aclosing(client.stream("streams", inputs(count=1_000, interval_s=0.05), timeout_s=5)) as answers:
            async for _ in answers:
                begun.set()

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await until_metric(triton.metrics_url, CANCELLED, before + 1) == before + 1


async def test_input_that_the_model_refuses_is_a_rejection_with_the_models_words(client: TritonClient) -> None:
    with pytest.raises(BackendRejectedError, match="'streams' refused its input: text is empty"):
        await anext(client.stream("streams", inputs(b""), timeout_s=5))


async def test_a_stream_is_ended_also_where_its_caller_is_cancelled_again_meanwhile(client: TritonClient) -> None:
    begun = asyncio.Event()

    async def listen() -> None:
        async with aclosing(client.stream("streams", inputs(count=100_000), timeout_s=5)) as answers:
            await anext(answers)
            begun.set()
            await asyncio.Event().wait()  # so that more is unread than is received

    listening = asyncio.create_task(listen())
    await begun.wait()
    await asyncio.sleep(0.2)
    listening.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    receivers = {task for task in asyncio.all_tasks() if task.get_name() == "receive from streams"}
    assert receivers
    _, left = await asyncio.wait(receivers, timeout=5)
    assert not left


async def test_input_of_the_wrong_type_is_a_rejection(client: TritonClient) -> None:
    wrong = {"text": np.array([1], np.int32)}
    with pytest.raises(BackendRejectedError, match="data-type"):
        await anext(client.stream("streams", wrong, timeout_s=5))


async def test_a_missing_input_is_a_rejection(client: TritonClient) -> None:
    with pytest.raises(BackendRejectedError, match="needs the input 'text'"):
        await anext(client.stream("streams", {"count": np.array([1], np.int32)}, timeout_s=5))


async def test_an_unknown_model_is_a_rejection_that_names_it(client: TritonClient) -> None:
    with pytest.raises(BackendRejectedError, match="nonsense"):
        await anext(client.stream("nonsense", inputs(), timeout_s=5))


async def test_a_model_that_breaks_in_mid_stream_is_unavailable_after_what_it_sent(client: TritonClient) -> None:
    answers = client.stream("streams", inputs(fault=b"after one"), timeout_s=5)
    assert int((await anext(answers))["number"][0]) == 0
    with pytest.raises(BackendUnavailableError, match="the engine broke"):
        await anext(answers)


async def test_the_stream_after_a_failed_one_works(client: TritonClient) -> None:
    with pytest.raises(BackendUnavailableError):
        async for _ in client.stream("streams", inputs(fault=b"after one"), timeout_s=5):
            pass
    assert len([answer async for answer in client.stream("streams", inputs(), timeout_s=5)]) == 3


async def test_a_first_response_that_takes_too_long_is_a_time_out(client: TritonClient) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(BackendTimeoutError, match=r"did not answer within 0.2 s"):
            await anext(client.stream("streams", inputs(fault=b"slow"), timeout_s=0.2))


async def test_a_server_that_is_not_there_is_not_ready_and_unavailable() -> None:
    client = TritonClient("127.0.0.1:1")
    assert not await client.server_ready()
    assert not await client.model_ready("streams")
    with pytest.raises(BackendUnavailableError) as caught:
        await anext(client.stream("streams", inputs(), timeout_s=5))
    assert isinstance(caught.value.__cause__, grpc.aio.AioRpcError)
    await client.close()


async def test_a_server_killed_in_mid_stream_is_unavailable_and_serves_again_after_its_restart(tmp_path: Path) -> None:
    shutil.copytree(TEST_MODELS / "streams", tmp_path / "streams")
    async with EmbeddedTriton(tmp_path, ports=Ports(0, 0, 0)) as triton:
        client = TritonClient(triton.grpc_url)
        answers = client.stream("streams", inputs(count=1_000, interval_s=0.05), timeout_s=5)
        await anext(answers)
        assert triton.pid is not None
        os.kill(triton.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            with pytest.raises(BackendUnavailableError):
                async for _ in answers:
                    pass
        async with asyncio.timeout(30):
            while not await client.model_ready("streams"):
                await asyncio.sleep(0.05)
        assert len([answer async for answer in client.stream("streams", inputs(), timeout_s=5)]) == 3
        await client.close()
