"""Server events that the Realtime API does not have; their types begin with `goassist.`

Some clients fail over a type that they do not know: they ask to be spared with the query parameter `goassist_events`.
"""

from typing import Literal

from pydantic import BaseModel

from orchestrator.errors import InvalidRequestError

PARAMETER = "goassist_events"


def wanted(choice: str) -> bool:
    """Whether the client takes these events, by the value of its PARAMETER."""
    if choice not in ("on", "off"):
        raise InvalidRequestError(f"{PARAMETER!r} is {choice[:40]!r}: it must be 'on' or 'off'", param=PARAMETER)
    return choice == "on"


class _ServerEvent(BaseModel):
    event_id: str


class StateEvent(_ServerEvent):
    """The conversation entered another state. `at_ms`: milliseconds of the user's sound since the call began."""

    type: Literal["goassist.state"]
    state: str
    previous: str
    turn: int
    at_ms: int


class TranscriptEvent(_ServerEvent):
    """The user's words as understood so far, while they are spoken; they may still change after `stable_chars`."""

    type: Literal["goassist.transcript"]
    item_id: str
    text: str
    stable_chars: int


class DegradedEvent(_ServerEvent):
    """The server's load reached another level of backpressure; `effect` says what that means, for people."""

    type: Literal["goassist.degraded"]
    level: str
    previous: str
    effect: str


class NoticeEvent(_ServerEvent):
    """The client asked for what there is not, which refuses nothing: `param` names it, `message` is for people."""

    type: Literal["goassist.notice"]
    param: str
    message: str


class MetricsEvent(_ServerEvent):
    """Where a turn's time went, in ms; null where a stage did not happen (see notifications.TurnMetrics)."""

    type: Literal["goassist.metrics"]
    turn: int
    response_id: str
    endpointing_ms: float | None
    transcript_ms: float | None
    ttft_ms: float | None
    tts_first_chunk_ms: float | None
    ttfa_ms: float | None
    voice_to_voice_ms: float | None
    speculative: bool
