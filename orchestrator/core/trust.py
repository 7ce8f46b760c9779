"""How far the end-of-turn model is believed about one speaker: what its opinions were worth so far."""

from enum import Enum, auto

from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import OF_ONE_SPEAKER, Experience

MOST_VAIN_DOUBTS = 4  # are remembered, so that not one right doubt makes up for all of them


class Outlook(Enum):
    """What the model thinks of a pause, from the turn's end to its middle."""

    CERTAIN = auto()
    SURE = auto()
    INCLINED = auto()
    OPEN = auto()
    DOUBTED = auto()
    DENIED = auto()


class Trust:
    """One speaker's; `experience` is what others taught, and this one adds to it.

    `went_on`, `ended` and `cut_off` tell what became of a pause about which the model had an opinion (0 to 1) or none.
    `tells`: it added something to the words; `complete`: these were complete and understood.
    """

    def __init__(self, rules: Rules, experience: Experience) -> None:
        self.rules = rules
        self._experience = experience
        self._lessons = 0  # what was added to it
        self._vain_doubts = MOST_VAIN_DOUBTS if experience.distrusts else 0  # less those that were right
        # Of the last turn's end: what the model thought, and whether that became a lesson.
        self._ended_in_doubt = self._taught = False
        self.doubts_rightly = experience.trusts
        """It did, of the last pause or end of which it doubted."""

    @property
    def discredited(self) -> bool:
        """The model does not understand this speaker."""
        return self._vain_doubts >= self.rules.vain_doubts

    @property
    def unbroken(self) -> bool:
        """No doubt was in vain that was not made up for."""
        return not self._vain_doubts

    def outlook(self, opinion: float | None, *, noisy: bool = False) -> Outlook | None:
        """What the opinion means, which may be of a noisy silence; None where there is none, or it does not count."""
        rules = self.rules
        if opinion is None or self.discredited:
            return None
        if self.is_certain(opinion, noisy=noisy):
            return Outlook.CERTAIN
        if opinion >= rules.model_sure:
            return Outlook.SURE
        if opinion >= rules.model_inclined:
            return Outlook.INCLINED
        if opinion > rules.model_doubts:
            return Outlook.OPEN
        return Outlook.DOUBTED if opinion > rules.model_denies else Outlook.DENIED

    def is_certain(self, opinion: float | None, *, noisy: bool = False) -> bool:
        """Whether the model is certain that the turn is over, believed or not."""
        least = self.rules.model_certain_in_noise if noisy else self.rules.model_certain
        return opinion is not None and opinion >= least

    def went_on(self, opinion: float | None, *, tells: bool, complete: bool, lasted: bool) -> None:
        """There was more; `lasted`: after more than the silence between two words."""
        if self._doubts(opinion) and tells:
            self._vain_doubts = max(0, self._vain_doubts - 1)
            self.doubts_rightly = self.doubts_rightly or lasted
            self._teach(vain=False, complete=complete)

    def ended(self, opinion: float | None, *, tells: bool, complete: bool) -> None:
        """The turn was over."""
        self._ended_in_doubt = self._doubts(opinion) and tells
        if self._ended_in_doubt:
            self._vain_doubts = min(MOST_VAIN_DOUBTS, self._vain_doubts + 1)
            self.doubts_rightly = False
            self._teach(vain=True, complete=complete)

    def cut_off(self) -> None:
        """The turn that had ended was not over: the opposite is to be learned from it."""
        if self._ended_in_doubt:
            self._vain_doubts = max(0, self._vain_doubts - 2)
            self.doubts_rightly = True
            if self._taught:
                self._experience.correct()
        self._ended_in_doubt = False

    def _teach(self, *, vain: bool, complete: bool) -> None:
        self._taught = complete and self._lessons < OF_ONE_SPEAKER
        if self._taught:
            self._lessons += 1
            self._experience.doubted(vain=vain)

    def _doubts(self, opinion: float | None) -> bool:
        return opinion is not None and opinion <= self.rules.model_doubts
