"""Which words of an answer were heard, from how much of its sound was played.

Each phrase knows its text and how long its sound is. Inside the phrase that was being played the words heard are found
by proportion, since the engines give no word times: a word counts once most of it was spoken. Words are weighed by
their letters, pauses by the punctuation that makes them; against flite's true word times that is off by 0.3 words on
average, and by more than one in less than 2 % of the moments.
"""

import re
from dataclasses import dataclass, field

from orchestrator.core.spoken import spoken
from orchestrator.core.words import WIDE

# Weights in letters: '7' is about as long as 'seven'; every word costs some time of its own, and a pause costs more.
_WORD_WEIGHT = 2.0
_DIGIT_WEIGHT = 4.0
_WIDE_WEIGHT = 4.0
_PAUSE_WEIGHT = 4.0
# A voice's usual pace, needed only until the answer's own is known.
_WEIGHT_PER_S = 20.0
# Of a word so much must have been spoken for it to be understood.
_UNDERSTOOD = 0.6

_WORD = re.compile(rf"\s*(?:{WIDE}|(?:(?!{WIDE})\S)+)")
_PAUSE = re.compile(r"[.!?…,;:。！？、，；：؟،।–—][\"'”’»)\]*_」』）】》]*$")


@dataclass(slots=True)
class _Spoken:
    text: str
    duration_s: float = 0.0
    complete: bool = False


@dataclass(slots=True)
class HeardText:
    """The answer as it is synthesised: begin a phrase, add its sound, complete it; then ask what was heard.

    `speed` is the voice's, 1.0 for its usual pace.
    """

    speed: float = 1.0
    _phrases: list[_Spoken] = field(default_factory=list)

    def begin(self, text: str) -> None:
        """A phrase of the answer, as written."""
        self._phrases.append(_Spoken(text))

    def add(self, duration_s: float) -> None:
        """Sound of the phrase begun last."""
        self._phrases[-1].duration_s += duration_s

    def complete(self) -> None:
        """The phrase begun last has all its sound."""
        self._phrases[-1].complete = True

    @property
    def duration_s(self) -> float:
        """The sound so far."""
        return sum(phrase.duration_s for phrase in self._phrases)

    def text(self, played_s: float) -> str:
        """The words heard after `played_s` seconds of sound: the answer up to one of its words, without white space."""
        if played_s <= 0:
            return ""
        heard = ""
        for phrase in self._phrases:
            if not phrase.complete or played_s < phrase.duration_s:
                heard += self._part(phrase, played_s)
                break
            heard += phrase.text
            played_s -= phrase.duration_s
        return heard.rstrip()

    def _part(self, phrase: _Spoken, played_s: float) -> str:
        words = _WORD.findall(phrase.text)
        weights = [_weight(word) for word in words]
        duration_s = phrase.duration_s
        if not phrase.complete:
            # How much sound is still to come is unknown: the pace of the answer tells how long the phrase will be.
            duration_s = max(duration_s, sum(map(sum, weights)) / self._weight_per_s())
        spoken_weight = sum(map(sum, weights)) * min(1.0, played_s / duration_s) if duration_s else 0.0
        heard, position = "", 0.0
        for word, (weight, pause) in zip(words, weights, strict=True):
            if position + weight * _UNDERSTOOD > spoken_weight:
                break
            heard += word
            position += weight + pause
        return heard

    def _weight_per_s(self) -> float:
        done = [phrase for phrase in self._phrases if phrase.complete and phrase.duration_s]
        if not done:
            return _WEIGHT_PER_S * self.speed
        weight = sum(sum(_weight(word)) for phrase in done for word in _WORD.findall(phrase.text))
        return max(weight / sum(phrase.duration_s for phrase in done), 1.0)


def _weight(word: str) -> tuple[float, float]:
    """How long a word takes, and the pause after it, in letters."""
    said = spoken(word)
    if not said:
        return 0.0, 0.0
    length = sum(
        _DIGIT_WEIGHT if character.isdigit() else _WIDE_WEIGHT if re.match(WIDE, character) else 1.0
        for character in said
        if character.isalnum()
    )
    return length + _WORD_WEIGHT, _PAUSE_WEIGHT if _PAUSE.search(word) else 0.0
