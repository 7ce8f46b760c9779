"""Triton as a supervised child process: started, watched, restarted, and stopped with everything it owns."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.errors import ConfigurationError
from orchestrator.triton.client import TritonClient
from orchestrator.triton.installation import Installation, Workspace, check_python, find_installation, open_workspace
from orchestrator.triton.process import ServerProcess

LOGGER = logging.getLogger(__name__)
HOST = "127.0.0.1"
POLL_INTERVAL_S = 0.1
MODELS_CHECK_S = 1.0
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.5, 30.0
STEADY_AFTER_S = 60.0  # a server that was ready for so long begins again with the shortest back-off


class TritonState(Enum):
    """STARTING → READY → DOWN → STARTING …, and STOPPED at the end."""

    STARTING = "starting"
    READY = "ready"
    DOWN = "down"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports; 0 takes a free one, once, so that a restarted server keeps its addresses."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    def resolve(self) -> "Ports":
        """The same with every 0 replaced; ConfigurationError where a port is already in use."""
        with contextlib.ExitStack() as stack:
            found: dict[str, int] = {}
            for name, option in (("http", self.http), ("grpc", self.grpc), ("metrics", self.metrics)):
                listener = stack.enter_context(socket.socket())
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind((HOST, option))
                except OSError as error:
                    raise ConfigurationError(
                        f"Port {option}, wanted for Triton's {name} service, cannot be used ({error.strerror}): "
                        "stop the program that holds it (perhaps another Triton) or choose another port."
                    ) from error
                found[name] = listener.getsockname()[1]
        return replace(self, **found)


class EmbeddedTriton:
    """The wheel's tritonserver over one model repository, on loopback ports.

    Entering waits until all `models` are ready and raises ConfigurationError where one cannot be loaded.
    From then on a server that dies is restarted with exponential back-off until the context is left.
    The kernel stops the server when the thread that entered dies: enter it in a thread that lives on.

    `models`: names that must be there, by default every folder of the repository. `on_state` is called
    at each change of state, from the event loop, and must not block. `arguments` and `environment` are
    added to the server's own. `python`: the virtual environment that the models run in, by default this one.
    Relative paths in the models' parameters are relative to the repository's parent folder.
    """

    def __init__(
        self,
        repository: Path,
        *,
        config_name: str = "embedded",
        models: Sequence[str] | None = None,
        ports: Ports | None = None,
        start_timeout_s: float = 120.0,
        stop_timeout_s: float = 5.0,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        python: Path | None = None,
        on_state: Callable[[TritonState], None] | None = None,
    ) -> None:
        self.state = TritonState.STOPPED
        self.ports = ports or Ports()
        self._repository = repository.resolve()
        self._config_name = config_name
        self._models = tuple(models) if models is not None else _model_folders(self._repository)
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._arguments = tuple(arguments)
        self._environment = environment or {}
        self._python = python
        self._on_state = on_state
        self._process: ServerProcess | None = None
        self._processes_of_models: set[int] = set()
        self._stack = contextlib.ExitStack()

    @property
    def grpc_url(self) -> str:
        """host:port of the gRPC service."""
        return f"{HOST}:{self.ports.grpc}"

    @property
    def http_url(self) -> str:
        """Base URL of the HTTP service."""
        return f"http://{HOST}:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        """URL of the Prometheus page."""
        return f"http://{HOST}:{self.ports.metrics}/metrics"

    @property
    def pid(self) -> int | None:
        """Process id of the running server, None while there is none."""
        return self._process.pid if self._process else None

    async def __aenter__(self) -> Self:
        _check_models(self._repository, self._models, self._config_name)
        if self._python is not None:
            check_python(self._python)
        installation = find_installation()
        self.ports = self.ports.resolve()
        with contextlib.ExitStack() as stack:
            workspace = stack.enter_context(open_workspace(installation))
            try:
                await self._start(installation, workspace)
            except BaseException:
                self._enter_state(TritonState.STOPPED)
                raise
            self._stack = stack.pop_all()
        self._supervision = asyncio.create_task(self._supervise(installation, workspace), name="triton supervision")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            self._supervision.cancel()
            await asyncio.wait({self._supervision})
            if self._process:
                await self._process.stop(self._stop_timeout_s)
                self._process = None
            self._enter_state(TritonState.STOPPED)

    async def _start(self, installation: Installation, workspace: Workspace) -> None:
        self._enter_state(TritonState.STARTING)
        process = await ServerProcess.start(
            self._command(installation, workspace),
            {
                **installation.environment(os.environ, self._python),
                "TRITON_URL": self.grpc_url,  # for models that ask others
                **self._environment,
            },
            folder=self._repository.parent,
            stop_timeout_s=self._stop_timeout_s,
        )
        client = TritonClient(self.grpc_url)
        try:
            await self._until_ready(process, client)
            models = process.models()
        except BaseException:
            process.kill()
            await process.reap()
            workspace.remove_shared_memory()
            raise
        finally:
            await client.close()
        self._process, self._processes_of_models = process, models
        self._enter_state(TritonState.READY)

    async def _until_ready(self, process: ServerProcess, client: TritonClient) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while not await client.server_ready():
            if process.log.failures:
                # The server ends itself after a failure, having named them all; or it hangs.
                await process.wait(timeout_s=2.0)
            if process.log.failures or await process.wait(timeout_s=POLL_INTERVAL_S):
                raise ConfigurationError(_explain(process, self._repository))
            if time.monotonic() > deadline:
                waiting = [name for name in self._models if not await client.model_ready(name)]
                raise ConfigurationError(
                    f"Triton was not ready after {self._start_timeout_s:.0f} s; still loading: "
                    f"{', '.join(waiting) or 'nothing'}. Its log (logger goassist.triton, LOG_LEVEL=DEBUG) says more."
                )
        for name in self._models:
            if not await client.model_ready(name):
                raise ConfigurationError(
                    f"Triton is ready but serves no model '{name}': check {self._repository / name}."
                )

    async def _supervise(self, installation: Installation, workspace: Workspace) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            if self._process:
                ready_at = time.monotonic()
                code = await self._end_of(self._process)
                LOGGER.error("Triton died (%s); it is restarted", _describe(code))
                self._process.kill()
                await self._process.reap()
                self._process = None
                workspace.remove_shared_memory()
                if time.monotonic() - ready_at > STEADY_AFTER_S:
                    backoff_s = FIRST_BACKOFF_S
            self._enter_state(TritonState.DOWN)
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, LAST_BACKOFF_S)
            try:
                await self._start(installation, workspace)
            except (ConfigurationError, OSError) as error:  # the latter where no process can be started now
                LOGGER.error("Triton could not be restarted, next try in %.1f s: %s", backoff_s, error)

    async def _end_of(self, process: ServerProcess) -> int:
        """The exit code of a server that has died, by itself or because one of its models did.

        Triton 2.51 does not restart a decoupled model whose process has died: it stays ready and fails each request.
        """
        while not await process.wait(timeout_s=MODELS_CHECK_S):
            with contextlib.suppress(OSError):  # not to be known now: the next look tells
                if not self._processes_of_models <= process.models():
                    LOGGER.error("a model's process died, which Triton does not mend: it is ended and restarted")
                    process.kill()
        return await process.exit_code()

    def _command(self, installation: Installation, workspace: Workspace) -> list[str]:
        command = [
            str(installation.server),
            f"--model-repository={self._repository}",
            f"--model-config-name={self._config_name}",
            f"--backend-directory={workspace.backends}",
            f"--backend-config=python,shm-region-prefix-name={workspace.shared_memory_prefix}",
            "--disable-auto-complete-config",  # ours are complete; completing starts each model's Python twice
            f"--http-address={HOST}",
            f"--grpc-address={HOST}",
            f"--metrics-address={HOST}",
            f"--http-port={self.ports.http}",
            f"--grpc-port={self.ports.grpc}",
            f"--metrics-port={self.ports.metrics}",
            "--grpc-keepalive-time=10000",
            "--grpc-keepalive-timeout=5000",
            "--grpc-http2-min-recv-ping-interval-without-data=5000",
            "--grpc-http2-max-ping-strikes=0",
            f"--exit-timeout-secs={max(1, round(self._stop_timeout_s))}",
        ]
        if not Path("/dev/nvidiactl").exists():
            command += ["--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]
        return [*command, *self._arguments]

    def _enter_state(self, state: TritonState) -> None:
        if state is not self.state:
            self.state = state
            if self._on_state:
                self._on_state(state)


def _model_folders(repository: Path) -> tuple[str, ...]:
    if not repository.is_dir():
        raise ConfigurationError(f"There is no model repository at {repository}: set MODEL_REPOSITORY to its folder.")
    return tuple(sorted(path.name for path in repository.iterdir() if path.is_dir() and not path.name.startswith(".")))


def _check_models(repository: Path, models: Sequence[str], config_name: str) -> None:
    for name in models:
        folder = repository / name
        if not folder.is_dir():
            raise ConfigurationError(f"The model '{name}' is missing: there is no folder {folder}. Restore it.")
        configs = (folder / "configs" / f"{config_name}.pbtxt", folder / "config.pbtxt")
        if not any(config.is_file() for config in configs):
            raise ConfigurationError(f"The model '{name}' has no configuration: restore {configs[0]} or {configs[1]}.")
        if not any(path.name.isdecimal() for path in folder.iterdir() if path.is_dir()):
            raise ConfigurationError(f"The model '{name}' has no version: restore the folder {folder / '1'}.")


def _explain(process: ServerProcess, repository: Path) -> str:
    log = process.log
    if log.failures:
        reasons = [
            f"Triton cannot load the model '{name}' of {repository}: {why}" for name, why in log.failures.items()
        ]
        return "\n".join(reasons)
    return f"Triton ended while starting: {'; '.join(log.fatal) or 'its log (logger goassist.triton) says why'}"


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
