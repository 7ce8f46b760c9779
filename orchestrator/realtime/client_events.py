"""What a client sends on `oai-events` or its WebSocket: text → an event of openai.types.realtime."""

from typing import Any, get_args

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
from openai.types.realtime.realtime_client_event import RealtimeClientEvent

from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.config import parse_session
from orchestrator.realtime.validation import check, parse_object, validated

ClientEvent = (
    ConversationItemCreateEvent
    | ConversationItemDeleteEvent
    | ConversationItemRetrieveEvent
    | ConversationItemTruncateEvent
    | InputAudioBufferAppendEvent
    | InputAudioBufferClearEvent
    | InputAudioBufferCommitEvent
    | OutputAudioBufferClearEvent
    | ResponseCancelEvent
    | ResponseCreateEvent
    | SessionUpdateEvent
)


def _types() -> dict[str, type[ClientEvent]]:
    members = get_args(get_args(RealtimeClientEvent)[0])
    return {name: member for member in members for name in get_args(member.model_fields["type"].annotation)}


_EVENTS = _types()


class RequestedResponse(RealtimeResponseCreateParams):
    """What clients ask for with `response.create`. As in a session, their tools are looked at where they can be had."""

    tool_choice: Any = None
    tools: Any = None


class ClientEventError(InvalidRequestError):
    """A message that is no client event. `event_id`: the client's own id of it, where it has one."""

    def __init__(self, message: str, *, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message, param=param)
        self.event_id = event_id


def parse_client_event(text: str | bytes) -> ClientEvent:
    """The event in `text`. ClientEventError says which field is wrong, and what would be right."""
    event_id: str | None = None
    try:
        data = parse_object(text, "an event")
        if isinstance(own_id := data.get("event_id"), str):
            check(own_id, "event_id")  # the answer repeats it
            event_id = own_id
        check(data)
        kind = data.get("type")
        if not isinstance(kind, str):
            raise InvalidRequestError("an event needs a 'type', a string", param="type")
        model = _EVENTS.get(kind)
        if model is None:
            raise InvalidRequestError(
                f"unknown event type {kind[:80]!r}; known are {', '.join(sorted(_EVENTS))}", param="type"
            )
        if model is SessionUpdateEvent and isinstance(data.get("session"), dict):
            # The union with transcription sessions would blur the errors.
            data["session"] = parse_session(data["session"])
        if model is ResponseCreateEvent and isinstance(data.get("response"), dict):
            data["response"] = validated(RequestedResponse, data["response"], inside="response")
        return validated(model, data)
    except InvalidRequestError as error:
        raise ClientEventError(str(error), param=error.param, event_id=event_id) from error
