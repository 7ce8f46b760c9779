"""Local agreement: streaming with a recogniser that only understands whole stretches of sound.

The growing sound is decoded again and again. What two hypotheses in a row agree on is settled and given to the next
decoding as its beginning, so it never changes; settled words leave the window with their sound, so that it stays short.
After "Turning Whisper into Real-Time Transcription System" (Macháček, Dabre, Bojar 2023), LocalAgreement-2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, takewhile

from engines.transcriber import Word

PREPENDED, APPENDED = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"  # the signs that belong to the next, the previous word


@dataclass(frozen=True, slots=True)
class Unit:
    """A word, a character of a script without spaces, or a punctuation sign, with the recogniser's tokens for it."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Time:
    """When a unit was said, in seconds from the beginning of the window, and how probable it is."""

    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a window of sound was understood as; `times` has one for each unit, where they were wanted."""

    units: tuple[Unit, ...] = ()
    times: tuple[Time, ...] | None = ()

    @property
    def tokens(self) -> tuple[int, ...]:
        """Those of all units."""
        return tuple(token for unit in self.units for token in unit.tokens)


class Agreement:
    """The hypotheses of one utterance. Times are in seconds from its beginning, but for what is said of a window."""

    def __init__(self) -> None:
        self.latest = Decoded()
        self.prefix: tuple[int, ...] = ()
        """The settled tokens of the window: the next hypothesis must begin with them."""
        self._settled = ""  # their text
        self._before = ""  # the text whose sound has left the window
        self._words: list[tuple[Unit, Time]] = []  # the same, with times

    @property
    def text(self) -> str:
        """The whole utterance as understood so far."""
        return (self._before + _text(self.latest.units)).strip()

    @property
    def stable_chars(self) -> int:
        """How many of the first characters of `text` are settled; it never gets less."""
        return len((self._before + self._settled).strip())

    def hear(self, decoded: Decoded, *, settle: bool = True) -> None:
        """Take the next hypothesis for the window, which begins with `prefix`; `settle` what it agrees on."""
        same = takewhile(lambda pair: pair[0] == pair[1], zip(self.latest.tokens, decoded.tokens, strict=False))
        agreed = sum(1 for _ in same)
        # A word that the other hypothesis goes on with ("what", "whatever") is another word.
        ends = {end for end in _ends(self.latest.units) if end <= agreed}
        count = sum(1 for end in _ends(decoded.units) if end in ends)
        tokens = Decoded(decoded.units[:count]).tokens
        if settle and len(tokens) > len(self.prefix):
            self.prefix, self._settled = tokens, _text(decoded.units[:count])
        self.latest = decoded

    def settled_until(self) -> float | None:
        """When the last settled word of the window ended, from the window's beginning; None if it is not known."""
        count = self._settled_units()
        return self.latest.times[count - 1].end_s if count and self.latest.times else None

    def cut(self, at_s: float, window_start_s: float) -> None:
        """The sound of the window before `at_s` goes, and with it the words that ended by then: they are settled."""
        times = self.latest.times or ()
        count = sum(1 for _ in takewhile(lambda time: time.end_s <= at_s, times))
        units, kept = self.latest.units[:count], self.latest.units[count:]
        for unit, time in zip(units, times[:count], strict=True):
            self._words.append((unit, _moved(time, window_start_s)))
        self._before += _text(units)
        self._settled = self._settled[len(_text(units)) :]
        self.prefix = self.prefix[len(Decoded(units).tokens) :]
        self.latest = Decoded(kept, tuple(_moved(time, -at_s) for time in times[count:]))

    def words(self, window_start_s: float) -> tuple[Word, ...]:
        """All words so far, punctuation joined to them; without those of the window where their times are unknown."""
        window = zip(self.latest.units, self.latest.times or (), strict=False)
        timed = [*self._words, *((unit, _moved(time, window_start_s)) for unit, time in window)]
        words: list[Word] = []
        lead = ""
        for unit, time in timed:
            text = unit.text.strip()
            if text and text in PREPENDED and unit.text.startswith(" "):
                lead += text
            elif text and text in APPENDED and words and not lead:
                words[-1] = replace(words[-1], text=words[-1].text + text)
            elif text:
                words.append(Word(lead + text, round(time.start_s, 2), round(time.end_s, 2), time.probability))
                lead = ""
        return tuple(words)

    def _settled_units(self) -> int:
        return sum(1 for end in _ends(self.latest.units) if end <= len(self.prefix))


def _ends(units: Sequence[Unit]) -> Iterator[int]:
    """How many tokens there are up to the end of each unit."""
    return accumulate(len(unit.tokens) for unit in units)


def _text(units: Sequence[Unit]) -> str:
    return "".join(unit.text for unit in units)


def _moved(time: Time, by_s: float) -> Time:
    return Time(max(0.0, time.start_s + by_s), max(0.0, time.end_s + by_s), time.probability)
