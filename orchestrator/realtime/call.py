"""One call: a session, its events, and the transport that carries both."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.events import State
from orchestrator.core.experience import Experience
from orchestrator.core.functions import NO_FUNCTIONS
from orchestrator.core.history import Item
from orchestrator.core.pressure import Level
from orchestrator.economy import effect
from orchestrator.errors import (
    BackendRejectedError,
    BackendTimeoutError,
    BackendUnavailableError,
    ContextFullError,
    GoAssistError,
    InvalidRequestError,
)
from orchestrator.models import Models
from orchestrator.realtime.dispatch import Dispatcher
from orchestrator.realtime.events import ServerEvents
from orchestrator.session import Session
from orchestrator.telemetry.metrics import Metrics
from orchestrator.vad import VoiceDetector
from orchestrator.webrtc.peer import Peer
from orchestrator.webrtc.plane import MediaPlane
from orchestrator.webrtc.playout import Playout

Transport = Literal["webrtc", "websocket", "http"]
CHAT_TIMEOUT_S = 60.0
# Why an answer failed, by its code; all else means that the backend was lost.
_FAILURES: dict[str, type[GoAssistError]] = {
    each.code: each for each in (InvalidRequestError, BackendRejectedError, BackendTimeoutError, ContextFullError)
}


@dataclass(frozen=True, slots=True)
class Shared:
    """What all calls of a process use."""

    models: Models
    detector: VoiceDetector
    plane: MediaPlane
    metrics: Metrics
    experience: Experience
    model_delayed: Callable[[float], None]  # is told of each turn's longest wait for a model, in seconds


class Call:
    """Carries one session. It is the observer of its WebRTC peer; a WebSocket feeds it by the same methods.

    `send`: where the events go, of a WebSocket; with a peer they go to its data channel. `extensions`: with those that
    the Realtime API does not have.
    """

    def __init__(
        self,
        call_id: str,
        transport: Transport,
        *,
        shared: Shared,
        config: SessionConfig,
        send: Callable[[str], None] | None = None,
        extensions: bool = True,
    ) -> None:
        self.id = call_id
        self.transport = transport
        self.created_at = datetime.now(UTC)
        self.last_active_s = time.monotonic()
        self.turns = 0  # answered
        self.ttfa_ms = 0.0  # on average over `timed` turns
        self.timed = 0
        self._shared = shared
        self._send_event = send
        self._peer: Peer | None = None
        self._level = Level.NORMAL
        self._greeted = False
        self._playout = Playout(on_started=self._playback_started, on_finished=self._playback_finished)
        self._events = ServerEvents(call_id, config, self._send, with_audio=send is not None, extensions=extensions)
        self.session = Session(
            call_id,
            models=shared.models,
            detector=shared.detector,
            experience=shared.experience,
            config=config,
            output=self._playout,
            notify=self._notify,
            client_plays=send is not None,
        )
        self._dispatcher = Dispatcher(self.session, self._events, with_audio=send is not None)
        self._answer: asyncio.Future[told.ResponseFinished] | None = None
        self._idle = asyncio.Event()  # the agent neither thinks nor speaks
        # Until a peer takes the frames, time passes by the ticker alone.
        self._stop_playout = shared.plane.ticker.add(self._drain)

    @property
    def busy(self) -> bool:
        """Whether the agent thinks or speaks: then nobody is idle."""
        return self.session.state in (State.THINKING, State.SPEAKING, State.INTERRUPTED)

    @property
    def close_reason(self) -> str | None:
        """Why the call ended, None while it goes on."""
        return self.session.close_reason

    async def run(self) -> None:
        """Hold the call until it is closed; then nothing of it is left."""
        try:
            await self.session.run()
        finally:
            self._stop_playout()
            self._idle.set()
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(BackendUnavailableError(f"the call ended: {self.session.close_reason}"))
            if self._peer is not None:
                await self._peer.close()
            self._playout.close()

    def close(self, reason: str) -> None:
        """End the call; `run` returns soon after."""
        self.session.close(reason)

    def pressed(self, level: Level) -> None:
        """The process is under that much pressure from now on; the client is told."""
        previous, self._level = self._level, level
        self.session.pressed(level)
        if self._greeted:
            self._degraded(previous)

    def expel(self, code: str, reason: str) -> None:
        """Tell the client why, as far as it still listens, and end the call."""
        self._events.tell(told.Failed(code, reason, "server_error"))
        self.close(reason)

    async def answer(self, offer_sdp: str, *, plane: MediaPlane) -> str:
        """Answer the client's SDP offer. InvalidRequestError where it cannot be; a further offer changes the call."""
        if self._peer is not None:
            return await self._peer.renegotiate(offer_sdp)
        peer = Peer(self, plane=plane, playout=self._playout)
        answer = await peer.answer(offer_sdp)
        if self._peer is not None or self.session.close_reason is not None:
            await peer.close()
            raise InvalidRequestError("the call has ended, or another offer was answered meanwhile")
        self._peer = peer
        self._greet()
        return answer

    async def add_candidate(self, candidate: str, mid: str) -> None:
        """Add an ICE candidate of the client's."""
        if self._peer is None:
            raise InvalidRequestError("send an offer before its candidates", param="candidate")
        await self._peer.add_candidate(candidate, mid)

    def open_events(self) -> None:
        """Say that the session exists: the first event of a WebSocket."""
        self._greet()

    async def chat(self, text: str) -> str:
        """Let the user say `text` in writing and return the agent's answer, which is spoken as well where it can be."""
        if self.busy or self._answer is not None:
            raise InvalidRequestError("the agent is still answering: wait, or interrupt it", param="message")
        self.last_active_s = time.monotonic()
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self.session.add_item(Item(f"item_{self.id.rpartition('_')[2]}_{time.monotonic_ns():x}", "user", text))
            config = self.session.config
            if self._peer is None:
                config = replace(config, modality="text")
                if self._send_event is None:
                    config = replace(config, functions=NO_FUNCTIONS)  # nobody is there to run them
            self.session.request_response(config=config)
            async with asyncio.timeout(CHAT_TIMEOUT_S):
                finished = await self._answer
                if not self._peer:
                    await self._idle.wait()  # within a frame: so that the next message is not refused
        except TimeoutError as error:
            raise BackendTimeoutError(f"there was no answer within {CHAT_TIMEOUT_S:.0f} s") from error
        finally:
            self._answer = None
        if finished.status == "failed":
            failure = _FAILURES.get(finished.error_code or "", BackendUnavailableError)
            raise failure(f"the answer failed: {finished.error_message}")
        return finished.text

    # What the transport brings (PeerObserver).

    def connected(self) -> None:
        """The peer takes the frames from now on."""
        self._stop_playout()

    def audio_received(self, pcm16_16k: bytes) -> None:
        """Sound of the user."""
        self.session.audio_received(pcm16_16k)

    async def caught_up(self) -> None:
        """Return once all sound received has been judged: sound comes by event faster than it is judged."""
        await self.session.caught_up()

    def message_received(self, text: str | bytes) -> None:
        """An event of the client's."""
        self.last_active_s = time.monotonic()
        if self.session.close_reason is None:
            self._dispatcher.receive(text)

    def events_open(self) -> None:
        """The client reads its events."""

    def connection_lost(self, reason: str) -> None:
        """The client hung up, vanished or never came."""
        self.close(reason)

    def _greet(self) -> None:
        self._events.session_created()
        self._greeted = True
        if self._level is not Level.NORMAL:
            self._degraded(Level.NORMAL)

    def _degraded(self, previous: Level) -> None:
        # No sign of life of the session's: it does not keep an idle one.
        self._events.tell(told.Degraded(self._level.name.lower(), previous.name.lower(), effect(self._level)))

    def _drain(self) -> None:
        self._playout.next_frame()

    def _playback_started(self, turn: int) -> None:
        self.session.playback_started(turn)

    def _playback_finished(self, turn: int) -> None:
        self.session.playback_finished(turn)

    def _send(self, text: str) -> None:
        if self._send_event is not None:
            self._send_event(text)
        elif self._peer is not None:
            self._peer.send_event(text)

    def _notify(self, notification: told.Notification) -> None:
        self.last_active_s = time.monotonic()
        self._shared.metrics.observe(notification)
        self._events.tell(notification)
        match notification:
            case told.StateChanged():
                (self._idle.clear if self.busy else self._idle.set)()
            case told.ResponseFinished():
                self.turns += notification.status == "completed"
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(notification)
            case told.TurnMetrics(ttfa_ms=float(ttfa_ms)) as timed:
                self.timed += 1
                self.ttfa_ms += (ttfa_ms - self.ttfa_ms) / self.timed
                waits_ms = (timed.transcript_ms, timed.ttft_ms, timed.tts_first_chunk_ms)
                self._shared.model_delayed(max(wait_ms or 0.0 for wait_ms in waits_ms) / 1000)
