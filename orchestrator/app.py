"""The composition root: everything is made here, once, and handed to who needs it."""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Scope

from orchestrator import probes
from orchestrator.admission import Admission
from orchestrator.core.experience import Experience
from orchestrator.core.pressure import Level
from orchestrator.errors import GoAssistError
from orchestrator.gate import Gate
from orchestrator.models import LanguageModel, Models
from orchestrator.openai_llm import OpenAiLlm
from orchestrator.places import Places
from orchestrator.readiness import ReadinessCheck
from orchestrator.realtime import calls, sessions, websocket
from orchestrator.realtime.call import Call, Shared
from orchestrator.realtime.keys import Keys
from orchestrator.realtime.refusals import refuse
from orchestrator.realtime.services import Services
from orchestrator.realtime.validation import build_models
from orchestrator.registry import Registry
from orchestrator.settings import PROJECT, Settings, revealed
from orchestrator.siblings import Siblings, Worker
from orchestrator.telemetry.metrics import Metrics
from orchestrator.triton.asr import TritonAsr
from orchestrator.triton.client import TritonClient
from orchestrator.triton.llm import TritonLlm
from orchestrator.triton.prompt import ChatTemplate
from orchestrator.triton.tts import TritonTts
from orchestrator.triton.turn import TritonTurn
from orchestrator.vad import VoiceDetector
from orchestrator.webrtc.plane import MediaPlane

GC_THRESHOLD = 10_000
LOGGER = logging.getLogger(__name__)
BROWSER_PAGE = PROJECT / "clients" / "browser"

DESCRIPTION = """A self-hosted voice agent behind the API of OpenAI's Realtime models.

Events run over the WebRTC data channel `oai-events` or the WebSocket `GET /v1/realtime`: see docs/protocol.md."""


def create_app(settings: Settings, worker: Worker | None = None) -> FastAPI:
    """The application. Its lifespan opens the channel to Triton, and at the end closes every call.

    `worker`: which one it is of several.
    """
    places, kept = (worker.places(), worker.kept()) if worker is not None else (None, None)
    metrics = Metrics(keep=kept.keep) if kept is not None else Metrics()
    app = FastAPIOffline(
        title="GoAssist",
        description=DESCRIPTION,
        version="0.1.0",
        lifespan=lambda app: _lifespan(app, settings, metrics, worker, places),
    )
    app.add_middleware(Gate, metrics=metrics, allowed_origins=settings.allowed_origins)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Location", "Retry-After"],
        )
    if worker is not None and places is not None and kept is not None:
        app.add_middleware(
            Siblings,
            worker=worker,
            places=places,
            kept=kept,
            has=lambda call_id: app.state.services.registry.get(call_id) is not None,
            busy=lambda: app.state.services.busy,
        )
    for error in (GoAssistError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(error, refuse)
    for router in (probes.router, calls.router, sessions.router, websocket.router):
        app.include_router(router)
    app.mount("/", _Page(BROWSER_PAGE), name="page")
    return app


@asynccontextmanager
async def _lifespan(
    app: FastAPI, settings: Settings, metrics: Metrics, worker: Worker | None, places: Places | None
) -> AsyncGenerator[None, None]:
    async with AsyncExitStack() as stack:
        triton = TritonClient(settings.triton_url)
        stack.push_async_callback(triton.close)
        questions: dict[str, Callable[[], Awaitable[bool]]] = {}
        questions |= {"asr": partial(triton.model_ready, "asr"), "tts": partial(triton.model_ready, "tts")}
        llm: LanguageModel
        if settings.llm_base_url is None:
            folder = settings.llm_template
            template = ChatTemplate.from_directory(folder) if folder else ChatTemplate()
            llm = TritonLlm(triton, template)
            questions["llm"] = partial(triton.model_ready, "llm")
        else:
            llm = elsewhere = OpenAiLlm(
                settings.llm_base_url, model=settings.llm_model, api_key=revealed(settings.llm_api_key)
            )
            stack.push_async_callback(elsewhere.close)
            questions["llm"] = elsewhere.ready
        models = Models(TritonAsr(triton), llm, TritonTts(triton), TritonTurn(triton))
        experience, detector = Experience(), VoiceDetector()
        plane = MediaPlane(hosts=settings.webrtc_hosts)
        registry: Registry[Call] = Registry(
            max_sessions=settings.max_concurrent_sessions,
            idle_timeout_s=settings.session_idle_timeout_s,
            shares=places,
        )

        def pressed(level: Level, previous: Level) -> None:
            severity = logging.WARNING if level > previous else logging.INFO
            LOGGER.log(severity, "backpressure", extra={"now": level.name.lower(), "before": previous.name.lower()})
            if places is not None:
                places.press(level)
            for call in registry:
                call.pressed(level)

        admission = Admission(
            settings.max_frame_lateness_ms / 1000,
            lateness=plane.ticker.lateness,
            active=lambda: len(registry),
            changed=pressed,
        )
        app.state.services = Services(
            settings=settings,
            registry=registry,
            admission=admission,
            readiness=ReadinessCheck({"triton": triton.server_ready, **questions}),
            shared=Shared(models, detector, plane, metrics, experience, admission.note_model_delay),
            keys=Keys(revealed(settings.api_key), secret=worker.secret if worker else None),
            worker=worker,
        )
        metrics.watch(
            sessions=lambda: len(registry),
            ticker=plane.ticker,
            level=lambda: admission.level,
            distrusts=lambda: experience.distrusts,
        )
        metrics.watch_sound(detector=detector, received=plane.received)
        build_models()
        # What lives as long as the process is not looked at again: a full collection among many calls takes 60 ms.
        gc.collect()
        gc.freeze()
        # Calls make and drop objects all the time, hardly ever in circles: to look every 700 costs 3 % of a full core.
        gc.set_threshold(GC_THRESHOLD)
        lag = asyncio.create_task(metrics.measure_loop_lag(admission.note_lag), name="loop lag")
        stack.callback(lag.cancel)
        stack.push_async_callback(registry.drain, 0)
        yield


class _Page(StaticFiles):
    """The browser client. Browsers ask each time whether a file has changed, so that a page never mixes versions."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, html=True)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or HTTP 404."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
