"""Text made ready for a synthesizer: what a voice should say of it, and in which pieces.

Language models write for the eye: markup, emoji, links, tables. A voice that reads asterisks aloud is worse than one
that leaves them out, so everything that has no sound is removed here, whatever the engine.
"""

import html
import re
import unicodedata
from collections.abc import Iterator

_LINK = re.compile(r"!?\[([^\[\]]{0,500})\]\([^()\s]{0,2000}\)")
_URL = re.compile(r"\b(?:https?|ftp)://(?:www\.)?([^\s/<>\"')\]]+)[^\s<>\"')\]]*")
_TAG = re.compile(r"<[/!]?[A-Za-z][^<>]{0,300}>")
_COMMENT = re.compile(r"<!--.{0,2000}?-->", re.DOTALL)
_LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>+[ \t]?|[-*+•][ \t]+|(?:[-=*_|:][ \t]*){3,}$)", re.MULTILINE)
# A product, '3 * 4' or '3*4', has a sound in every language; emphasis, '**3** 4', has none.
_PRODUCT = re.compile(r"(?<=\d)([^\S\n]*)\*\1(?=\d)")
_EMPHASIS = re.compile(r"\*+|~~|`+|(?<!\w)_+|_+(?!\w)")
# A power is written one way, which a voice can read; the sign ^ alone has no sound.
_POWER = re.compile(r"(?<=[\w)])\^\(?(-?\d{1,9})\)?")
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_DEGREES = str.maketrans({"℃": "°C", "℉": "°F"})
_LINE_END = re.compile(r"(?<=[^\s.!?:;,])[ \t]*\n\s*")
_SPACES = re.compile(r"\s+")
_CELL = re.compile(r"[ \t]*\|[ \t|]*")
_BEFORE_POINT = re.compile(r"\s+(?=[.,!?;:])")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|[。！？]+\s*")
_ABBREVIATION = re.compile(
    r"\b(?:Dr|Mr|Mrs|Ms|Prof|St|Mt|Ft|Jr|Sr|Gen|Sen|Rep|Gov|Capt|Lt|Col|Sgt|Rev|Hon|vs|e\.g|i\.e|approx|[A-Z])\.\s+$"
)
_ABBREVIATION_OR_LAST = re.compile(
    r"(?:\b(?:[aApP]\.[mM]|etc|Inc|Ltd|Co|Corp|Ave|Blvd|Rd|[Dd]ept|[Ee]st|bzw|usw|ca)|"
    r"\b(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec))\.[\"'”’)\]]*\s+$"
)
"""Those that can end a sentence: one goes on where no capital follows."""
_BEFORE_NUMBER = re.compile(r"\b(?:[Nn]os?|[Nn]r|[Ff]ig|[Vv]ol|pp?|[Cc]h|[Ss]ec|[Aa]rt|[Ee]xt)\.\s+$")
_CLAUSE = re.compile(r"(?<=[,;:—–])\s+")


def spoken_text(text: str) -> str:
    """Return what a voice should say of `text`: no markup, emoji or control characters, one line.

    A line without closing punctuation (a heading, a list item) becomes a sentence of its own.
    """
    text = html.unescape(text)
    text = _TAG.sub(" ", _COMMENT.sub(" ", text))
    text = _URL.sub(r"\1", _LINK.sub(r"\1", text))
    text = _EMPHASIS.sub("", _PRODUCT.sub(" × ", _LINE_MARK.sub("", text)))
    text = _POWER.sub(lambda power: power[1].translate(_RAISED), text).translate(_DEGREES)
    text = "".join(_sound_of(character) for character in text)
    text = "\n".join(_CELL.sub(", ", line.strip(" \t|")) for line in text.splitlines())
    text = _SPACES.sub(" ", _LINE_END.sub(". ", text.strip()))
    return _BEFORE_POINT.sub("", text).strip()


def _sound_of(character: str) -> str:
    """The character itself, or a space where it has no sound of its own."""
    if character in "\n\t\u200d\ufe0f":  # the joiner and the variation selector belong to the emoji around them
        return character if character in "\n\t" else ""
    category = unicodedata.category(character)
    # So: emoji and pictographs, but also the degree sign. Sk: modifiers, such as an emoji's skin tone.
    silent = category[0] == "C" or (category in ("So", "Sk") and character not in "°©®№")
    return " " if silent else character


def is_silent(text: str) -> bool:
    """Whether `text` holds nothing that any voice could say: no letter, digit or number."""
    return not any(character.isalnum() for character in text)


def sentences(text: str, *, limit: int = 300) -> Iterator[str]:
    """Yield `text` (one line) sentence by sentence, none longer than `limit` characters.

    A longer sentence is cut at its clauses, then between words, then within a word.
    """
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if not _goes_on(text[max(start, match.end() - 20) : match.end()], text[match.end() : match.end() + 1]):
            yield from _pieces(text[start : match.end()].strip(), limit)
            start = match.end()
    yield from _pieces(text[start:].strip(), limit)


def _goes_on(end: str, follower: str) -> bool:
    """Whether the point that closes `end` is that of an abbreviation, and the sentence goes on with `follower`."""
    if _ABBREVIATION.search(end):
        return True
    if _ABBREVIATION_OR_LAST.search(end):
        return bool(follower) and not follower.isupper()
    return follower.isdecimal() and _BEFORE_NUMBER.search(end) is not None


def _pieces(sentence: str, limit: int) -> Iterator[str]:
    while len(sentence) > limit:
        head = sentence[:limit]
        clauses = [match.end() for match in _CLAUSE.finditer(head)]
        cut = clauses[-1] if clauses else head.rfind(" ") + 1
        cut = cut or limit
        yield sentence[:cut].strip()
        sentence = sentence[cut:].lstrip()
    if sentence:
        yield sentence
