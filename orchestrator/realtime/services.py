"""What the routes share; app.py puts it into the application's state."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NoReturn
from uuid import uuid4

from aiortc import RTCIceServer
from fastapi import Depends, HTTPException
from openai.types.realtime import RealtimeSessionCreateRequest
from starlette.requests import HTTPConnection

from orchestrator.admission import Admission
from orchestrator.config import SessionConfig, TurnDetection
from orchestrator.core.pressure import Level
from orchestrator.errors import CapacityError, InvalidRequestError
from orchestrator.readiness import ReadinessCheck
from orchestrator.realtime.call import Call, Shared, Transport
from orchestrator.realtime.config import parse_session, updated
from orchestrator.realtime.keys import InvalidKeyError, Keys
from orchestrator.registry import Registry
from orchestrator.settings import Settings
from orchestrator.siblings import Worker
from orchestrator.webrtc.plane import MediaPlane

IdPrefix = Literal["rtc", "sess"]
SUBPROTOCOL_KEY = "openai-insecure-api-key."


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running orchestrator."""

    settings: Settings
    registry: Registry[Call]
    admission: Admission
    readiness: ReadinessCheck
    shared: Shared
    keys: Keys
    worker: Worker | None = None  # which one of several

    def default_config(self) -> SessionConfig:
        """What a session begins with where its client chooses nothing."""
        settings = self.settings
        return SessionConfig(
            instructions=settings.instructions,
            voice=settings.voice,
            language=settings.speech_language,
            turn_detection=TurnDetection(kind=settings.turn_detection),
        )

    def config(self, *sessions: dict[str, Any] | RealtimeSessionCreateRequest | None) -> SessionConfig:
        """The default configuration with these session objects applied one after another."""
        config = self.default_config()
        calls_functions = self.shared.models.llm.calls_functions
        without: dict[str, None] = {}
        for session in sessions:
            if session is not None:
                parsed = parse_session(session) if isinstance(session, dict) else session
                config = updated(config, parsed, calls_functions=calls_functions)
                without |= dict.fromkeys(config.without)
        return replace(config, without=tuple(without))

    def plane(self) -> MediaPlane:
        """The media plane. Its peers have no relay of their own: the callers' reaches them as they are."""
        stun = self.settings.webrtc_stun_server
        return replace(self.shared.plane, ice_servers=[RTCIceServer(urls=stun)] if stun else [])

    async def open_call(
        self, transport: Transport, config: SessionConfig, *, call_id: str | None = None, **options: Any
    ) -> Call:
        """A call that runs. Raises BackendUnavailableError, CapacityError, and InvalidRequestError for an id in use."""
        self._check_capacity()
        await self.readiness.require()
        await self._wait_for_calm()
        if call_id is not None and self.registry.get(call_id) is not None:
            raise InvalidRequestError(f"there is a session {call_id!r} already", param="session_id")
        prefix: IdPrefix = "rtc" if transport == "webrtc" else "sess"
        made = self.worker.new_id(prefix) if self.worker else f"{prefix}_{uuid4().hex[:24]}"
        with self.registry.locked():
            self._check_capacity()
            call = Call(call_id or made, transport, shared=self.shared, config=config, **options)
            call.pressed(self.admission.level)
            self.registry.start(call)
        self.shared.metrics.session_started(transport)
        return call

    @property
    def busy(self) -> bool:
        """Whether a call would wait here, or be refused for the lateness of those there are."""
        return len(self.registry) > 0 and (self.admission.level >= Level.SESSION_QUEUE or self.admission.refuses())

    def call(self, call_id: str) -> Call:
        """The call of that id; HTTP 404 where there is none."""
        call = self.registry.get(call_id)
        if call is None:
            raise HTTPException(404, f"there is no call {call_id[:80]!r}; it may have ended")
        return call

    async def _wait_for_calm(self) -> None:
        try:
            await self.admission.turn()
        except CapacityError:
            self.shared.metrics.session_rejected("late")
            raise

    def _check_capacity(self) -> None:
        try:
            self.registry.check_capacity()
        except CapacityError:
            self.shared.metrics.session_rejected("draining" if self.registry.draining else "capacity")
            raise
        try:
            self.admission.check()
        except CapacityError:
            self.shared.metrics.session_rejected("late")
            raise


def services(connection: HTTPConnection) -> Services:
    """The parts of the application that serves this request."""
    found: Services = connection.app.state.services
    return found


Wired = Annotated[Services, Depends(services)]


def caller_key(connection: HTTPConnection) -> str | None:
    """The key of the request: a Bearer token, X-API-Key, or a subprotocol, all that a browser's WebSocket has."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if "x-api-key" in connection.headers:
        return connection.headers["x-api-key"]
    for protocol in connection.headers.get("sec-websocket-protocol", "").split(","):
        if protocol.strip().startswith(SUBPROTOCOL_KEY):
            return protocol.strip().removeprefix(SUBPROTOCOL_KEY)
    return None


def authorized(connection: HTTPConnection, wired: Wired) -> dict[str, Any] | None:
    """Let in who may call; returns the session that the key brings. HTTP 401 otherwise."""
    try:
        return wired.keys.session_of(caller_key(connection))
    except InvalidKeyError as error:
        _refuse(error)


def authorized_as_owner(connection: HTTPConnection, wired: Wired) -> None:
    """Let in only who has the server's own key. HTTP 401 otherwise."""
    try:
        wired.keys.require_api_key(caller_key(connection))
    except InvalidKeyError as error:
        _refuse(error)


def _refuse(error: InvalidKeyError) -> NoReturn:
    raise HTTPException(401, str(error), headers={"WWW-Authenticate": "Bearer"}) from error


KeySession = Annotated[dict[str, Any] | None, Depends(authorized)]
