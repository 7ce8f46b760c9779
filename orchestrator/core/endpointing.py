"""Endpointing: when an utterance begins, pauses, goes on and is over.

Time is the count of 16 kHz samples received. Each window of sound brings the voice detector's probability and the
window's level; what the recogniser and the end-of-turn model think may arrive at any time, and changes how long
the present silence must be. Words count as far as the recogniser is sure of them: of words that it guessed only the
end-of-turn model can tell whether they were all. Speech is where the probability is high; silence begins where the
sound's level has fallen, since the detector's probability stays up 50-220 ms after the true end (measured, Silero v6).
"""

from dataclasses import dataclass

from orchestrator.core.completeness import Completeness, completeness
from orchestrator.core.endpointing_rules import SAMPLE_RATE, Rules
from orchestrator.core.experience import OF_ONE_SPEAKER, Experience
from orchestrator.core.loudness import Loudness


@dataclass(frozen=True, slots=True)
class Began:
    """Speech began; its utterance starts at sample `at` (the prefix included)."""

    at: int


@dataclass(frozen=True, slots=True)
class Hesitated:
    """Silence since sample `since`, too short to be a pause yet."""

    since: int


@dataclass(frozen=True, slots=True)
class Paused:
    """Silence since sample `since`; the utterance may be over."""

    since: int


@dataclass(frozen=True, slots=True)
class Lasted:
    """The pause since sample `since` lasts: a second opinion of the end-of-turn model may be better than the first."""

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


Signal = Began | Hesitated | Paused | Lasted | Resumed | Ended


