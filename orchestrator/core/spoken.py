"""Written text made speakable: markup, code, lists, links, signs and emoji.

Numbers, dates and abbreviations are left to the synthesis engine, which knows its language.
"""

import re
import unicodedata

_FENCE = "```"
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_URL = re.compile(r"\bhttps?://(?:www\.)?([^\s/)>\]]+)[^\s)>\]]*")
_HEADING_OR_LIST = re.compile(r"^[ \t]*(?:#{1,6}|[-*+•]|>)[ \t]+", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t:|-]{3,}$", re.MULTILINE)
_EMPHASIS = re.compile(r"(?<![\w*_])([*_]{1,3})(?=\S)(.+?)(?<=\S)\1(?![\w*_])")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_LEFTOVER = re.compile(r"[*_`~|#]+")
_MONEY = re.compile(r"([$€£])\s?(\d[\d,]*(?:\.\d+)?)(\s?(?:million|billion|thousand))?")
_CURRENCY = {"$": "dollars", "€": "euros", "£": "pounds"}
_SIGNS = {"%": " percent", "&": " and ", "°C": " degrees Celsius", "°F": " degrees Fahrenheit", "°": " degrees"}
_SIGNS |= {"+": " plus ", "=": " equals ", "@": " at ", "→": " to ", "×": " times ", "÷": " divided by "}
_SPACES = re.compile(r"\s+")
_SPACE_BEFORE = re.compile(r"\s+([.,;:!?])")


def spoken(text: str, *, in_code: bool = False) -> tuple[str, bool]:
    """What to say for `text`, and whether a fenced code block is open after it. Code is not read aloud."""
    pieces = text.split(_FENCE)
    said = []
    for index, piece in enumerate(pieces):
        if index:
            in_code = not in_code
        if not in_code:
            said.append(_plain(piece))
    result = _SPACES.sub(" ", " ".join(said)).strip()
    result = _SPACE_BEFORE.sub(r"\1", result)
    return (result if any(character.isalnum() for character in result) else ""), in_code


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", text)
    text = _URL.sub(r"\1", text)
    text = _TABLE_RULE.sub("", text)
    text = _HEADING_OR_LIST.sub("", text)
    text = _TAG.sub("", text)
    text = _EMPHASIS.sub(r"\2", text)
    text = _LEFTOVER.sub(" ", text)
    text = _MONEY.sub(lambda m: f"{m.group(2)}{m.group(3) or ''} {_CURRENCY[m.group(1)]}", text)
    for sign, words in _SIGNS.items():
        text = text.replace(sign, words)
    return "".join(character for character in text if _sayable(character))


def _sayable(character: str) -> bool:
    """Emoji, private and control characters are silent."""
    category = unicodedata.category(character)
    return category not in ("So", "Sk", "Cs", "Co", "Cn", "Cf") and (category != "Cc" or character in "\n\t")
