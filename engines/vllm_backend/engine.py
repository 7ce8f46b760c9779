"""vllm.AsyncLLM on an event loop of its own, beside the thread that Triton calls the model in."""

import asyncio
import contextlib
import itertools
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from engines.errors import EngineUnavailableError, InvalidInputError, ModelSetupError
from engines.vllm_backend import environment

LOGGER = logging.getLogger(__name__)
T = TypeVar("T")
CHECK_S = 0.5
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 60.0
SHUTDOWN_S = 0.5
"""What the engine's processes get to stop by themselves: idle ones do not need long, and Triton waits 5 s in all."""


class Engine:
    """One vLLM engine with the processes it computes in. `generate` runs on its loop: see `submit`."""

    def __init__(self, arguments: Mapping[str, Any], statistics: Sequence[Any] = ()) -> None:
        """Load the model, which takes from half a minute to several. Raises ModelSetupError."""
        self._sockets = environment.prepare()
        self._guard = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("guard.py")), str(self._sockets)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        self._llm: Any = _start(arguments, statistics)
        self._keeping = self.submit(self._keep(arguments, statistics))

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine on the engine's loop; from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def generate(self, prompt: str, params: Any) -> AsyncGenerator[Any, None]:
        """Yield vllm.RequestOutputs; closing the generator aborts the request in the engine.

        Raises InvalidInputError where vLLM refuses the prompt, EngineUnavailableError where it is full, has died, or
        gives the answer up by itself, as it does on its way down.
        """
        from vllm.exceptions import GracefulHTTPError, VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        if self._llm is None or self._llm.errored:
            raise EngineUnavailableError("vLLM has failed and is being started again")
        outputs = self._llm.generate(prompt, params, f"goassist-{next(self._numbers)}")
        try:
            async with contextlib.aclosing(outputs):
                async for output in outputs:
                    if any(one.finish_reason == "abort" for one in output.outputs):
                        raise EngineUnavailableError("vLLM cannot serve now: it has given the answer up")
                    yield output
        except VLLMClientError as error:
            raise InvalidInputError(str(error)) from error
        except (GracefulHTTPError, EngineDeadError) as error:
            raise EngineUnavailableError(f"vLLM cannot serve now: {error}") from error

    def close(self) -> None:
        """End the engine's processes."""
        self.submit(self._shut_down()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        assert self._guard.stdin is not None
        self._guard.stdin.close()  # the guard removes what is left, in its own time

    async def _shut_down(self) -> None:
        self._keeping.cancel()
        if self._llm is not None:
            self._llm.shutdown(timeout=SHUTDOWN_S)

    async def _keep(self, arguments: Mapping[str, Any], statistics: Sequence[Any]) -> None:
        """Start the engine again whenever it has died: Triton has no way to load a model of its own accord."""
        pause_s = FIRST_PAUSE_S
        while True:
            await asyncio.sleep(CHECK_S)
            if self._llm is not None and not self._llm.errored:
                pause_s = FIRST_PAUSE_S
                continue
            try:
                if self._llm is not None:
                    LOGGER.error("vLLM's engine has died and is started again")
                    failed, self._llm = self._llm, None
                    await asyncio.to_thread(failed.shutdown, SHUTDOWN_S)
                self._llm = await asyncio.to_thread(_start, arguments, statistics)
            except Exception as error:  # whatever it is: nobody else would start the engine again
                LOGGER.error("vLLM's engine has not been started; next try in %.0f s", pause_s, exc_info=error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)


def _start(arguments: Mapping[str, Any], statistics: Sequence[Any]) -> Any:
    """Load the model; the vllm.AsyncLLM joins the event loop of its first request."""
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
    model = str(arguments["model"])
    if model.startswith(("models/", "/", ".")) and not Path(model).is_dir():
        raise ModelSetupError(
            f"the language model's weights are not in '{model}': run `goassist models pull {Path(model).name}`, or set "
            f"'model' in {path.name}, the engine arguments of the llm model"
        )
    return arguments
