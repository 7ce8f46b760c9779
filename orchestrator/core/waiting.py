"""How long a silence must be to end the turn: by the words, the end-of-turn model, and what both were worth so far."""

from orchestrator.core.completeness import Completeness, asks, completeness
from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import Experience
from orchestrator.core.trust import Outlook, Trust


class Waiting:
    """One speaker's words and pauses, and the model's opinions of them.

    An utterance begins with `begin`; `went_on` follows a silence after which there was more, `ended` the last one.
    `experience` is what other speakers taught; this one adds to it.
    """

    def __init__(self, rules: Rules, experience: Experience) -> None:
        self._rules = rules
        self._trust = Trust(rules, experience)
        # Of the utterance.
        self._words: Completeness | None = None  # how complete they sound; None while there are none
        self._trusted = True  # the recogniser is sure of them
        self._plausible = True  # or at least not wholly unsure
        self._asks = False  # they ask for an answer
        self._hesitant = False  # the speaker has paused in it
        # Of the present silence.
        self._opinion: float | None = None  # the model's
        self._noisy = False  # it was asked in noise
        self._opinion_due = self._words_due = False  # the model was asked, and the recogniser
        self._words_known = False  # the recogniser has answered

    @property
    def rules(self) -> Rules:
        """How the endpointer decides."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = self._trust.rules = rules

    def begin(self) -> None:
        """A new utterance."""
        self._words, self._trusted, self._plausible = None, True, True
        self._asks = self._hesitant = False
        self._end_silence()

    def hear(self, text: str, confidence: float | None, *, final: bool, paused: bool) -> bool:
        """What was understood so far, and whether that tells anything new; see Endpointer.hear."""
        if self._words_known and not final:
            return False
        if final:
            self._words_due, self._words_known = False, paused
        self._words = completeness(text, english=self.rules.english) if text.strip() else None
        self._trusted = self.rules.trusts(confidence)
        self._plausible = self.rules.finds_plausible(confidence)
        # By chance a recogniser that does not understand seldom makes a question.
        complete = self._words is Completeness.COMPLETE
        self._asks = self._plausible and complete and self.rules.english and asks(text)
        return True

    def expect_words(self) -> None:
        """The recogniser was asked what was said up to the present pause."""
        self._words_due = True

    def expect_opinion(self) -> None:
        """The model was asked about the present silence."""
        self._opinion_due = True

    def judge(self, probability: float | None, *, noisy: bool = False) -> None:
        """The model's probability that the turn is complete; None where it has no opinion after all."""
        self._opinion_due = False
        if probability is not None:
            self._opinion, self._noisy = probability, noisy

    def went_on(self, pause_ms: int) -> None:
        """The silence was a pause: what is to be learned from it."""
        lasted = pause_ms >= self.rules.hesitation_lasts_ms
        self._trust.went_on(self._opinion, tells=self._tells, complete=self._complete, lasted=lasted)
        self._hesitant = self._hesitant or lasted
        self._end_silence()

    def ended(self) -> None:
        """The silence was the turn's end: what is to be learned from it."""
        self._trust.ended(self._opinion, tells=self._tells, complete=self._complete)

    def cut_off(self) -> None:
        """The turn's end was none."""
        self._trust.cut_off()

    def ms(self) -> int:
        """The silence that would end the turn, as far as is known now."""
        outlook = self._trust.outlook(self._opinion, noisy=self._noisy)
        wait_ms = self._by_words() if outlook is None else self._by_outlook(outlook)
        if self._words_due:
            wait_ms = max(wait_ms, self.rules.words_ms)
        return wait_ms

    @property
    def certain(self) -> bool:
        """Whether the model is certain that the turn is over, believed or not."""
        return self._trust.is_certain(self._opinion, noisy=self._noisy)

    def _by_words(self) -> int:
        """What the model thinks is not known, or does not count."""
        rules = self.rules
        if self.asked:
            wait_ms = rules.complete_ms
        elif self._guessed and self._opinion is None:
            wait_ms = rules.unclear_ms
        elif self._guessed:
            # Words that were guessed tell more than nothing.
            wait_ms = rules.sure_ms if self._words is Completeness.COMPLETE else rules.guessed_ms
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
        if self._opinion is None:
            return max(wait_ms, rules.opinion_ms) if self._opinion_due else wait_ms
        # Its doubts are of little worth here: of some, where the words leave it open whether there is more to tell.
        return wait_ms if self.asked or self._opinion > rules.model_doubts else max(wait_ms, rules.misjudged_ms)

    def _by_outlook(self, outlook: Outlook) -> int:
        rules = self.rules
        words = self._words if self._trusted else None
        at_least_ms = 0
        if self._words in (Completeness.TRAILING, Completeness.DICTATED) and self._plausible:
            believed = outlook in (Outlook.CERTAIN, Outlook.SURE) or not self._trusted
            at_least_ms = rules.unclear_ms if believed else self._by_words()
        complete = self._complete and not self._hesitant
        match outlook:
            case Outlook.DOUBTED | Outlook.DENIED if self.asked:
                wait_ms = rules.doubted_ms if self._trust.doubts_rightly else rules.asked_ms
            case _ if self.asked:
                wait_ms = rules.complete_ms
            case Outlook.CERTAIN:
                wait_ms = rules.complete_ms if complete else rules.agreed_ms
            case Outlook.SURE | Outlook.INCLINED if complete:
                wait_ms = rules.agreed_ms
            case Outlook.SURE:
                wait_ms = rules.sure_ms
            case Outlook.INCLINED:
                wait_ms = rules.inclined_ms
            case Outlook.OPEN:
                wait_ms = rules.open_ms if complete else self._by_words() if words else rules.unheard_ms
                if self._hesitant:
                    wait_ms = max(wait_ms, rules.hesitant_ms)
            case Outlook.DENIED if self._trust.doubts_rightly or not (self._complete or self._misunderstood):
                wait_ms = rules.denied_ms
            case Outlook.DOUBTED | Outlook.DENIED if complete:
                wait_ms = rules.doubted_ms
            case Outlook.DOUBTED | Outlook.DENIED:
                wait_ms = rules.guessed_ms if self._misunderstood else rules.incomplete_ms
        return max(wait_ms, at_least_ms, rules.complete_ms)

    @property
    def _complete(self) -> bool:
        """Whether the words are complete, and the recogniser is sure of them."""
        return self._trusted and self._words is Completeness.COMPLETE

    @property
    def _guessed(self) -> bool:
        """Whether there are words of which the recogniser is not sure."""
        return self._words is not None and not self._trusted

    @property
    def _misunderstood(self) -> bool:
        """Whether the recogniser only guesses what is said, and the model has doubted in vain."""
        return self._guessed and not self._trust.unbroken

    @property
    def asked(self) -> bool:
        """Whether the speaker asked for an answer, without a pause: hardly anybody goes on then."""
        return self._asks and not self._hesitant

    @property
    def _tells(self) -> bool:
        """Whether the model's opinion adds anything to the words: these say that the turn is over, or were guessed."""
        return self._words is Completeness.COMPLETE or not self._trusted

    def _end_silence(self) -> None:
        self._opinion = None
        self._opinion_due = self._words_due = self._words_known = False
