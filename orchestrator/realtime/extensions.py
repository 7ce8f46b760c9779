"""Server events that the Realtime API does not have; their types begin with `goassist.`

Some clients fail over a type that they do not know: they ask to be spared with the query parameter `goassist_events`.
"""

from typing import Literal

from pydantic import BaseModel

from orchestrator.errors import InvalidRequestError

PARAMETER = "goassist_events"

_NO_CALLS = (
    "this server's language model calls no functions: the {} goes without them. Serve one whose chat template takes "
    "tools and set LLM_TEMPLATE to its folder, or set LLM_BASE_URL to a server of one"
)
_NO_MCP = "the only tools here are functions, MCP is not supported: the {} goes without the others"
# What somebody may rely on and there is not: the field that asks for it, and what to say then. Clients send it in one
# update with all else, which is to have its effect; they are told by a NoticeEvent.
WITHOUT = {
    "session_functions": ("session.tools", _NO_CALLS.format("session")),
    "session_mcp": ("session.tools", _NO_MCP.format("session")),
    "session_prompt": ("session.prompt", "stored prompts do not exist here: use instructions"),
    "response_functions": ("response.tools", _NO_CALLS.format("response")),
    "response_mcp": ("response.tools", _NO_MCP.format("response")),
}


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
