"""Events that the conversation receives and commands that it returns.

A turn is one user utterance and its response. Turn numbers grow; every event that can come late carries
the turn it belongs to, so that a late one is recognised and ignored.
"""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where the conversation is; the values are the names on the wire."""

    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user begins an utterance, which opens the turn of that number."""

    turn: int


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """The user is silent for a moment; `text` is what was said so far."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The user goes on after a pause: the turn has not ended."""

    turn: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The user's utterance is over; `text` is its final transcript, empty where there were no words.

    `by_client`: the client ended it, and says by itself whether it is to be answered.
    """

    turn: int
    text: str
    by_client: bool = False


@dataclass(frozen=True, slots=True)
class ResponseRequested:
    """A response is asked for without speech: typed text, or the client's own request."""

    turn: int


@dataclass(frozen=True, slots=True)
class PlaybackStarted:
    """The first sample of the response has been sent."""

    turn: int


@dataclass(frozen=True, slots=True)
class ResponseCompleted:
    """The client was told that the response is complete; it may still be played."""

    turn: int


@dataclass(frozen=True, slots=True)
class PlaybackFinished:
    """The response is complete and its last sample has been sent."""

    turn: int


@dataclass(frozen=True, slots=True)
class ResponseFailed:
    """The response cannot go on: a model was lost, timed out or refused."""

    turn: int


@dataclass(frozen=True, slots=True)
class ResponseCancelled:
    """Every task and stream of a cancelled response has ended."""

    turn: int


@dataclass(frozen=True, slots=True)
class InterruptionConfirmed:
    """The speech that paused playout was meant for the agent; `turn` is the speech's own."""

    turn: int


@dataclass(frozen=True, slots=True)
class InterruptionRejected:
    """The speech that paused playout was a cough, a backchannel or noise."""

    turn: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The client asks for silence (response.cancel, output_audio_buffer.clear)."""


@dataclass(frozen=True, slots=True)
class PromptChanged:
    """The client changed what answers are made of: the conversation's items, or how it wants to be answered."""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over."""


Event = (
    SpeechStarted
    | SpeechPaused
    | SpeechResumed
    | TurnEnded
    | ResponseRequested
    | PlaybackStarted
    | ResponseCompleted
    | PlaybackFinished
    | ResponseFailed
    | ResponseCancelled
    | InterruptionConfirmed
    | InterruptionRejected
    | CancelRequested
    | PromptChanged
    | HungUp
)


def turn_of(event: Event) -> int:
    """The turn of an event that belongs to one."""
    assert not isinstance(event, CancelRequested | PromptChanged | HungUp)
    return event.turn


@dataclass(frozen=True, slots=True)
class Enter:
    """The conversation went from `previous` to `state`; `turn` is the turn that made it."""

    state: State
    previous: State
    turn: int


@dataclass(frozen=True, slots=True)
class Speculate:
    """Prepare the response to `text` and hold its audio."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class DropSpeculation:
    """Forget the held response without a trace."""

    turn: int


@dataclass(frozen=True, slots=True)
class CommitUserTurn:
    """The utterance belongs to the history now."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class StartResponse:
    """Answer the history as it stands.

    `instead_of`: the response that this one makes up for, of which speech that came to nothing cut off every sound.
    """

    turn: int
    instead_of: int | None = None


@dataclass(frozen=True, slots=True)
class RefuseResponse:
    """Tell the client that the response it asked for is not begun: another is under way.

    `overtaken`: or the user interrupted the one that it was to follow.
    """

    turn: int
    overtaken: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """The held response is the right one: let its audio out."""

    turn: int


@dataclass(frozen=True, slots=True)
class PausePlayout:
    """Fall silent at once, losing nothing."""

    turn: int


@dataclass(frozen=True, slots=True)
class ResumePlayout:
    """Go on where playout was paused."""

    turn: int


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """Silence the response for good and cancel its streams; answered by ResponseCancelled."""

    turn: int


@dataclass(frozen=True, slots=True)
class TruncateHistory:
    """Keep only the words of the response that were heard."""

    turn: int


@dataclass(frozen=True, slots=True)
class ReportFailure:
    """Tell the user that the response failed."""

    turn: int


@dataclass(frozen=True, slots=True)
class CloseSession:
    """Release everything that the call holds."""


Command = (
    Enter
    | Speculate
    | DropSpeculation
    | CommitUserTurn
    | StartResponse
    | RefuseResponse
    | ReleaseResponse
    | PausePlayout
    | ResumePlayout
    | CancelResponse
    | TruncateHistory
    | ReportFailure
    | CloseSession
)
