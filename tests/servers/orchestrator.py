"""The real application on a free port, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.app import create_app
from orchestrator.realtime.services import Services
from orchestrator.server import HttpServer, http_config
from orchestrator.settings import load_settings


@dataclass(frozen=True, slots=True)
class RunningOrchestrator:
    """Where it answers, and its parts."""

    url: str
    services: Services


@asynccontextmanager
async def run_orchestrator(**settings: Any) -> AsyncIterator[RunningOrchestrator]:
    """Serve with these settings until the context is left; then every call and task has ended."""
    # The machine that tests run on may be busy with others: a late frame refuses a call only where a test wants it.
    app = create_app(load_settings(**{"max_frame_lateness_ms": 10_000, **settings}))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        async with app.router.lifespan_context(app):
            ready = asyncio.Event()
            server = HttpServer(http_config(app), ready.set)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                async with asyncio.timeout(10):
                    await ready.wait()
                yield RunningOrchestrator(f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.services)
            finally:
                await app.state.services.registry.drain(0)
                server.should_exit = True
                await serving
