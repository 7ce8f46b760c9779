"""The first sound of an utterance that begins while the agent is heard in the microphone."""

from collections.abc import Callable

import numpy as np

from orchestrator.core.endpointing_rules import SAMPLE_RATE
from orchestrator.echo_removal import NEEDED, without_echo
from orchestrator.recent_sound import RecentSound

# So much sound before the onset belongs to the utterance: less than else, since what is left of the echo is in it.
PREFIX = SAMPLE_RATE * 160 // 1000
# So long after the onset, and the echo's delay, the agent has fallen silent.
FALLING_SILENT = SAMPLE_RATE * 80 // 1000
LONGEST = SAMPLE_RATE * 320 // 1000


class EchoedBeginning:
    """Made at the onset, out of the microphone's `sound`. It is kept from the recogniser until the echo `is_over`.

    `played` gives what the agent said lately, INT16 mono at 16 kHz, and `delay` is how many samples late that is heard.
    """

    def __init__(self, sound: RecentSound, played: Callable[[], bytes], delay: int) -> None:
        self._sound = sound
        self._played = played
        self._onset = sound.received
        self._until = self._onset + min(delay + FALLING_SILENT, LONGEST)
        self.at = self._onset - PREFIX
        """The first sample that may belong to the utterance."""

    @property
    def is_over(self) -> bool:
        """Whether what comes now holds no echo any more."""
        return self._sound.received >= self._until

    def since(self, sample: int) -> bytes:
        """All sound from `sample` to now, freed of the agent's voice."""
        begin = min(sample, self._onset - NEEDED)
        microphone = np.frombuffer(self._sound.since(begin), "<i2")
        after_onset, asked = self._sound.received - self._onset, self._sound.received - sample
        freed = without_echo(microphone, np.frombuffer(self._played(), "<i2"), microphone.size - after_onset)
        return freed[-asked:].tobytes()
