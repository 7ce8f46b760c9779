"""A client's events → calls of its session; what cannot be served is answered with an `error` event."""

import base64

from openai.types.realtime import (
    ConversationItemCreateEvent,
    ConversationItemDeleteEvent,
    ConversationItemRetrieveEvent,
    ConversationItemTruncateEvent,
    InputAudioBufferAppendEvent,
    InputAudioBufferClearEvent,
    InputAudioBufferCommitEvent,
    OutputAudioBufferClearEvent,
    RealtimeResponseCreateParams,
    ResponseCancelEvent,
    ResponseCreateEvent,
    SessionUpdateEvent,
)
from openai.types.realtime.realtime_session_create_request import RealtimeSessionCreateRequest

from orchestrator.core.history import Item
from orchestrator.errors import GoAssistError, InvalidRequestError
from orchestrator.realtime.client_events import ClientEvent, ClientEventError, parse_client_event
from orchestrator.realtime.config import for_response, updated
from orchestrator.realtime.events import ServerEvents
from orchestrator.realtime.items import item_from_wire
from orchestrator.realtime.response_events import EVENT_SAMPLE_RATE
from orchestrator.session import Session
from orchestrator.vad import SAMPLE_RATE
from orchestrator.webrtc.resample import Resampler

MAX_AUDIO_END_MS = 24 * 3600 * 1000
# What a response.create may say beyond what is served; each would silently give another answer than was asked for.
_RESPONSE_UNSUPPORTED = {
    "input": "a response always answers the conversation",
    "prompt": "stored prompts do not exist here: use instructions",
}


class Dispatcher:
    """Serves the events of one client. `with_audio`: the microphone comes as events too: a WebSocket."""

    def __init__(self, session: Session, events: ServerEvents, *, with_audio: bool) -> None:
        self._session = session
        self._events = events
        self._with_audio = with_audio
        self._resampler = Resampler(EVENT_SAMPLE_RATE, SAMPLE_RATE)

    def receive(self, text: str | bytes) -> None:
        """Serve one message. Never raises for what a client may send."""
        try:
            event = parse_client_event(text)
        except ClientEventError as error:
            self._events.error(error, client_event_id=error.event_id)
            return
        try:
            self._serve(event)
        except GoAssistError as error:
            self._events.error(error, client_event_id=event.event_id)

    def _serve(self, event: ClientEvent) -> None:
        session = self._session
        match event:
            case SessionUpdateEvent():
                self._update(event)
            case InputAudioBufferAppendEvent():
                self._append(event.audio)
            case InputAudioBufferCommitEvent():
                session.commit_audio()
            case InputAudioBufferClearEvent():
                session.clear_audio()
            case ConversationItemCreateEvent():
                session.add_item(item_from_wire(event.item), event.previous_item_id)
            case ConversationItemDeleteEvent():
                session.delete_item(event.item_id)
            case ConversationItemTruncateEvent():
                self._truncate(event)
            case ConversationItemRetrieveEvent():
                self._events.item_retrieved(self._item(event.item_id))
            case ResponseCreateEvent():
                self._respond(event.response or RealtimeResponseCreateParams(), event.event_id)
            case ResponseCancelEvent():
                session.cancel_response(event.response_id)
            case OutputAudioBufferClearEvent():
                session.clear_output()

    def _update(self, event: SessionUpdateEvent) -> None:
        assert isinstance(event.session, RealtimeSessionCreateRequest)  # parse_client_event lets no other pass
        config = updated(self._session.config, event.session, calls_functions=self._session.calls_functions)
        self._session.configure(config)
        self._events.session_updated(config)

    def _append(self, audio: str) -> None:
        if not self._with_audio:
            raise InvalidRequestError("over WebRTC sound comes with the audio track, not as events", param="type")
        try:
            pcm16 = base64.b64decode(audio, validate=True)
        except ValueError as error:
            raise InvalidRequestError(f"'audio' is not base64: {error}", param="audio") from error
        if len(pcm16) % 2:
            raise InvalidRequestError(
                f"'audio' has {len(pcm16)} bytes: INT16 samples are an even number", param="audio"
            )
        self._session.audio_received(self._resampler.push(pcm16))

    def _truncate(self, event: ConversationItemTruncateEvent) -> None:
        if event.content_index != 0:
            raise InvalidRequestError("items have one content part, that of index 0", param="content_index")
        if not 0 <= event.audio_end_ms <= MAX_AUDIO_END_MS:
            raise InvalidRequestError(
                f"'audio_end_ms' must be a number from 0 to {MAX_AUDIO_END_MS}", param="audio_end_ms"
            )
        self._session.truncate_item(event.item_id, event.audio_end_ms)

    def _item(self, item_id: str) -> Item:
        try:
            return self._session.history[item_id]
        except KeyError as error:
            raise InvalidRequestError(
                f"there is no item {item_id!r}", param="item_id", code="item_retrieve_invalid_item_id"
            ) from error

    def _respond(self, wanted: RealtimeResponseCreateParams, event_id: str | None) -> None:
        for name, reason in _RESPONSE_UNSUPPORTED.items():
            if getattr(wanted, name) is not None:
                raise InvalidRequestError(f"'response.{name}' is not supported: {reason}", param=f"response.{name}")
        if wanted.conversation not in (None, "auto"):
            raise InvalidRequestError(
                "responses outside the conversation are not supported", param="response.conversation"
            )
        config = for_response(self._session.config, wanted, calls_functions=self._session.calls_functions)
        self._session.request_response(config=config, metadata=wanted.metadata, client_event_id=event_id)
        self._events.goes_without(*config.without)
