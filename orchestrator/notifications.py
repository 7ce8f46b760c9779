"""What a session tells the outside: plain facts, which orchestrator/realtime turns into wire events.

Times are milliseconds of the session's audio clock. Responses and items carry their ids, so that the
wire layer keeps no conversation of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.config import SessionConfig
from orchestrator.core.history import Item

ResponseStatus = Literal["completed", "cancelled", "failed", "incomplete"]
CancelReason = Literal["turn_detected", "client_cancelled"]
Reason = CancelReason | Literal["max_output_tokens"]


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The conversation entered `state` (a name of orchestrator.core.conversation.State, lower case)."""

    state: str
    previous: str
    turn: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user began to speak; `item_id` is the user item that the utterance will become."""

    item_id: str
    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The user's turn ended."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class TimeoutTriggered:
    """The user has said nothing since an answer ended, for as long as the client allows: the agent speaks up.

    `item_id` is the user item that the silence becomes.
    """

    item_id: str
    audio_start_ms: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class AudioCommitted:
    """The utterance became a conversation item."""

    item_id: str
    previous_item_id: str | None


@dataclass(frozen=True, slots=True)
class AudioCleared:
    """Uncommitted input audio was dropped on the client's request."""


@dataclass(frozen=True, slots=True)
class TranscriptPartial:
    """The whole utterance as understood so far; it may still change after `stable_chars`."""

    item_id: str
    text: str
    stable_chars: int


@dataclass(frozen=True, slots=True)
class TranscriptCompleted:
    """The final transcript of a user item and how much sound it covers."""

    item_id: str
    text: str
    audio_s: float


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """An item entered the conversation; `done` says that it will not grow any more."""

    item: Item
    previous_item_id: str | None
    done: bool


@dataclass(frozen=True, slots=True)
class ItemDone:
    """A growing item is complete."""

    item: Item
    previous_item_id: str | None


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    """An item was removed."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ItemTruncated:
    """An assistant item keeps only what was heard: `audio_end_ms` of its sound, `text` of its words."""

    item_id: str
    audio_end_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The agent begins a response. What it says is the assistant item `item_id`; one that only calls has none.

    `config` is what it is made with; `metadata` is what the client gave with its request, to know the response by.
    """

    response_id: str
    item_id: str
    previous_item_id: str | None
    config: SessionConfig
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ResponseText:
    """More words of the response: the transcript of its sound, or its text where it has no sound."""

    response_id: str
    item_id: str
    delta: str


@dataclass(frozen=True, slots=True)
class ResponseAudio:
    """More sound of the response, for transports that send it as events: INT16 mono at `sample_rate` Hz."""

    response_id: str
    item_id: str
    pcm16: bytes
    sample_rate: int


@dataclass(frozen=True, slots=True)
class FunctionCalled:
    """The response calls a function: `item` is the call, which entered the conversation after `previous_item_id`."""

    response_id: str
    item: Item
    previous_item_id: str | None


@dataclass(frozen=True, slots=True)
class ResponseFinished:
    """The response ended. `text` is all that was generated; `cancelled` and `incomplete` have a reason."""

    response_id: str
    item_id: str
    status: ResponseStatus
    text: str
    input_tokens: int
    output_tokens: int
    reason: Reason | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class OutputAudioStarted:
    """The first sample of the response was sent to the user."""

    response_id: str


@dataclass(frozen=True, slots=True)
class OutputAudioStopped:
    """The last sample of the response was sent to the user."""

    response_id: str


@dataclass(frozen=True, slots=True)
class OutputAudioCleared:
    """The rest of the response's sound was thrown away (an interruption)."""

    response_id: str


@dataclass(frozen=True, slots=True)
class TurnMetrics:
    """Where a turn's time went, in ms; None where a stage did not happen.

    endpointing: last speech → turn end decided. transcript: turn end decided → final transcript.
    ttft: response started → first text. tts_first_chunk: first phrase sent to TTS → first sound.
    ttfa: turn end decided → first audible frame sent. voice_to_voice: last speech → the same.
    """

    turn: int
    response_id: str
    endpointing_ms: float | None
    transcript_ms: float | None
    ttft_ms: float | None
    tts_first_chunk_ms: float | None
    ttfa_ms: float | None
    voice_to_voice_ms: float | None
    speculative: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """Something went wrong that the client should know of; the session goes on.

    `item_id`: the words of that user item are lost. `response_id`: it was that response, whose end has told it.
    """

    code: str
    message: str
    kind: Literal["invalid_request_error", "server_error"]
    param: str | None = None
    client_event_id: str | None = None
    item_id: str | None = None
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class SpeculationDropped:
    """A prepared response was thrown away: what it had cost. Of interest to metrics only."""

    turn: int
    tokens: int  # that the language model had written
    audio_s: float


@dataclass(frozen=True, slots=True)
class InterruptionJudged:
    """Speech that paused the agent was `confirmed` as an interruption or not, `after_ms` it began. For metrics only."""

    turn: int
    confirmed: bool
    after_ms: int


@dataclass(frozen=True, slots=True)
class ContextSummarised:
    """A summary stands for so many more items; `error_code`: or could not be made. For metrics only."""

    items: int
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class Degraded:
    """The process is under pressure, or no longer. Levels are names of core.pressure.Level in lower case."""

    level: str
    previous: str
    effect: str


Notification = (
    StateChanged
    | SpeechStarted
    | SpeechStopped
    | TimeoutTriggered
    | AudioCommitted
    | AudioCleared
    | TranscriptPartial
    | TranscriptCompleted
    | ItemAdded
    | ItemDone
    | ItemDeleted
    | ItemTruncated
    | ResponseStarted
    | ResponseText
    | ResponseAudio
    | FunctionCalled
    | ResponseFinished
    | OutputAudioStarted
    | OutputAudioStopped
    | OutputAudioCleared
    | TurnMetrics
    | SpeculationDropped
    | InterruptionJudged
    | ContextSummarised
    | Degraded
    | Failed
)
