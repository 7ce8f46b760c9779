"""A running orchestrator with every model, and OpenAI's own client pointed at it."""

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI

from tests.servers.orchestrator import RunningOrchestrator, run_orchestrator
from tests.servers.triton import RunningTriton


@pytest.fixture
async def running(triton: RunningTriton) -> AsyncIterator[RunningOrchestrator]:
    async with run_orchestrator(triton_url=triton.grpc_url) as orchestrator:
        yield orchestrator


@pytest.fixture
async def openai_client(running: RunningOrchestrator) -> AsyncIterator[AsyncOpenAI]:
    address = running.url.removeprefix("http://")
    async with AsyncOpenAI(
        base_url=f"http://{address}/v1", websocket_base_url=f"ws://{address}/v1", api_key="none", max_retries=0
    ) as client:
        yield client
