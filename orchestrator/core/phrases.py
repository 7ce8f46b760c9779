"""From a language model's text deltas to phrases that speech synthesis can speak.

The listener waits for the first phrase, so it leaves as soon as a clause is complete. Later ones are whole sentences,
since the agent is speaking meanwhile and prosody matters; only a sentence so long that the sound in hand could run
out before it is written is cut inside. The phrases' texts joined are the text.
"""

import re
from dataclasses import dataclass

from orchestrator.core.boundaries import Boundary, Certainty, Kind, in_label, next_boundary
from orchestrator.core.spoken import spoken
from orchestrator.core.words import WIDE

# All lengths are in Latin letters; a character of a syllabic or ideographic script counts as several.
WIDE_LETTERS = 3
# A clause shorter than this sounds clipped on its own ('Well,').
SHORTEST_CLAUSE = 12
# A shorter sentence is joined with the next one, unless the listener waits for it.
SHORTEST_SENTENCE = 24
# When the first phrase is longer than this without a clause's end, it ends where a speaker could draw breath.
FIRST_BREATH = 40
# While some letters are spoken, a model writes at least so many times their number (60 a second, spoken at 15).
WRITTEN_PER_SPOKEN = 4
# Nobody speaks longer without a breath.
LONGEST = 240

_WIDE = re.compile(WIDE)
_BREATH = re.compile(
    r"\s(?=(?:and|but|or|so|because|which|who|while|although|though|where|when|if|unless|until|"
    r"with|without|from|after|before|during|through|between)\s)"
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of the answer: `text` as the model wrote it, `spoken` as it is to be said (maybe nothing)."""

    text: str
    spoken: str


class PhraseSplitter:
    """Push deltas, get phrases; `finish` gives the rest."""

    def __init__(self) -> None:
        self._buffer = ""
        self._in_hand = 0  # letters that were given to be spoken
        self._start_phrase()

    def push(self, delta: str) -> list[Phrase]:
        """Add a delta; returns the phrases that are complete now."""
        self._buffer += delta
        phrases = []
        while (end := self._end()) is not None:
            phrases.append(self._take(end))
        return phrases

    def finish(self) -> list[Phrase]:
        """No more deltas come; returns what is left."""
        return [self._take(len(self._buffer))] if self._buffer else []

    def _start_phrase(self) -> None:
        self._seen = 0  # up to here the buffer was looked at
        self._clause: int | None = None  # the last end of a clause, or of a short sentence, that was seen in it
        self._code: int | None = None  # where the code begins, if the phrase is a block of code

    def _take(self, end: int) -> Phrase:
        text, self._buffer = self._buffer[:end], self._buffer[end:]
        self._start_phrase()
        phrase = Phrase(text, spoken(text))
        self._in_hand += letters(phrase.spoken)
        return phrase

    def _end(self) -> int | None:
        """Where the buffer's first phrase ends, once it is complete."""
        while self._code is None and (boundary := next_boundary(self._buffer, self._seen)) is not None:
            if not self._decided(boundary) or letters(self._buffer[: boundary.end]) > LONGEST:
                self._seen = boundary.start
                return self._end_of_long()
            self._seen = boundary.stop
            if self._ends_phrase(boundary):
                return boundary.end
        if self._code is not None:
            return self._end_of_code(self._code)
        self._seen = len(self._buffer)
        return self._end_of_long()

    def _decided(self, boundary: Boundary) -> bool:
        """Whether to act on a boundary: a guess is worth it while the listener waits."""
        return boundary.certainty is Certainty.CERTAIN or (boundary.certainty is Certainty.LIKELY and not self._in_hand)

    def _ends_phrase(self, boundary: Boundary) -> bool:
        before, kind = self._buffer[: boundary.end], boundary.kind
        blank, length = not before.strip(), letters(before)
        if kind is Kind.PROSE:
            if blank:
                self._code = boundary.stop
            return not blank
        if blank or (kind is Kind.CLAUSE and length <= SHORTEST_CLAUSE):
            return False
        if not self._in_hand or (kind is not Kind.CLAUSE and length >= SHORTEST_SENTENCE):
            return True
        self._clause = boundary.end
        return False

    def _end_of_code(self, begin: int) -> int | None:
        """A block of code is one phrase, which has no sound."""
        close = self._buffer.find("```", max(begin, self._seen - 2))
        self._seen = len(self._buffer)
        return close + 3 if close >= 0 else None

    def _end_of_long(self) -> int | None:
        """Where to cut a sentence for which the listener would have to wait, or for which no breath suffices."""
        length = letters(self._buffer)
        if length <= min(LONGEST, self._in_hand * WRITTEN_PER_SPOKEN or FIRST_BREATH):
            return None
        if self._clause is not None:
            return self._clause
        limit = len(self._buffer)
        if length > LONGEST:
            limit = next(end for end in range(limit + 1) if letters(self._buffer[:end]) >= LONGEST)
        breaths = [breath.start() for breath in _BREATH.finditer(self._buffer, SHORTEST_CLAUSE, limit)]
        breaths = [breath for breath in breaths if not in_label(self._buffer[:breath])]
        if breaths or length <= LONGEST:
            return breaths[-1] if breaths else None
        space = self._buffer.rfind(" ", 0, limit)
        return space if self._buffer[: max(0, space)].strip() else limit


def letters(text: str) -> int:
    """How long `text` is, spoken: its characters, those of syllabic and ideographic scripts counted several times."""
    return len(text) if text.isascii() else len(text) + (WIDE_LETTERS - 1) * len(_WIDE.findall(text))
