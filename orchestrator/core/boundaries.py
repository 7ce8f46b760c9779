"""Where sentences, clauses, lines and blocks of code end in a text that is still being written."""

import re
from dataclasses import dataclass
from enum import Enum, auto

_CANDIDATE = re.compile(r"[.!?…,;:؟۔।॥،؛。！？｡，、；：—–\-\n`]")
_CLOSERS = r"[\"'”’»)\]*_~」』）】》]*"
# A mark needs white space after it in scripts that write any; at the end of the text that may still come.
_BREAK = re.compile(
    rf"(?:(?P<narrow>[.!?…,;:؟۔।॥،؛]+)(?={_CLOSERS}(?:\s|$))|(?P<wide>[。！？｡，、；：]+)|(?P<dash>—|(?<=\s)[–-](?=\s)))"
    rf"{_CLOSERS}(?=\s*(?P<next>\S)?)|(?P<line>\n)|(?P<fence>`{{1,3}})"
)
_CLAUSE_MARKS = (*",;:،؛，、；：…", "...")

_TITLES = {"mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "jr", "sr", "approx", "inc", "dept", "gen", "gov", "hon"}
_TITLES |= {"ltd", "col", "capt", "sgt", "rev", "lt", "mt", "ave", "blvd", "bzw", "ca", "usw"}
_TITLES |= {"sra", "srta", "dra", "mme", "mmes", "mlle", "inkl", "exkl", "tel", "str"}
_BEFORE_NUMBERS = {"no", "nos", "nr", "fig", "vol", "pp", "ch", "sec", "art", "ext"}
# 'May' and 'mar' are words; the last two are German.
_MONTHS = {"jan", "feb", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "okt", "dez"}
# German writes ordinals with a full stop: 'am 3. Oktober', 'im 19. Jahrhundert'. They are known by the word before, the
# article or what is merged with it (but 'I am 3.'), or by the one after.
AFTER_ORDINAL = (
    "Januar|Jänner|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|Jahrhundert|Jahrhunderts"
)
_ORDINAL = re.compile(
    r"(?:(?<!\bI )\b[Aa]m|\b(?:[Ii]m|[Vv]om|[Zz]um|[Zz]ur|[Bb]eim|[Dd]er|[Dd]ie|[Dd]en|[Dd]em|[Dd]es))"
    r" \d{1,2}$"
)
_SHORT_NUMBER = re.compile(r"(?<![\w.,])\d{1,2}$")
_NEXT_WORD = re.compile(r"\s+([^\W\d_]+)")
_FAR = 240
_LABEL = re.compile(r"\[[^\[\]\n]{0,200}$")  # a link's, '[Section 1: Introduction](https://…)'
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_PLAIN_WORD = re.compile(r"(?:^|[\s\"'“‘(*_])[^\W\d_]+(?:['’][^\W\d_]+)?$")  # no part of a number or an address
_INITIALS = re.compile(r"(?<![\w.'’])(?:[^\W\d_]\.)*[^\W\d_]$")  # 'e.g', 'U.S', the J of 'J. Smith'
_ENUMERATION = re.compile(r"\s*\(?\d{1,3}")


class Kind(Enum):
    """What ends at a boundary."""

    SENTENCE = auto()
    CLAUSE = auto()
    LINE = auto()
    PROSE = auto()  # a block of code follows


class Certainty(Enum):
    """Whether more text could show that a boundary is none."""

    OPEN = auto()
    LIKELY = auto()  # no such text is to be expected
    CERTAIN = auto()


@dataclass(frozen=True, slots=True)
class Boundary:
    """A boundary made by the characters from `start` to `stop` of the text."""

    kind: Kind
    certainty: Certainty
    start: int
    stop: int

    @property
    def end(self) -> int:
        """Where the piece before the boundary ends: punctuation belongs to it, a line's end or a fence does not."""
        return self.stop if self.kind in (Kind.SENTENCE, Kind.CLAUSE) else self.start


def next_boundary(text: str, position: int) -> Boundary | None:
    """The first boundary of `text` from `position` on. An uncertain one is to be asked for again with more text."""
    while candidate := _CANDIDATE.search(text, position):
        start = candidate.start()
        found = _BREAK.match(text, start)
        position = found.end() if found else start + 1
        if found and (kind := _kind(text, found)):
            return Boundary(kind, _certainty(text, found), start, position)
    return None


def _kind(text: str, found: re.Match[str]) -> Kind | None:
    if found["line"]:
        return Kind.LINE
    if found["fence"]:
        return Kind.PROSE if len(found["fence"]) == 3 or found.end() == len(text) else None
    before, after = _around(text, found)
    mark, follower = found["narrow"] or found["wide"], found["next"] or ""
    if mark is None or mark.endswith(_CLAUSE_MARKS):
        if in_label(before):
            return None
        in_numbers = before[-1:].isdigit() and follower.isdigit()  # '1, 2', 'May 3, 2024'
        return None if in_numbers else Kind.CLAUSE
    if mark == "." and (_abbreviates(before, follower) or _is_ordinal(before, after)):
        return None
    return Kind.CLAUSE if follower.islower() else Kind.SENTENCE  # '"Stop!" he said', 'approx. ten'


def _around(text: str, found: re.Match[str]) -> tuple[str, str]:
    """As much of the text before and after a mark as can tell what it means: a long text takes no longer."""
    return text[max(0, found.start() - _FAR) : found.start()], text[found.end() : found.end() + _FAR]


def _abbreviates(before: str, follower: str) -> bool:
    """Whether a full stop after `before` ends no sentence."""
    if _ENUMERATION.fullmatch(before, before.rfind("\n") + 1):
        return True
    if _INITIALS.search(before):
        return not before.endswith(" I")
    last = _LAST_WORD.search(before)
    word = last.group().casefold() if last else ""
    if word in _TITLES or word.endswith("str"):  # 'Hauptstr. 5'
        return True
    return word in _BEFORE_NUMBERS | _MONTHS and follower.isdigit()


def _is_ordinal(before: str, after: str) -> bool:
    """Whether a full stop between `before` and `after` makes a German ordinal."""
    if _ORDINAL.search(before):
        return True
    following = _SHORT_NUMBER.search(before) and _NEXT_WORD.match(after)
    return bool(following and following.end() < len(after) and re.fullmatch(AFTER_ORDINAL, following[1]))


def _may_become_ordinal(before: str, after: str) -> bool:
    """Whether the word that would make an ordinal is still being written."""
    following = _SHORT_NUMBER.search(before) and _NEXT_WORD.fullmatch(after)
    return bool(following and any(word.startswith(following[1]) for word in AFTER_ORDINAL.split("|")))


def in_label(before: str) -> bool:
    """Whether `before` ends inside the label of a link."""
    return bool(_LABEL.search(before))


def _certainty(text: str, found: re.Match[str]) -> Certainty:
    if found["fence"]:
        return Certainty.CERTAIN if len(found["fence"]) == 3 else Certainty.OPEN
    before, after = _around(text, found)
    if found["next"] or found["line"]:
        return Certainty.OPEN if _may_become_ordinal(before, after) else Certainty.CERTAIN
    if found.group().endswith("]"):
        return Certainty.OPEN  # the address of a link may follow
    last = _LAST_WORD.search(before)
    if last and last.group().casefold() in _MONTHS:
        return Certainty.OPEN  # the day may follow
    if found["wide"] or _PLAIN_WORD.search(before):
        return Certainty.LIKELY
    return Certainty.OPEN
