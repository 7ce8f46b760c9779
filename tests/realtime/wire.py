"""The events that a client is sent, each held against the API's own types."""

import json
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.history import Item, Modality
from orchestrator.realtime.events import ServerEvents

ADAPTER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
USER, AGENT, RESPONSE = "item_1u", "item_1a", "resp_1"


class Wire:
    """Collects what is sent, and holds each event of the API against the API's own types."""

    def __init__(self, *, with_audio: bool = False, extensions: bool = True) -> None:
        self.sent: list[dict[str, Any]] = []
        self.events = ServerEvents(
            "rtc_42", SessionConfig(voice="slt"), self._emit, with_audio=with_audio, extensions=extensions
        )

    def _emit(self, text: str) -> None:
        event = json.loads(text)
        if not event["type"].startswith("goassist."):
            assert ADAPTER.validate_python(event, strict=True).type == event["type"]
        self.sent.append(event)

    def tell(self, *notifications: told.Notification) -> None:
        for notification in notifications:
            self.events.tell(notification)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.sent]

    def one(self, kind: str) -> dict[str, Any]:
        (event,) = [event for event in self.sent if event["type"] == kind]
        return event


def begin(modality: Modality = "audio") -> told.ResponseStarted:
    return told.ResponseStarted(RESPONSE, AGENT, USER, SessionConfig(voice="slt", modality=modality))


def finish(status: told.ResponseStatus = "completed", **fields: Any) -> told.ResponseFinished:
    return told.ResponseFinished(RESPONSE, AGENT, status, "It is noon.", 30, 5, **fields)


def called(number: int = 1, after: str | None = None) -> told.FunctionCalled:
    item = Item(f"item_1f{number}", "assistant", '{"city": "Paris"}', call_id=f"call_{number}", function="get_weather")
    return told.FunctionCalled(RESPONSE, item, after or (AGENT if number == 1 else f"item_1f{number - 1}"))


OF_A_CALL = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "conversation.item.done",
]
