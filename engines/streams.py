"""Independent response streams side by side: each request of a model is generated in a worker thread.

execute() returns at once, so that one long stream does not hold up the others.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from typing import Any

from engines import metrics
from engines.errors import CancelledError, EngineUnavailableError
from engines.serving import Chunk, Model, Request

CLOSE_TIMEOUT_S = 5.0


class Streams:
    """Runs `generate(request)`, a generator of chunks, for up to `workers` requests at a time.

    `waiting` more may queue; beyond that a request is answered UNAVAILABLE.
    """

    def __init__(
        self,
        model: Model,
        generate: Callable[[Request], Generator[Chunk, None, None]],
        *,
        workers: int,
        waiting: int = 256,
    ) -> None:
        self._model = model
        self._generate = generate
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=model.name)
        self._capacity = workers + waiting
        self._lock = threading.Lock()
        self._open: set[Future[None]] = set()
        self._closing = False

    def accept(self, requests: Iterable[Any]) -> None:
        """Takes what execute() was given."""
        for request in self._model.open(requests):
            if self._closing:
                request.fail(EngineUnavailableError(f"the model '{self._model.name}' is being unloaded"))
            elif len(self._open) >= self._capacity:
                request.fail(EngineUnavailableError(f"'{self._model.name}' has {len(self._open)} requests waiting"))
            else:
                future = self._pool.submit(self._run, request)
                with self._lock:
                    self._open.add(future)
                future.add_done_callback(partial(self._conclude, request))

    def close(self) -> None:
        """Stops every stream at its next chunk and waits for that, not longer than CLOSE_TIMEOUT_S."""
        self._closing = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            running = set(self._open)
        wait(running, timeout=CLOSE_TIMEOUT_S)

    def _run(self, request: Request) -> None:
        if request.cancelled:
            raise CancelledError(f"the request to '{self._model.name}' was cancelled")
        with closing(self._generate(request)) as chunks:
            while (chunk := _computed(chunks, request)) is not None:
                if self._closing:
                    raise EngineUnavailableError(f"the model '{self._model.name}' is being unloaded")
                request.send(chunk)

    def _conclude(self, request: Request, future: "Future[None]") -> None:
        if future.cancelled():
            request.fail(EngineUnavailableError(f"the model '{self._model.name}' is being unloaded"))
        elif error := future.exception():
            request.fail(error)
        else:
            request.finish()
        with self._lock:
            self._open.discard(future)


def _computed(chunks: Generator[Chunk, None, None], request: Request) -> Chunk | None:
    """The next chunk, None at the end; the time that it takes is the engine's, less what it waits for its turn."""
    began_at, waited_s = time.monotonic(), metrics.waited_s()
    try:
        return next(chunks, None)
    finally:
        request.engine_s += time.monotonic() - began_at - (metrics.waited_s() - waited_s)
