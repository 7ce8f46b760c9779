"""What earlier speakers taught about the end-of-turn model: how far to believe it of one whom nobody knows yet.

The model was trained on some languages, accents and microphones. Where a service's callers have others, it doubts
sentences that were complete, and each new caller would have to wait for that to be found out.
"""

from collections import deque

REMEMBERED = 40
LEAST = 4  # doubts to be judged by
MOSTLY_VAIN = 0.5
SELDOM_VAIN = 0.2
OF_ONE_SPEAKER = 2  # doubts count; the others would only tell the same of the same voice


class Experience:
    """The model's doubts about words that were complete, over all speakers of a process."""

    def __init__(self) -> None:
        self._vain: deque[bool] = deque(maxlen=REMEMBERED)

    def doubted(self, *, vain: bool) -> None:
        """The model doubted complete words: in `vain` where the turn was over, rightly where the speaker went on."""
        self._vain.append(vain)

    def correct(self) -> None:
        """The last doubt that was thought vain was right: the speaker was only cut off."""
        last = next((index for index in reversed(range(len(self._vain))) if self._vain[index]), None)
        if last is not None:
            self._vain[last] = False

    @property
    def distrusts(self) -> bool:
        """Whether the model's doubts have been in vain for the most part."""
        return len(self._vain) >= LEAST and sum(self._vain) > MOSTLY_VAIN * len(self._vain)

    @property
    def trusts(self) -> bool:
        """Whether the model's doubts have seldom been in vain."""
        return len(self._vain) >= LEAST and sum(self._vain) <= SELDOM_VAIN * len(self._vain)
