"""Written text made speakable: markup, code, tables, links and emoji have no sound.

What has one in the listener's language (numbers, dates, money, signs such as %) is left to the synthesis engine,
which knows that language.
"""

import re
import unicodedata

from orchestrator.core.boundaries import AFTER_ORDINAL

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LINK = re.compile(r"!?\[([^\[\]]{0,500})\]\([^()\s]{0,2000}\)")
_URL = re.compile(r"\b(?:https?|ftp)://(?:www\.)?([^\s/<>\"')\]]+)(?:/[^\s<>\"')\]]*)?")
_RULE = re.compile(r"^[ \t]*(?:[-=*_|:+][ \t]*){3,}$", re.MULTILINE)
_LINE_MARK = re.compile(r"^[ \t]*(?:(?:#{1,6}|[-*+•–]|>+)[ \t]+)+(?:\[[ xX]\][ \t]+)?", re.MULTILINE)
# '1. Apples': with the comma a synthesizer says number and item in one breath.
_NUMBER_MARK = re.compile(rf"^[ \t]*\(?(\d{{1,3}})[.)][ \t]+(?!(?:{AFTER_ORDINAL})\b)", re.MULTILINE)
_SMILEY = re.compile(r"(?<!\S)[:;=]['^-]?[()DPp](?!\S)")
_ADDRESS_IN_BRACKETS = re.compile(r"<(?:mailto:)?((?:https?|ftp)://[^<>\s]{1,2000}|[^<>\s@]{1,100}@[^<>\s@]{1,300})>")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
# A product, '3 * 4', '3*4' or '2 * (x + y)', has a sound in every language; emphasis, '**3** 4', has none.
_PRODUCT = re.compile(r"(?<=\d)([^\S\n]*)\*\1(?=\d)|(?<=[\w)\]])[^\S\n]+\*[^\S\n]+(?=[\w(\[])")
_EMPHASIS = re.compile(r"\*+|~+|`+|(?<!\w)_+|_+(?!\w)")
_CELL_BORDER = re.compile(r"[ \t]*\|[ \t|]*")
_LINE_WITHOUT_END = re.compile(r"(?<=[^\s.!?…:;,。！？：；，、])[ \t]*\n\s*(?=\S)")
_TOKEN = re.compile(r"\S+")
_SPACES = re.compile(r"\s+")
_SPACE_BEFORE = re.compile(r"\s+(?=[.,;:!?…](?:\s|$))")

_INSIDE_EMOJI = "\u200d\ufe0e\ufe0f\u20e3"  # the joiner, the variation selectors, the keycap
_SIGNS_WITH_SOUND = "°℃℉№©®™^"


def spoken(text: str) -> str:
    """What a voice should say of `text`, on one line; nothing where there is no letter or digit to say.

    A line without punctuation at its end (a heading, an item of a list) becomes a sentence of its own.
    """
    text = _CODE.sub("\n", text)
    text = _URL.sub(r"\1", _LINK.sub(r"\1", _ADDRESS_IN_BRACKETS.sub(r"\1", text)))
    text = _LINE_MARK.sub("", _RULE.sub("", text))
    text = _TAG.sub(" ", _SMILEY.sub("", text))
    text = _NUMBER_MARK.sub(r"\1, ", text)
    text = _EMPHASIS.sub("", _PRODUCT.sub(" × ", text))
    if "_" in text:
        text = _TOKEN.sub(_without_underscores, text)
    if "|" in text:
        text = "\n".join(_CELL_BORDER.sub(", ", line.strip(" \t|")) for line in text.splitlines())
    if not text.isascii():
        text = "".join(map(_sound_of, text))
    text = _SPACES.sub(" ", _LINE_WITHOUT_END.sub(". ", text))
    text = _SPACE_BEFORE.sub("", text).strip()
    return text if any(map(str.isalnum, text)) else ""


def _without_underscores(token: re.Match[str]) -> str:
    """The words of an identifier; in an e-mail address the underscore counts."""
    return token[0] if "@" in token[0] else token[0].replace("_", " ")


def _sound_of(character: str) -> str:
    """The character, or what stands in its place where it has no sound of its own."""
    if character in _INSIDE_EMOJI:
        return ""
    category = unicodedata.category(character)
    silent = category[0] == "C" or category in ("So", "Sk")  # control characters; emoji and their modifiers
    return " " if silent and character not in _SIGNS_WITH_SOUND and character not in "\n\t" else character
