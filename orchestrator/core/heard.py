"""Which words of an answer were heard, from how much of its sound was played.

Each phrase knows its text and how long its sound is; inside the phrase that was being played the words heard
are found by proportion, since the engines give no word times: a word counts once most of it was spoken.
"""

import re
from dataclasses import dataclass, field

_WORD = re.compile(r"\s*\S+")


@dataclass(slots=True)
class _Spoken:
    text: str
    duration_s: float = 0.0
    complete: bool = False


@dataclass(slots=True)
class HeardText:
    """The answer as it is synthesised: begin a phrase, add its sound, complete it; then ask what was heard.

    `lead_s` and `tail_s` are the silence that an engine puts around a phrase, which carries no words.
    """

    lead_s: float = 0.0
    tail_s: float = 0.0
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
        """The words heard after `played_s` seconds of sound."""
        heard = ""
        for phrase in self._phrases:
            if phrase.complete and played_s >= phrase.duration_s - self.tail_s:
                heard += phrase.text
            else:
                heard += self._part(phrase, played_s)
                break
            played_s -= phrase.duration_s
        return heard.rstrip()

    def _part(self, phrase: _Spoken, played_s: float) -> str:
        voiced_s = phrase.duration_s - self.lead_s - (self.tail_s if phrase.complete else 0.0)
        if voiced_s <= 0 or played_s <= self.lead_s:
            return ""
        # While a phrase is still being synthesised its length is unknown: what is played is what there is.
        said = len(phrase.text.strip()) * min(1.0, (played_s - self.lead_s) / voiced_s)
        heard, position = "", 0.0
        for word in _WORD.findall(phrase.text):
            middle = position + len(word) * 0.6
            if middle > said:
                break
            heard += word
            position += len(word)
        return heard
