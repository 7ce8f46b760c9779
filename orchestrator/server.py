"""Runs the application on a socket of ours until it is told to stop, alone or with a Triton of its own."""

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import http11

from orchestrator.app import create_app
from orchestrator.errors import ConfigurationError
from orchestrator.settings import PROJECT, Settings
from orchestrator.siblings import Worker
from orchestrator.triton.embedded import HOST, EmbeddedTriton, Ports, TritonState

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")

# A minute of base64 sound in one event; the API's own limit is 15 MiB of sound.
MAX_WEBSOCKET_MESSAGE_BYTES = 4 * 1024 * 1024
SHUTDOWN_TIMEOUT_S = 5
# A client secret, which carries a session, is one line of a WebSocket's handshake. WEBSOCKETS_MAX_LINE_LENGTH would
# have to be set before anything imports websockets; this limit, looked up for each line, holds whoever came first.
MAX_HEADER_LINE_BYTES = 64 * 1024
http11.MAX_LINE_LENGTH = max(http11.MAX_LINE_LENGTH, MAX_HEADER_LINE_BYTES)

TRITON_PORTS = Ports()
EMBEDDED_START_TIMEOUT_S, START_TIMEOUT_S = 120.0, 900.0


def raise_file_limit() -> None:
    """Allow this process, and those that it starts, as many open files as the system lets it have.

    A call has a socket for each local address; the usual limit of 1024 is meant for programs that use select().
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Interrupted(Exception):
    """The user, or the system, told the process to stop."""


class Stop:
    """SIGINT and SIGTERM as events: the first asks for an orderly stop, a further one for a quick one."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)

    async def unless(self, awaitable: Awaitable[Result], event: asyncio.Event | None = None) -> Result:
        """The result of `awaitable`. Where the stop is asked for first it is cancelled; raises Interrupted."""
        task = asyncio.ensure_future(awaitable)
        stopped = asyncio.ensure_future((event or self.asked).wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Interrupted
            return task.result()
        finally:
            stopped.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _signalled(self) -> None:
        (self.hurried if self.asked.is_set() else self.asked).set()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Refuses a handshake that websockets cannot read. uvicorn's own leaves such a socket open without an answer."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True  # shutdown() has nothing to add
            self.transport.close()


def http_config(app: FastAPI) -> uvicorn.Config:
    """How the application is served. Its lifespan is the caller's to enter, so that errors of the start are too."""
    return uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws=WebSocketProtocol,
        ws_max_size=MAX_WEBSOCKET_MESSAGE_BYTES,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )


async def run_orchestrator(
    settings: Settings,
    listener: socket.socket,
    stop: Stop,
    *,
    ready: Callable[[], None],
    worker: Worker | None = None,
    loopback: socket.socket | None = None,
) -> None:
    """Serve until the stop is asked for. `ready` is called once requests are answered.

    One of several workers listens on a `loopback` port as well, for its siblings.
    """
    app = create_app(settings, worker)
    async with app.router.lifespan_context(app):
        server = HttpServer(http_config(app), ready)
        serving = asyncio.create_task(
            server.serve(sockets=[listener] if loopback is None else [listener, loopback]), name="http server"
        )
        with suppress(Interrupted):
            await stop.unless(asyncio.shield(serving))
        with suppress(Interrupted):
            await stop.unless(app.state.services.registry.drain(settings.drain_timeout_s), stop.hurried)
        server.should_exit = True
        await serving


async def run_with_triton(
    settings: Settings, stop: Stop, *, tell: Callable[[str], None], serve: Callable[[Settings], Awaitable[None]]
) -> None:
    """Run `serve`, with the settings made complete, beside a Triton as a child process, once that is ready."""
    _check_profile(settings.model_repository, settings.profile)
    python = _python(settings)
    models = _models(settings)
    began = False

    def state_changed(state: TritonState) -> None:
        if state is TritonState.READY:
            tell("Triton is ready." if not began else "Triton is ready again.")
        elif state is TritonState.DOWN:
            tell(
                "Triton stopped unexpectedly and is restarting. "
                "Answers fail and new calls are refused until it is ready."
            )

    triton = EmbeddedTriton(
        settings.model_repository,
        config_name=settings.profile,
        models=models,
        # Those of `models` and no others: without an llm, what would use it is left out as well.
        arguments=["--model-control-mode=explicit", *(f"--load-model={name}" for name in models)],
        python=python,
        start_timeout_s=EMBEDDED_START_TIMEOUT_S if settings.profile == "embedded" else START_TIMEOUT_S,
        ports=Ports(
            http=_port(settings.triton_http_port, TRITON_PORTS.http),
            grpc=_port(settings.triton_grpc_port, TRITON_PORTS.grpc),
            metrics=_port(settings.triton_metrics_port, TRITON_PORTS.metrics),
        ),
        on_state=state_changed,
    )
    async with AsyncExitStack() as stack:
        try:
            await stop.unless(stack.enter_async_context(triton))
        except ConfigurationError as error:
            if "goassist models pull" not in str(error):
                raise
            raise ConfigurationError(
                f"{error}\n`goassist models pull --profile {settings.profile}` gets all that this profile needs."
            ) from error
        began = True
        wired = settings.model_copy(update={"triton_url": triton.grpc_url, "triton_metrics_url": triton.metrics_url})
        await serve(wired)


class HttpServer(uvicorn.Server):
    """Leaves signals to `Stop`, and says when it has started."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:
            raise ConfigurationError(f"The HTTP server cannot listen: {error.strerror}.") from error
        self._ready()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _port(wanted: int | None, default: int) -> int:
    """The port that is set; otherwise the default one, or any free one (0) where another program has it."""
    if wanted is not None:
        return wanted
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, default))
        except OSError:
            return 0
    return default


def _models(settings: Settings) -> list[str]:
    """Every model of the repository, and those that calls need whether they are there or not.

    Without those that another server's language model (LLM_BASE_URL) replaces, or that would need Triton's own.
    """
    folders = {path.name for path in settings.model_repository.iterdir() if path.is_dir()}
    names = {"asr", "llm", "tts"} | {name for name in folders if not name.startswith(".")}
    return sorted(names - {"llm", "speech_to_speech"} if settings.llm_base_url else names)


def _python(settings: Settings) -> Path | None:
    """The environment of the models' Python; None is the orchestrator's own."""
    if settings.triton_python is not None:
        return settings.triton_python.absolute()
    own = PROJECT / ".venvs" / settings.profile
    if (own / "ready").is_file():
        return own
    if (PROJECT / "requirements" / f"engines-{settings.profile}.txt").is_file():
        raise ConfigurationError(
            f"The profile {settings.profile!r} needs a Python of its own, which is not there yet: run "
            f"`deploy/setup/engines.sh {settings.profile}` (some GB and minutes), or name one with TRITON_PYTHON."
        )
    return None


def _check_profile(repository: Path, profile: str) -> None:
    if not repository.is_dir():
        raise ConfigurationError(f"There is no model repository at {repository}: set MODEL_REPOSITORY to its folder.")
    profiles = sorted({path.stem for path in repository.glob("*/configs/*.pbtxt")})
    if profile not in profiles:
        raise ConfigurationError(
            f"There is no profile {profile!r} in {repository}: it has {', '.join(profiles) or 'none'}. "
            "Choose one with --profile or PROFILE."
        )