class Endpointer:
    """One speaker's endpointing: push windows in order, get signals. Time stands still between windows.

    `experience` is what other speakers taught; this one adds to it.
    """

    def __init__(self, rules: Rules | None = None, experience: Experience | None = None) -> None:
        self.rules = rules or Rules()
        self._experience = experience or Experience()
        self._lessons = 0  # what was added to it
        self.speaking = False  # an utterance is open
        self.voice = False  # the last window held voice
        self._voiced = 0  # samples of unbroken voice before the onset
        self._silent_since: int | None = None
        self._quiet = False  # the detector has heard nothing since
        self._stirs = False  # it hears something again
        self._last_speech = 0  # of the utterance before this one
        self._hesitated = False
        self._paused = False
        self._lasted = False
        self._until = 0  # the end of the last window
        self._ended_at: int | None = None  # the turn before this one, by silence
        self._goes_on = False  # this utterance began too soon after it
        self._patience = 0  # turns for which the speaker is given more time
        self._loudness = Loudness()
        self._words: Completeness | None = None  # how complete they sound; None while there are none
        self._trusted = True  # the recogniser is sure of them
        self._plausible = True  # or at least not wholly unsure
        self._opinion: float | None = None  # the end-of-turn model's, of the present pause
        self._opinion_due = False  # it was asked
        self._words_due = False  # the recogniser was
        self._words_known = False  # and has answered
        # Of this speaker's ends, less the doubts that were right.
        self._vain_doubts = self.rules.vain_doubts if self._experience.distrusts else 0
        self._wrongly_sure = 0  # the model, of this speaker's pauses, less the times when it was rightly so
        self._hesitant = False  # the speaker has paused in this utterance

    @property
    def in_pause(self) -> bool:
        """Whether an utterance is open and silent."""
        return self._paused

    @property
    def faint(self) -> bool:
        """Whether the last window was far softer than this speaker's turns get."""
        return self._loudness.is_faint(self.rules)

    @property
    def distant(self) -> bool:
        """Whether no window of the open utterance was nearly as loud as this speaker's turns get."""
        return self._loudness.is_distant(self.rules)

    def beware(self) -> None:
        """A background voice was heard: be wary of more."""
        self._loudness.beware(self.rules)

    def dismiss(self) -> None:
        """Forget the utterance that has just begun: the speaker did not."""
        self._loudness.beware(self.rules, again=True)
        self.reset()

    def hear(self, text: str, confidence: float | None = None, *, final: bool = True) -> list[Signal]:
        """What the recogniser has understood of the open utterance so far; may end the turn.

        `confidence` is the probability (0 to 1) of the last words; None where the recogniser tells none. `final`: it
        has heard all there is. What is not final tells nothing more in a pause of which that was told.
        """
        if not self.speaking or (self._words_known and not final):
            return []
        if final:
            self._words_due, self._words_known = False, self._paused
        self._words = completeness(text, english=self.rules.english) if text.strip() else None
        self._trusted = confidence is None or confidence >= self.rules.trusted
        self._plausible = confidence is None or confidence >= self.rules.plausible
        return self._reconsider()

    def expect_words(self) -> None:
        """The recogniser was asked what was said up to the present pause."""
        self._words_due = self._paused

    def expect_opinion(self) -> None:
        """The end-of-turn model was asked about the present pause."""
        self._opinion_due = self._paused

    def judge(self, probability: float | None) -> list[Signal]:
        """The end-of-turn model's probability that the turn is complete at the present pause; may end the turn.

        None where it has no opinion after all.
        """
        if not self._paused:
            return []
        self._opinion_due = False
        if probability is not None:
            self._opinion = probability
        return self._reconsider()

    def wait_ms(self) -> int:
        """The silence that would end the turn, as far as is known now."""
        if self.rules.fixed_ms is not None:
            return self.rules.fixed_ms
        wait_ms = self._wait_ms()
        if self._words_due:
            wait_ms = max(wait_ms, self.rules.words_ms)
        if self._hesitant and not self._convinced and (self._trusted or self._words is None):
            wait_ms = max(wait_ms, self.rules.hesitant_ms)
        return max(wait_ms, self.rules.patient_ms) if self._patience else wait_ms

    def _wait_ms(self) -> int:
        rules = self.rules
        if self._words is not None and not self._trusted:
            return self._wait_without_words()
        by_words = {
            None: rules.unheard_ms,
            Completeness.COMPLETE: rules.complete_ms,
            Completeness.UNCLEAR: rules.unclear_ms,
            Completeness.DICTATED: rules.dictated_ms,
            Completeness.TRAILING: rules.trailing_ms,
        }[self._words]
        complete = self._words is Completeness.COMPLETE
        if self._opinion is None:
            return max(by_words, rules.opinion_ms) if self._opinion_due else by_words
        if self._opinion >= rules.model_complete:
            if complete:
                return rules.complete_ms
            if by_words > rules.unheard_ms:
                return rules.unclear_ms
            return rules.agreed_ms if self._words is None or self._convinced else min(by_words, rules.inclined_ms)
        if self._doubted:
            if complete:
                return rules.complete_ms if self._discredited else rules.doubted_ms
            return max(by_words, rules.incomplete_ms)
        return by_words

    @property
    def _doubted(self) -> bool:
        return self._opinion is not None and self._opinion <= self.rules.model_incomplete

    @property
    def _sure(self) -> bool:
        return self._opinion is not None and self._opinion >= self.rules.model_sure

    @property
    def _convinced(self) -> bool:
        """The model is sure that the turn is complete, and was not wrong in that about this speaker."""
        return self._sure and not self._wrongly_sure

    @property
    def _discredited(self) -> bool:
        """The model does not understand this speaker."""
        return self._vain_doubts >= self.rules.vain_doubts

    def _wait_without_words(self) -> int:
        """There are words, but they were guessed."""
        rules, opinion = self.rules, self._opinion
        if opinion is None:
            return max(rules.unclear_ms, rules.opinion_ms) if self._opinion_due else rules.unclear_ms
        if opinion >= rules.model_complete:
            if self._words is Completeness.TRAILING and self._plausible:
                return rules.unclear_ms
            return rules.complete_ms if opinion >= rules.model_sure else rules.likely_ms
        if opinion > rules.model_incomplete:
            return rules.unheard_ms
        if self._discredited:
            # Words that were guessed tell more than nothing.
            return rules.likely_ms if self._words is Completeness.COMPLETE else rules.incomplete_ms
        denied = opinion <= rules.model_denies and not self._vain_doubts
        return rules.denied_ms if denied else rules.incomplete_ms

    def push(self, probability: float, level_db: float, end_sample: int, window: int = 512) -> list[Signal]:
        """One window of `window` samples that ends at `end_sample`. Returns what it brought about."""
        self._until = end_sample
        self._loudness.heard(level_db, end_sample)
        voice = self.voice = self._is_voice(probability)
        if not self.speaking:
            return self._wait_for_onset(voice, end_sample, window)
        if voice:
            paused_at, self._silent_since, self._quiet = self._silent_since, None, False
            self._stirs = False
            if self._hesitated:
                assert paused_at is not None
                self._went_on(end_sample - window - paused_at)
                self._hesitated = self._paused = self._lasted = False
                self._opinion_due = self._words_due = self._words_known = False
                self._opinion = None
                return [Resumed(end_sample - window)]
            return []
        if self._silent_since is None:
            self._silent_since = end_sample - window
        silent_ms = self._silent_ms()
        signals: list[Signal] = []
        if not self._hesitated and silent_ms >= self.rules.hesitation_ms:
            self._hesitated = True
            if self._goes_on:
                self._goes_on, self._patience = False, self.rules.patient_turns
            signals.append(Hesitated(self._silent_since))
        if not self._paused and silent_ms >= min(self.rules.pause_ms, self.wait_ms()):
            self._hesitated = self._paused = True
            signals.append(Paused(self._silent_since))
        elif self._paused and not self._lasted and silent_ms >= self.rules.lasting_ms:
            self._lasted = True
            signals.append(Lasted(self._silent_since))
        return signals + self._reconsider()

    def end(self, at: int) -> list[Signal]:
        """End the utterance, as the client does in push-to-talk."""
        if not self.speaking:
            return []
        self._last_speech = at if self._silent_since is None else self._silent_since
        self.reset()
        return [Ended(self._last_speech, at)]

    def reset(self) -> None:
        """Forget the open utterance."""
        self.speaking = self._hesitated = self._paused = self._lasted = False
        self._opinion_due = self._words_due = self._words_known = False
        self._voiced, self._silent_since, self._opinion = 0, None, None
        self._quiet = self._stirs = False
        self._words, self._trusted, self._plausible = None, True, True
        self._goes_on = self._hesitant = False

    def _is_voice(self, probability: float) -> bool:
        if not self.speaking:
            return probability >= self.rules.threshold
        # After quiet the detector notices a voice before it is loud.
        self._stirs = self._quiet and probability >= self.rules.threshold
        if probability < self.rules.release_threshold:
            self._quiet = True
            return False
        return not self._loudness.is_silence(self.rules)

    def _wait_for_onset(self, voice: bool, end_sample: int, window: int) -> list[Signal]:
        self._voiced = self._voiced + window if voice else 0
        if self._voiced * 1000 < self.rules.onset_ms * SAMPLE_RATE:
            return []
        onset = end_sample - self._voiced
        self.reset()
        self.speaking = True
        self._loudness.begin()
        cut_off = self.rules.cut_off_ms * SAMPLE_RATE // 1000
        self._goes_on = self._ended_at is not None and onset - self._ended_at <= cut_off
        # The prefix is silence: it does not reach into the speech before it.
        return [Began(max(self._last_speech, onset - self.rules.prefix_ms * SAMPLE_RATE // 1000))]

    def _went_on(self, pause: int) -> None:
        """The silence was a pause of so many samples: what is to be learned from it."""
        if self._doubted:
            self._vain_doubts = max(0, self._vain_doubts - 1)
            self._learn(vain=False)
        if self._sure:
            self._wrongly_sure = 1
        if pause * 1000 >= self.rules.hesitation_lasts_ms * SAMPLE_RATE:
            self._hesitant = True

    def _learn(self, *, vain: bool) -> None:
        if self._words is Completeness.COMPLETE and self._trusted and self._lessons < OF_ONE_SPEAKER:
            self._lessons += 1
            self._experience.doubted(vain=vain)

    def _silent_ms(self) -> int:
        assert self._silent_since is not None
        return (self._until - self._silent_since) * 1000 // SAMPLE_RATE

    def _reconsider(self) -> list[Signal]:
        if not self._paused:
            return []
        over_ms = self._silent_ms() - self.wait_ms()
        if over_ms < 0 or (self._stirs and over_ms < self.rules.stirring_ms):
            return []
        if self._doubted:
            self._vain_doubts = min(self.rules.vain_doubts, self._vain_doubts + 1)
            self._learn(vain=True)
        if self._sure:
            self._wrongly_sure = 0
        self._loudness.end_turn()
        self._patience = max(0, self._patience - 1)
        self._ended_at = self._until
        return self.end(self._until)
