"""One utterance of the user, and what its recognition is asked for."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto

from orchestrator.core.endpointing_rules import SAMPLE_RATE
from orchestrator.core.interruption import Interruption
from orchestrator.echoed_beginning import EchoedBeginning
from orchestrator.triton.asr import Transcript, Utterance


class Ask(Enum):
    """What a turn's task is asked to do with the recogniser."""

    FLUSH = auto()
    FINISH = auto()
    DROP = auto()


@dataclass(slots=True, eq=False)
class UserTurn:
    """One utterance of the user, from its onset to its final transcript. Positions in samples since the call began."""

    number: int
    began_at: int
    utterance: Utterance
    asked: asyncio.Queue[Ask] = field(default_factory=asyncio.Queue)
    pauses: int = 0  # pauses and resumptions so far: tells whether a flush is still current
    partial: Transcript | None = None  # the newest
    transcript: Transcript | None = None  # of all the speech so far, made in the present pause
    interruption: Interruption | None = None
    doubted: Interruption | None = None  # the same after it was rejected before the words came, which still may
    not_echo: int = 0  # windows of voice in it that are not the agent's own
    kept: EchoedBeginning | None = None  # sound that the recogniser is still to get
    announced: bool = False  # the client knows that speech began
    last_speech: int = 0
    ended_at: int = 0
    ended_clock_s: float | None = None
    text: str | None = None  # the final transcript's

    @property
    def audio_s(self) -> float:
        """How much sound the utterance covers, once it has ended."""
        return max(0, self.ended_at - self.began_at) / SAMPLE_RATE
