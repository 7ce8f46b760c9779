"""Endpointing: when an utterance begins, pauses, goes on and is over.

Time is the count of 16 kHz samples received. Each window of sound brings the voice detector's probability and the
window's level; what the recogniser and the end-of-turn model think may arrive at any time, and changes how long
the present silence must be. Words count as far as the recogniser is sure of them: of words that it guessed only the
end-of-turn model can tell whether they were all. Speech is where the probability is high; silence begins where the
sound's level has fallen, since the detector's probability stays up 50-220 ms after the true end (measured, Silero v6).
"""

from dataclasses import dataclass

from orchestrator.core.endpointing_rules import SAMPLE_RATE, Rules
from orchestrator.core.experience import Experience
from orchestrator.core.loudness import Loudness
from orchestrator.core.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Began:
    """Speech began; its utterance starts at sample `at` (the prefix included)."""

    at: int


@dataclass(frozen=True, slots=True)
class Hesitated:
    """Silence since sample `since`, too short to be a pause yet."""

    since: int


@dataclass(frozen=True, slots=True)
class FellSilent:
    """Silence since sample `since`, long enough for the end-of-turn model to judge whether the utterance is over."""

    since: int


@dataclass(frozen=True, slots=True)
class Paused:
    """Silence since sample `since`; the utterance may be over."""

    since: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """Speech again after a hesitation or a pause, at sample `at`."""

    at: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The utterance is over: its last speech was at sample `last_speech`, decided at sample `at`."""

    last_speech: int
    at: int


Signal = Began | Hesitated | FellSilent | Paused | Resumed | Ended


@dataclass(slots=True)
class _Silence:
    """The present silence of an open utterance: since which sample, and what was made of it so far."""

    since: int
    hesitated: bool = False
    fell: bool = False  # long enough for the end-of-turn model
    paused: bool = False
    quiet: bool = False  # the detector has heard nothing for a moment
    stirs: bool = False  # it hears something again, softly


class Endpointer:
    """One speaker's endpointing: push windows in order, get signals. Time stands still between windows.

    `experience` is what other speakers taught about the end-of-turn model; this one adds to it.
    """

    def __init__(self, rules: Rules | None = None, experience: Experience | None = None) -> None:
        self._rules = rules or Rules()
        self._waiting = Waiting(self._rules, experience or Experience())
        self._loudness = Loudness()
        self.speaking = False  # an utterance is open
        self.voice = False  # the last window held voice
        self._voiced = 0  # samples of unbroken voice before the onset
        self._until = 0  # the end of the last window
        self._silence: _Silence | None = None  # in the open utterance
        self._last_speech = 0  # of the utterance before this one
        self._ended_at: int | None = None  # the turn before this one, by silence
        self._goes_on = False  # this utterance began too soon after it
        self.is_rest = False  # so soon that it can only be the rest of it
        self._patience = 0  # turns for which the speaker is given more time
        self._cut_off_again = False  # meanwhile

    @property
    def rules(self) -> Rules:
        """How the endpointer decides. A change holds from the next window on."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = self._waiting.rules = rules

    @property
    def in_pause(self) -> bool:
        """Whether an utterance is open and silent."""
        return self._silence is not None and self._silence.paused

    @property
    def faint(self) -> bool:
        """Whether the last window was far softer than this speaker's turns get."""
        return self._loudness.is_faint(self._rules)

    @property
    def distant(self) -> bool:
        """Whether no window of the open utterance was nearly as loud as this speaker's turns get."""
        return self._loudness.is_distant(self._rules)

    def beware(self) -> None:
        """A background voice was heard: be wary of more."""
        self._loudness.beware(self._rules)

    def dismiss(self) -> None:
        """Forget the utterance that has just begun: the speaker did not."""
        self._loudness.beware(self._rules, again=True)
        self.reset()

    def hear(self, text: str, confidence: float | None = None, *, final: bool = True) -> list[Signal]:
        """What the recogniser has understood of the open utterance so far; may end the turn.

        `confidence` is the probability (0 to 1) of the last words; None where the recogniser tells none. `final`: it
        has heard all there is. What is not final tells nothing more in a pause of which that was told.
        """
        if not self.speaking or not self._waiting.hear(text, confidence, final=final, paused=self.in_pause):
            return []
        if self._goes_on and text.strip():  # and no breath or click
            self._cut_off_again = self._patience > 0
            self._goes_on, self._patience = False, self._rules.patient_turns
            self._waiting.cut_off()
        return self._reconsider()

    def expect_words(self) -> None:
        """The recogniser was asked what was said up to the present pause."""
        if self.in_pause:
            self._waiting.expect_words()

    def expect_opinion(self) -> None:
        """The end-of-turn model was asked about the present silence."""
        if self._silence is not None and self._silence.fell:
            self._waiting.expect_opinion()

    def judge(self, probability: float | None) -> list[Signal]:
        """The end-of-turn model's probability that the turn is complete at the present silence; may end the turn.

        None where it has no opinion after all.
        """
        if self._silence is None or not self._silence.fell:
            return []
        self._waiting.judge(probability, noisy=self._loudness.is_noisy(self._rules))
        return self._reconsider()

    def wait_ms(self) -> int:
        """The silence that would end the turn, as far as is known now."""
        if self._rules.fixed_ms is not None:
            return self._rules.fixed_ms
        wait_ms = self._waiting.ms()
        if not self._patience:
            return wait_ms
        if not self._waiting.certain:
            return max(wait_ms, self._rules.patient_ms)
        return max(wait_ms, self._rules.patient_certain_ms) if self._cut_off_again else wait_ms

    def push(self, probability: float, level_db: float, end_sample: int, window: int = 512) -> list[Signal]:
        """One window of `window` samples that ends at `end_sample`. Returns what it brought about."""
        self._until = end_sample
        self._loudness.heard(level_db, end_sample)
        if not self.speaking:
            self.voice = probability >= self._rules.threshold
            return self._wait_for_onset(end_sample, window)
        self.voice = probability >= self._rules.release_threshold and not self._loudness.is_silence(self._rules)
        if self.voice:
            return self._go_on(end_sample - window)
        silence = self._silence = self._silence or _Silence(end_sample - window)
        # After quiet the detector notices a voice before it is loud.
        silence.stirs = silence.quiet and probability >= self._rules.threshold
        silence.quiet = silence.quiet or probability < self._rules.release_threshold
        return self._outlast(silence)

    def end(self, at: int) -> list[Signal]:
        """End the utterance, as the client does in push-to-talk."""
        if not self.speaking:
            return []
        self._last_speech = at if self._silence is None else self._silence.since
        self.reset()
        return [Ended(self._last_speech, at)]

    def reset(self) -> None:
        """Forget the open utterance."""
        self.speaking = self._goes_on = self.is_rest = False
        self._voiced, self._silence = 0, None
        self._waiting.begin()

    def _wait_for_onset(self, end_sample: int, window: int) -> list[Signal]:
        self._voiced = self._voiced + window if self.voice else 0
        if self._voiced * 1000 < self._rules.onset_ms * SAMPLE_RATE:
            return []
        onset = end_sample - self._voiced
        self.reset()
        self.speaking = True
        self._loudness.begin()
        if self._ended_at is not None:
            after_ms = (onset - self._ended_at) * 1000 // SAMPLE_RATE
            self._goes_on, self.is_rest = after_ms <= self._rules.cut_off_ms, after_ms <= self._rules.rest_ms
        # The prefix is silence: it does not reach into the speech before it.
        return [Began(max(self._last_speech, onset - self._rules.prefix_ms * SAMPLE_RATE // 1000))]

    def _go_on(self, at: int) -> list[Signal]:
        """There is voice at sample `at`."""
        silence, self._silence = self._silence, None
        if silence is None or not silence.hesitated:
            return []
        self._waiting.went_on((at - silence.since) * 1000 // SAMPLE_RATE)
        return [Resumed(at)]

    def _outlast(self, silence: _Silence) -> list[Signal]:
        """The silence goes on."""
        silent_ms = self._silent_ms(silence)
        signals: list[Signal] = []
        if not silence.hesitated and silent_ms >= self._rules.hesitation_ms:
            silence.hesitated = True
            signals.append(Hesitated(silence.since))
        pause_ms = min(self._rules.pause_ms, self.wait_ms())
        if not silence.fell and silent_ms >= min(self._rules.judge_ms, pause_ms):
            silence.hesitated = silence.fell = True
            signals.append(FellSilent(silence.since))
        if not silence.paused and silent_ms >= pause_ms:
            silence.paused = True
            signals.append(Paused(silence.since))
        return signals + self._reconsider()

    def _silent_ms(self, silence: _Silence) -> int:
        return (self._until - silence.since) * 1000 // SAMPLE_RATE

    def _reconsider(self) -> list[Signal]:
        silence = self._silence
        if silence is None or not silence.paused:
            return []
        over_ms = self._silent_ms(silence) - self.wait_ms()
        if over_ms < 0 or (silence.stirs and over_ms < self._rules.stirring_ms):
            return []
        self._waiting.ended()
        self._loudness.end_turn()
        self._patience = max(0, self._patience - 1)
        self._ended_at = self._until
        return self.end(self._until)
