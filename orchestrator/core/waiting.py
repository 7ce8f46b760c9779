"""How long a silence must be to end the turn: by the words, the end-of-turn model, and what both were worth so far."""

from enum import Enum, auto

from orchestrator.core.completeness import Completeness, completeness
from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import OF_ONE_SPEAKER, Experience

MOST_VAIN_DOUBTS = 4  # are remembered of a speaker, so that not one right doubt makes up for all of them


class Outlook(Enum):
    """What the end-of-turn model thinks of a pause."""

    CERTAIN = auto()  # it is the end
    SURE = auto()
    INCLINED = auto()
    OPEN = auto()
    DOUBTED = auto()
    DENIED = auto()


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
        self._vain_doubts = MOST_VAIN_DOUBTS if experience.distrusts else 0
        self._rightly_doubted = experience.trusts  # the model did, of the last pause or end of which it doubted
        self._wrongly_sure = False  # and was certain in vain, of the last one of which it was certain
        self._ended_sure = self._ended_in_doubt = False  # it was certain of the last end, or doubted it
        self._taught = False  # the last lesson was added to the experience
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
        if self._doubted and self._tells:
            self._vain_doubts = max(0, self._vain_doubts - 1)
            self._rightly_doubted = self._rightly_doubted or pause_ms >= self.rules.hesitation_lasts_ms
            self._learn(vain=False)
        self._wrongly_sure = self._wrongly_sure or self._sure
        self._hesitant = self._hesitant or pause_ms >= self.rules.hesitation_lasts_ms
        self._end_silence()

    def ended(self) -> None:
        """The silence was the turn's end: what is to be learned from it."""
        if self._doubted and self._tells:
            self._vain_doubts = min(MOST_VAIN_DOUBTS, self._vain_doubts + 1)
            self._rightly_doubted = False
            self._learn(vain=True)
        self._ended_sure, self._ended_in_doubt = self._sure, self._doubted and self._tells
        self._wrongly_sure = self._wrongly_sure and not self._sure

    def cut_off(self) -> None:
        """The turn's end was none: what was learned from it was wrong."""
        self._wrongly_sure = self._wrongly_sure or self._ended_sure
        if self._ended_in_doubt:
            self._vain_doubts = max(0, self._vain_doubts - 2)
            self._rightly_doubted = True
            if self._taught:
                self._experience.correct()

    def ms(self) -> int:
        """The silence that would end the turn, as far as is known now."""
        outlook = None if self._discredited else self._outlook()
        wait_ms = self._by_words() if outlook is None else self._by_outlook(outlook)
        if self._words_due:
            wait_ms = max(wait_ms, self.rules.words_ms)
        return wait_ms

    @property
    def certain(self) -> bool:
        """Whether the model is certain that the turn is over, and may be believed."""
        return not self._discredited and self._outlook() is Outlook.CERTAIN

    def _by_words(self) -> int:
        """What the model thinks is not known, or does not count."""
        rules = self.rules
        if not self._trusted and self._words is not None:
            wait_ms = rules.unclear_ms
            if self._opinion is not None:
                # Words that were guessed tell more than nothing.
                wait_ms = rules.open_ms if self._words is Completeness.COMPLETE else rules.incomplete_ms
        else:
            wait_ms = {
                None: rules.unheard_ms,
                Completeness.COMPLETE: rules.complete_ms,
                Completeness.UNCLEAR: rules.unclear_ms,
                Completeness.DICTATED: rules.dictated_ms,
                Completeness.TRAILING: rules.trailing_ms,
            }[self._words]
            if self._hesitant:
                wait_ms = max(wait_ms, rules.hesitant_ms)
        if self._opinion is None and self._opinion_due:
            return max(wait_ms, rules.opinion_ms)
        return wait_ms

    def _by_outlook(self, outlook: Outlook) -> int:
        rules = self.rules
        words = self._words if self._trusted else None
        if words in (Completeness.TRAILING, Completeness.DICTATED):
            at_least_ms = rules.unclear_ms if outlook in (Outlook.CERTAIN, Outlook.SURE) else self._by_words()
        elif self._words is Completeness.TRAILING and self._plausible:
            at_least_ms = rules.unclear_ms
        else:
            at_least_ms = 0
        complete = words is Completeness.COMPLETE and not self._hesitant
        guessed = self._words is not None and not self._trusted
        match outlook:
            case Outlook.CERTAIN if words is Completeness.UNCLEAR or self._words is None:
                wait_ms = rules.agreed_ms
            case Outlook.CERTAIN:
                wait_ms = rules.complete_ms if complete else rules.certain_ms
            case Outlook.SURE:
                wait_ms = rules.agreed_ms if complete else rules.sure_ms
            case Outlook.INCLINED:
                wait_ms = rules.sure_ms if complete else rules.inclined_ms
            case Outlook.OPEN:
                wait_ms = rules.open_ms if complete else self._by_words() if words else rules.unheard_ms
                if self._hesitant:
                    wait_ms = max(wait_ms, rules.hesitant_ms)
            case Outlook.DENIED if guessed and not self._vain_doubts:
                wait_ms = rules.guessed_denied_ms
            case Outlook.DENIED if self._rightly_doubted or not (guessed or words is Completeness.COMPLETE):
                wait_ms = rules.denied_ms
            case Outlook.DOUBTED | Outlook.DENIED:
                wait_ms = rules.doubted_ms if complete else rules.incomplete_ms
        return max(wait_ms, at_least_ms, rules.complete_ms)

    def _outlook(self) -> Outlook | None:
        """None where the model has said nothing of this pause."""
        rules, opinion = self.rules, self._opinion
        if opinion is None:
            return None
        if opinion >= rules.model_certain and not self._wrongly_sure:
            return Outlook.CERTAIN
        if opinion >= rules.model_sure:
            return Outlook.SURE
        if opinion >= rules.model_inclined:
            return Outlook.INCLINED
        if opinion > rules.model_doubts:
            return Outlook.OPEN
        return Outlook.DOUBTED if opinion > rules.model_denies else Outlook.DENIED

    @property
    def _doubted(self) -> bool:
        return self._opinion is not None and self._opinion <= self.rules.model_doubts

    @property
    def _tells(self) -> bool:
        """Whether the model's opinion adds anything to the words: these alone say that the turn is over, or nothing."""
        return self._words in (None, Completeness.COMPLETE) or not self._trusted

    @property
    def _sure(self) -> bool:
        return self._opinion is not None and self._opinion >= self.rules.model_certain

    @property
    def _discredited(self) -> bool:
        """The model does not understand this speaker."""
        return self._vain_doubts >= self.rules.vain_doubts

    def _end_silence(self) -> None:
        self._opinion = None
        self._opinion_due = self._words_due = self._words_known = False

    def _learn(self, *, vain: bool) -> None:
        self._taught = self._words is Completeness.COMPLETE and self._trusted and self._lessons < OF_ONE_SPEAKER
        if self._taught:
            self._lessons += 1
            self._experience.doubted(vain=vain)
