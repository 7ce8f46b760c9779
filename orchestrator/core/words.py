"""Words of an utterance, as far as decisions need them."""

import re

# A character of a script that writes syllables or ideas, in a regular expression: Hangul, kana, Han.
WIDE = r"[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """The words of `text` in lower case, without punctuation."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def same_words(one: str, other: str) -> bool:
    """Whether two transcripts differ in nothing but case, spacing and punctuation."""
    return words_of(one) == words_of(other)
