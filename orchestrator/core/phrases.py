"""From a language model's text deltas to phrases that speech synthesis can speak.

The first phrase leaves as early as a clause is complete, since the listener waits for it; later ones are whole
sentences, since the agent is speaking meanwhile and prosody matters. The phrases' texts joined are the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.spoken import spoken

# A clause shorter than this sounds clipped on its own ('Well,').
FIRST_CLAUSE_CHARACTERS = 12
# Nobody speaks longer without a breath; text without punctuation is cut at a space before this.
LONGEST_CHARACTERS = 240
# A shorter sentence is joined with the next one, as long as the listener does not wait for it.
SHORTEST_CHARACTERS = 24

_ABBREVIATIONS = {"mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "e.g", "i.e", "no", "jr", "sr", "approx", "inc"}
_ABBREVIATIONS |= {"dept", "fig", "gen", "gov", "hon", "ltd", "col", "capt", "sgt", "rev", "a.m", "p.m", "u.s", "u.k"}
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]|\n+")
_CLAUSE_END = re.compile(r"[,;:](?=\s|$)|\s[–—-](?=\s)")
_LAST_WORD = re.compile(r"([A-Za-z](?:\.?[A-Za-z])*)\.$")
_ENUMERATION = re.compile(r"(?:^|\s)\(?(?:\d{1,3}|[A-Za-z])[.)]$")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of the answer: `text` as the model wrote it, `spoken` as it is to be said (maybe nothing)."""

    text: str
    spoken: str


class PhraseSplitter:
    """Push deltas, get phrases; `finish` gives the rest."""

    def __init__(self) -> None:
        self._buffer = ""
        self._first = True
        self._code = False  # inside a fenced code block

    def push(self, delta: str) -> Iterator[Phrase]:
        """Add a delta; yields every phrase that is complete now."""
        self._buffer += delta
        while (end := self._cut()) is not None:
            yield from self._take(end)

    def finish(self) -> Iterator[Phrase]:
        """No more deltas come; yields what is left."""
        yield from self._take(len(self._buffer))

    def _take(self, end: int) -> Iterator[Phrase]:
        text, self._buffer = self._buffer[:end], self._buffer[end:]
        if text:
            said, self._code = spoken(text, in_code=self._code)
            self._first = self._first and not said
            yield Phrase(text, said)

    def _cut(self) -> int | None:
        """Where the first complete phrase ends in the buffer."""
        shortest = 1 if self._first else SHORTEST_CHARACTERS
        for match in _SENTENCE_END.finditer(self._buffer):
            if match.end() >= shortest and self._ends_sentence(match):
                return match.end()
        if self._first:
            for match in _CLAUSE_END.finditer(self._buffer):
                if match.start() >= FIRST_CLAUSE_CHARACTERS:
                    return match.end()
        if len(self._buffer) > LONGEST_CHARACTERS:
            space = self._buffer.rfind(" ", 0, LONGEST_CHARACTERS)
            return space + 1 if space > 0 else LONGEST_CHARACTERS
        return None

    def _ends_sentence(self, match: re.Match[str]) -> bool:
        if not match.group().startswith(".") or match.group().startswith("..."):
            # An exclamation at the very end may still grow ('?!'), which the next phrase then carries: no harm.
            return True
        before = self._buffer[: match.start() + 1]
        if _ENUMERATION.search(before):
            return False
        word = _LAST_WORD.search(before)
        if word is not None:
            return word.group(1).casefold() not in _ABBREVIATIONS
        # After a digit the end of the buffer is no end: '3.' may become '3.14'.
        return match.end() < len(self._buffer)
