"""What one session does without: under backpressure, and where preparing answers in pauses does not pay."""

from collections import deque
from dataclasses import replace

from orchestrator.config import SessionConfig
from orchestrator.core.functions import NO_FUNCTIONS
from orchestrator.core.memory import Policy
from orchestrator.core.pressure import Level

BRIEF_TOKENS = 80
BRIEFLY = "Many people are calling just now: answer in one short sentence."

# A speaker who pauses often, or a recogniser that changes its mind: nearly all that is prepared is thrown away.
JUDGED, WASTED = 12, 11
TURNS_WITHOUT = 10

_EFFECTS = {
    Level.NORMAL: "Everything is as usual.",
    Level.ANIMATION_YIELD: "Answers begin a little later: they are not prepared in pauses.",
    Level.VERBOSITY_REDUCE: "Answers are shorter and begin a little later.",
    Level.TOOL_REFUSE: "Answers are shorter, begin a little later, and call no functions.",
    Level.SESSION_QUEUE: "Answers are shorter, begin a little later, and call no functions; new calls wait.",
    Level.SESSION_REJECT: "Answers are shorter, begin a little later, and call no functions; new calls are refused.",
}


def effect(level: Level) -> str:
    """What a level means, for people."""
    return _EFFECTS[level]


class Economy:
    """Adapts what a client chose to the `level` of backpressure and to what the session's speculations came to."""

    def __init__(self) -> None:
        self.level = Level.NORMAL
        self._wasted: deque[bool] = deque(maxlen=JUDGED)
        self._turns_without = 0

    def turn_began(self) -> None:
        """The user begins to speak, or asks for a response."""
        self._turns_without = max(0, self._turns_without - 1)

    def speculated(self, *, wasted: bool) -> None:
        """A prepared answer was thrown away, or heard."""
        self._wasted.append(wasted)
        if sum(self._wasted) >= WASTED:
            self._wasted.clear()
            self._turns_without = TURNS_WITHOUT

    def policy(self, chosen: Policy) -> Policy:
        """What the conversation does by itself from now on."""
        speculate = chosen.speculate and not self._turns_without and self.level < Level.ANIMATION_YIELD
        return replace(chosen, speculate=speculate)

    def config(self, chosen: SessionConfig) -> SessionConfig:
        """What the next answer is made with."""
        if self.level < Level.VERBOSITY_REDUCE:
            return chosen
        functions = chosen.functions if self.level < Level.TOOL_REFUSE else NO_FUNCTIONS
        most = min(chosen.max_output_tokens or BRIEF_TOKENS, BRIEF_TOKENS)
        return replace(
            chosen,
            instructions=f"{chosen.instructions}\n{BRIEFLY}".lstrip(),
            max_output_tokens=chosen.max_output_tokens if functions else most,  # half a call is none
            functions=functions,
        )
