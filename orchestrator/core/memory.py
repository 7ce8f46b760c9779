"""What a conversation remembers besides its state."""

from dataclasses import dataclass

from orchestrator.core.events import Event, Speculate


@dataclass(frozen=True, slots=True)
class Policy:
    """What the client chose: answer by itself, be interruptible, prepare answers during pauses."""

    create_response: bool = True
    interrupt_response: bool = True
    speculate: bool = True


@dataclass(frozen=True, slots=True)
class Memory:
    """All that the conversation remembers besides its state."""

    policy: Policy = Policy()
    latest: int = 0  # the highest turn number seen: a number is used once
    utterance: int | None = None  # the turn whose speech has begun and not ended
    response: int | None = None  # the turn that is being answered
    complete: bool = False  # the client was told that this response is complete: only its playing is left
    awaited: int | None = None  # the response that was asked for meanwhile, to follow it
    speculation: Speculate | None = None  # the answer that is prepared and held
    paused: bool = False  # playout waits for the verdict on an interruption
    unanswered: int | None = None  # the response that speech cancelled before a sound of it was heard
    kept: tuple[Event, ...] = ()  # what arrived while it could not be acted upon, in order
