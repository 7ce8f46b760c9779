"""How long a silence must be to end the turn: by the words, the end-of-turn model, and what both were worth so far."""

from orchestrator.core.completeness import Completeness, completeness
from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import OF_ONE_SPEAKER, Experience


class Waiting:
    """One speaker's words and pauses, and the model's opinions of them.

    An utterance begins with `begin`; `went_on` follows a silence after which there was more, `ended` the last one.
    `experience` is what other speakers taught; this one adds to it.
    """

    def __init__(self, rules: Rules, experience: Experience) -> None:
        self.rules = rules
        self._experience = experience
        self._lessons = 0  # what was added to it
        # Of this speaker's ends, less the doubts that were right.
        self._vain_doubts = rules.vain_doubts if experience.distrusts else 0
        self._wrongly_sure = False  # the model was, of the last pause of which it was sure
        # Of the utterance.
        self._words: Completeness | None = None  # how complete they sound; None while there are none
        self._trusted = True  # the recogniser is sure of them
        self._plausible = True  # or at least not wholly unsure
        self._hesitant = False  # the speaker has paused in it
        # Of the present silence.
        self._opinion: float | None = None  # the model's
        self._opinion_due = self._words_due = False  # the model was asked, and the recogniser
        self._words_known = False  # the recogniser has answered

    def begin(self) -> None:
        """A new utterance."""
        self._words, self._trusted, self._plausible = None, True, True
        self._hesitant = False
        self._end_silence()

    def hear(self, text: str, confidence: float | None, *, final: bool, paused: bool) -> bool:
        """What was understood so far, and whether that tells anything new; see Endpointer.hear."""
        if self._words_known and not final:
            return False
        if final:
            self._words_due, self._words_known = False, paused
        self._words = completeness(text, english=self.rules.english) if text.strip() else None
        self._trusted = confidence is None or confidence >= self.rules.trusted
        self._plausible = confidence is None or confidence >= self.rules.plausible
        return True

    def expect_words(self) -> None:
        """The recogniser was asked what was said up to the present pause."""
        self._words_due = True

    def expect_opinion(self) -> None:
        """The model was asked about the present pause."""
        self._opinion_due = True

    def judge(self, probability: float | None) -> None:
        """The model's probability that the turn is complete; None where it has no opinion after all."""
        self._opinion_due = False
        if probability is not None:
            self._opinion = probability

    def went_on(self, pause_ms: int) -> None:
        """The silence was a pause: what is to be learned from it."""
        if self._doubted:
            self._vain_doubts = max(0, self._vain_doubts - 1)
            self._learn(vain=False)
        self._wrongly_sure = self._wrongly_sure or self._sure
        self._hesitant = self._hesitant or pause_ms >= self.rules.hesitation_lasts_ms
        self._end_silence()

    def ended(self) -> None:
        """The silence was the turn's end: what is to be learned from it."""
        if self._doubted:
            self._vain_doubts = min(self.rules.vain_doubts, self._vain_doubts + 1)
            self._learn(vain=True)
        self._wrongly_sure = self._wrongly_sure and not self._sure

    def ms(self) -> int:
        """The silence that would end the turn, as far as is known now."""
        wait_ms = self._by_words_and_opinion() if self._trusted or self._words is None else self._by_opinion()
        if self._words_due:
            wait_ms = max(wait_ms, self.rules.words_ms)
        if self._hesitant and (self._trusted or self._words is None):
            wait_ms = max(wait_ms, self.rules.likely_ms if self._convinced else self.rules.hesitant_ms)
        return wait_ms

    def _by_words_and_opinion(self) -> int:
        rules = self.rules
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

    def _by_opinion(self) -> int:
        """There are words, but they were guessed."""
        rules, opinion = self.rules, self._opinion
        if opinion is None:
            return max(rules.unclear_ms, rules.opinion_ms) if self._opinion_due else rules.unclear_ms
        if opinion >= rules.model_complete:
            if self._words is Completeness.TRAILING and self._plausible:
                return rules.unclear_ms
            return rules.complete_ms if self._sure else rules.likely_ms
        if not self._doubted:
            return rules.unheard_ms
        if self._discredited:
            # Words that were guessed tell more than nothing.
            return rules.likely_ms if self._words is Completeness.COMPLETE else rules.incomplete_ms
        denied = opinion <= rules.model_denies and not self._vain_doubts
        return rules.denied_ms if denied else rules.incomplete_ms

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

    def _end_silence(self) -> None:
        self._opinion = None
        self._opinion_due = self._words_due = self._words_known = False

    def _learn(self, *, vain: bool) -> None:
        if self._words is Completeness.COMPLETE and self._trusted and self._lessons < OF_ONE_SPEAKER:
            self._lessons += 1
            self._experience.doubted(vain=vain)
