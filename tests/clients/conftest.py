"""A scripted server for the clients' own tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.clients.scripted_server import ScriptedServer, answer_typed


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(answer_typed).running() as running:
        yield running
