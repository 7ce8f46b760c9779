"""Responses that were asked for, and have not begun."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.history import Item

# Clients that give no event_id know by the words 'response.create' what was refused.
ACTIVE = "response.create is refused: a response is being made already; wait until it is done, or cancel it"
ACTIVE_CODE = "conversation_already_has_active_response"
_OVERTAKEN = "response.create came to nothing: the user spoke before the response could begin; ask again if need be"
_OVERTAKEN_CODE = "turn_detected"  # as responses that speech cancels have it for their reason


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of a response. `prompts`: what it answers beyond the conversation, which does not keep it."""

    config: SessionConfig
    metadata: Mapping[str, str] | None = None
    client_event_id: str | None = None
    prompts: tuple[Item, ...] = ()


class Requests:
    """By the turns that the responses are to have."""

    def __init__(self) -> None:
        self._waiting: dict[int, Request] = {}

    def add(self, turn: int, request: Request) -> None:
        """One more."""
        self._waiting[turn] = request

    def begin(self, turn: int, asked_as: int) -> Request | None:
        """The response of `turn` begins: what is wanted of it, which may have been asked for as another turn's."""
        request = self._waiting.get(asked_as)
        # Earlier requests will not be served any more, but this one may have to start over.
        self._waiting = {number: each for number, each in self._waiting.items() if number > turn}
        if request is not None:
            self._waiting[turn] = request
        return request

    def refuse(self, turn: int, *, overtaken: bool) -> told.Failed:
        """That response will not be made: another one is (see ACTIVE), or speech has overtaken it."""
        request = self._waiting.pop(turn, None)
        event_id = None if request is None else request.client_event_id
        code, message = (_OVERTAKEN_CODE, _OVERTAKEN) if overtaken else (ACTIVE_CODE, ACTIVE)
        return told.Failed(code, message, "invalid_request_error", client_event_id=event_id)
