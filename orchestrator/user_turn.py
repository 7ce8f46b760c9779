"""One utterance of the user."""

from dataclasses import dataclass, field

from orchestrator.core.endpointing_rules import SAMPLE_RATE
from orchestrator.core.interruption import Interruption
from orchestrator.recognition import Recognition
from orchestrator.triton.asr import Transcript


@dataclass(slots=True, eq=False)
class UserTurn:
    """One utterance of the user, from its onset to its final transcript. Positions in samples since the call began."""

    number: int
    began_at: int
    recognition: Recognition = field(init=False)
    newest: Transcript | None = None  # partial or final
    interruption: Interruption | None = None
    doubted: Interruption | None = None  # the same after it was rejected before the words came, which still may
    not_echo: int = 0  # windows of voice in it that are not the agent's own
    announced: bool = False  # the client knows that speech began
    last_speech: int = 0
    by_client: bool = False  # the client ended it, and will ask for an answer where it wants one
    ended_at: int = 0
    ended_clock_s: float | None = None
    text: str | None = None  # the final transcript's
    told_lost: bool = False  # the client knows that the words of this item could not be recognised

    @property
    def audio_s(self) -> float:
        """How much sound the utterance covers, once it has ended."""
        return max(0, self.ended_at - self.began_at) / SAMPLE_RATE
