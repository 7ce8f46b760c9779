"""The running application, with models and without."""

from collections.abc import AsyncIterator

import pytest

from tests.servers.orchestrator import RunningOrchestrator, run_orchestrator
from tests.servers.triton import RunningTriton

# Nothing listens there.
NO_TRITON = "127.0.0.1:1"


@pytest.fixture
async def alone() -> AsyncIterator[RunningOrchestrator]:
    """An orchestrator whose Triton cannot be reached."""
    async with run_orchestrator(triton_url=NO_TRITON, allowed_origins=("https://friend.example",)) as running:
        yield running


@pytest.fixture
async def ready(triton: RunningTriton) -> AsyncIterator[RunningOrchestrator]:
    """An orchestrator with a real Triton and all models."""
    async with run_orchestrator(triton_url=triton.grpc_url, max_concurrent_sessions=2) as running:
        yield running
