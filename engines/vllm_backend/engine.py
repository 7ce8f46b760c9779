"""vllm.AsyncLLM on an event loop of its own, beside the thread that Triton calls the model in."""

import asyncio
import contextlib
import itertools
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from engines.errors import EngineUnavailableError, InvalidInputError, ModelSetupError
from engines.vllm_backend import environment

T = TypeVar("T")
SHUTDOWN_S = 10.0


class Engine:
    """One vLLM engine with the processes it computes in. `generate` runs on its loop: see `submit`."""

    def __init__(self, arguments: Mapping[str, Any], statistics: Sequence[Any] = ()) -> None:
        """Load the model, which takes from half a minute to several. Raises ModelSetupError."""
        self._sockets = environment.prepare()
        self._guard = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("guard.py")), str(self._sockets)], stdin=subprocess.PIPE
        )
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        try:
            self._llm: Any = self.submit(_start(arguments, statistics)).result()
        except BaseException:
            self._release()
            raise

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine on the engine's loop; from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def generate(self, prompt: str, params: Any) -> AsyncGenerator[Any, None]:
        """Yield vllm.RequestOutputs; closing the generator aborts the request in the engine.

        Raises InvalidInputError where vLLM refuses the prompt, EngineUnavailableError where it is full or has died.
        """
        from vllm.exceptions import GracefulHTTPError, VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        outputs = self._llm.generate(prompt, params, f"goassist-{next(self._numbers)}")
        try:
            async with contextlib.aclosing(outputs):
                async for output in outputs:
                    yield output
        except VLLMClientError as error:
            raise InvalidInputError(str(error)) from error
        except (GracefulHTTPError, EngineDeadError) as error:
            raise EngineUnavailableError(f"vLLM cannot serve now: {error}") from error

    @property
    def dead(self) -> bool:
        """Whether the engine's processes have failed: it will not recover."""
        return bool(self._llm.errored)

    def close(self) -> None:
        """End the engine's processes."""
        self.submit(self._shut_down()).result(timeout=2 * SHUTDOWN_S)
        self._release()

    async def _shut_down(self) -> None:
        self._llm.shutdown(timeout=SHUTDOWN_S)

    def _release(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=SHUTDOWN_S)
        assert self._guard.stdin is not None
        self._guard.stdin.close()  # from here on the guard ends whatever is left
        self._guard.wait(timeout=2 * SHUTDOWN_S)
        shutil.rmtree(self._sockets, ignore_errors=True)


async def _start(arguments: Mapping[str, Any], statistics: Sequence[Any]) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    try:
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), stat_loggers=list(statistics))
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise ModelSetupError(f"vLLM cannot start with {json.dumps(dict(arguments))}: {error}") from error


def read_arguments(path: Path) -> dict[str, Any]:
    """Return the engine arguments of model.json; ModelSetupError where the file is missing or wrong."""
    try:
        arguments = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelSetupError(f"vLLM's engine arguments cannot be read from {path}: {error}") from error
    if not isinstance(arguments, dict) or "model" not in arguments:
        raise ModelSetupError(f"{path} must be a JSON object of vLLM's engine arguments, 'model' among them")
    return arguments
