"""How loud the speaker is: what is silence beside that, and which voices are somebody else's in the background.

Levels are dB of full scale, positions samples of 16 kHz.
"""

from orchestrator.core.endpointing_rules import SAMPLE_RATE, Rules

_FORGOTTEN_DB = 0.3  # a window; a shout is forgotten at about 10 dB a second


class Loudness:
    """One speaker's levels, window by window."""

    def __init__(self) -> None:
        self._until = 0  # the end of the last window
        self._last = 0.0  # its level
        self._level: float | None = None  # the utterance's running level
        self._peak = -200.0  # the utterance's loudest window
        self._usual_peak: float | None = None  # of this speaker's turns
        self._wary_until = 0  # until then a background voice is expected

    def heard(self, level_db: float, end_sample: int) -> None:
        """A window of whatever."""
        self._last, self._until = level_db, end_sample

    def begin(self) -> None:
        """The last window begins an utterance."""
        self._level, self._peak = None, self._last

    def is_silence(self, rules: Rules) -> bool:
        """Whether the last window is silence beside the utterance, of which it seems to be a part."""
        if self._level is None or self._last > self._level:
            self._level = self._last
        else:
            self._level = max(self._level - _FORGOTTEN_DB, self._last)
        self._peak = max(self._peak, self._last)
        return self._last < self._level - rules.fall_db

    def is_noisy(self, rules: Rules) -> bool:
        """Whether the last window, of a silence, is hardly softer than the utterance got."""
        return self._last > self._peak - rules.noisy_db

    def end_turn(self) -> None:
        """The utterance was a turn of the speaker's."""
        self._usual_peak = self._peak if self._usual_peak is None else (self._usual_peak + self._peak) / 2

    def is_faint(self, rules: Rules) -> bool:
        """Whether the last window was far softer than the speaker's turns get."""
        least_db = rules.distant_db if self._until < self._wary_until else rules.faint_db
        return self._usual_peak is not None and self._last < self._usual_peak - least_db

    def is_distant(self, rules: Rules) -> bool:
        """Whether no window of the utterance was nearly as loud as the speaker's turns get."""
        return self._usual_peak is not None and self._peak < self._usual_peak - rules.distant_db

    def beware(self, rules: Rules, *, again: bool = False) -> None:
        """A background voice was heard; `again`: only while one was expected."""
        if not again or self._until < self._wary_until:
            self._wary_until = self._until + rules.wary_ms * SAMPLE_RATE // 1000
