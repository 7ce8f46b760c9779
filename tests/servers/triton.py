"""A real Triton for tests: the embedded server over a model repository, in a thread with a loop of its own.

Tests run in loops that come and go; the server must not belong to any of them.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.triton.embedded import EmbeddedTriton, Ports

ROOT = Path(__file__).parents[2]
MODEL_REPOSITORY = ROOT / "model_repository"
TEST_MODELS = ROOT / "tests" / "servers" / "models"


@dataclass(frozen=True, slots=True)
class RunningTriton:
    """Where a server that is ready can be reached."""

    grpc_url: str
    http_url: str
    metrics_url: str


@contextmanager
def run_triton(repository: Path, *arguments: str, **options: Any) -> Iterator[RunningTriton]:
    """A server on free ports; leaving stops it. Raises what its start raised.

    `arguments` are the server's own, `options` those of EmbeddedTriton.
    """
    started: Future[RunningTriton] = Future()
    stop = threading.Event()

    async def serve() -> None:
        async with EmbeddedTriton(repository, ports=Ports(0, 0, 0), arguments=arguments, **options) as triton:
            started.set_result(RunningTriton(triton.grpc_url, triton.http_url, triton.metrics_url))
            await asyncio.to_thread(stop.wait)

    with ThreadPoolExecutor(1, thread_name_prefix="triton") as pool:
        # One that lives as long as the server: the kernel stops the server when its thread ends.
        server = pool.submit(asyncio.run, serve())
        wait({started, server}, return_when=FIRST_COMPLETED)
        if server.done():
            server.result()  # raises why it did not start
        try:
            yield started.result()
        finally:
            stop.set()
            server.result()
