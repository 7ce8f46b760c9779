"""What a client may choose for its session; orchestrator/realtime/config.py maps it to and from the wire."""

from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core.functions import NO_FUNCTIONS, Functions
from orchestrator.core.history import Modality

Eagerness = Literal["low", "medium", "high", "auto"]

# Long enough to carry a character, short enough to be spoken: the words are heard, not read.
DEFAULT_INSTRUCTIONS = (
    "You are GoAssist, a friendly voice assistant. Your words are spoken aloud: answer in short plain sentences, "
    "without lists, markup or emoji. If you did not understand, ask."
)


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """How the end of a user's turn is found and what follows from it.

    `server_vad` waits for `silence_duration_ms` of silence; `semantic_vad` adapts the wait to what was said,
    within the bounds of `eagerness`. `create_response`: answer when a turn ends. `interrupt_response`: speech
    interrupts the agent. `idle_timeout_ms`: speak up after that much silence following a response (server_vad).
    """

    kind: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """Everything that a client may choose; a change holds from the next turn or response on.

    `voice`, `language`: None leaves the choice to the models. `hotwords`: words that recognition should expect.
    `speed`: 1.0 is the voice's own. `max_output_tokens`: None is the model's own limit. `turn_detection`: None
    is push-to-talk, where the client commits its audio and asks for responses itself. `functions`: what the client runs
    for the language model. `without`: what the client asked for last and does not get, by the names of
    realtime/extensions.py's WITHOUT; it takes no part in comparisons.
    """

    instructions: str = DEFAULT_INSTRUCTIONS
    voice: str | None = None
    speed: float = 1.0
    language: str | None = None
    hotwords: str | None = None
    modality: Modality = "audio"
    max_output_tokens: int | None = None
    temperature: float = 0.8
    turn_detection: TurnDetection | None = TurnDetection()
    functions: Functions = NO_FUNCTIONS
    without: tuple[str, ...] = field(default=(), compare=False)
