"""Servers for the page: a scripted one, and the whole product."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.browser.chromium import ARTIFACTS
from tests.clients.scripted_server import ScriptedServer, answer_typed
from tests.end_to_end.stack import Stack


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(answer_typed).running() as running:
        yield running


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    ARTIFACTS.mkdir(exist_ok=True)
    running = Stack(ARTIFACTS / "goassist-up-browser.log")
    yield running
    assert running.stop() == 0
