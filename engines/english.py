"""Written English in words, for voices that read words and plain numbers and no more: flite, and Kokoro by espeak-ng.

Numbers stay digits, which these voices read. What stands around them does not: money, fractions, powers, ranges, signs,
lengths in feet, dates, and the points of abbreviations, which would end a sentence in its middle.
"""

import re
import unicodedata
from collections.abc import Callable
from math import gcd

# ruff: noqa: RUF001  (signs look like others: telling them apart is what this is for)

Found = re.Match[str]
Rule = tuple[re.Pattern[str], str | Callable[[Found], str]]

_BEGIN = r"(?<!\d)(?<!\d[.,])"
"""Where a number can begin: within one there is nothing to find, and to look would take quadratic time."""
_NUMBER = rf"{_BEGIN}(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,15}})(?:\.\d{{1,15}})?(?!\d)"


def _rules(*rules: tuple[str, str | Callable[[Found], str]]) -> tuple[Rule, ...]:
    return tuple((re.compile(pattern), words) for pattern, words in rules)


def _any(words: dict[str, str] | tuple[str, ...]) -> str:
    return f"(?:{'|'.join(map(re.escape, words))})"


# Money

_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "¥": ("yen", "yen", "", ""),
    "₩": ("won", "won", "", ""),
    "¢": ("cent", "cents", "", ""),
}
"""What one and several units are called, and one and several hundredths."""
_COUNTRIES = {
    "US": "U.S",
    "A": "Australian",
    "AU": "Australian",
    "C": "Canadian",
    "CA": "Canadian",
    "NZ": "New Zealand",
}
_COUNTRIES |= {"HK": "Hong Kong", "S": "Singapore"}
_SCALES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "tn": "trillion"}
_PERIODS = {"mo": "month", "hr": "hour", "h": "hour", "yr": "year", "wk": "week"}
_AMOUNT = r"(?=\.?\d)(?:\d{1,3}(?:,\d{3})+|\d{1,15})?(?:\.\d{1,15}|,\d\d)?(?!\d)"
_SCALE = r"[ -]?(?:hundred|thousand|million|billion|trillion)\b| ?(?:bn|mn|tn)\b|[kKmMbB]\b"
_PER = r"(?:/(?P<per>[A-Za-z]{1,20}))?"


def _money(found: Found) -> str:
    part = found.groupdict()
    one, several, *hundredths = _CURRENCIES[part["sign"]]
    article, country = part.get("a") or "", part.get("country")
    if country:
        one, several = f"{_COUNTRIES[country]} {one}", f"{_COUNTRIES[country]} {several}"
    names = (one, one, hundredths[0], hundredths[0]) if article else (one, several, *hundredths)  # 'a 20 dollar bill'
    said = _amount(part["low"], part["scale"], names)
    if part["high"]:
        high = _amount(part["high"], part["high_scale"], names)
        in_hundredths = " and " in said + high
        said = f"{said if part['scale'] or in_hundredths else part['low']} to {high}"
    per = f" per {_PERIODS.get(part['per'], part['per'])}" if part["per"] else ""
    return f"{article}{'minus ' if part['minus'] else ''}{said}{per}"


def _amount(number: str, scale: str | None, names: tuple[str, ...]) -> str:
    number = re.sub(r",(\d\d)$", r".\1", number)
    whole, _, decimals = number.partition(".")
    whole = whole or "0"
    one, several, hundredth, hundredths = names
    if scale:
        scale = scale.strip(" -")
        return f"{number} {_SCALES.get(scale.lower(), scale)} {several}"
    if len(decimals) != 2 or not hundredth:
        return f"{whole}{decimals and '.'}{decimals} {one if number == '1' else several}"
    parts = [f"{whole} {one if whole == '1' else several}"] if whole != "0" or decimals == "00" else []
    parts += [f"{int(decimals)} {hundredth if decimals == '01' else hundredths}"] if decimals != "00" else []
    return " and ".join(parts)


_MONEY = _rules(
    (
        rf"(?P<a>\b[Aa]n? )?(?<![^\W_])(?P<minus>[-−])?(?P<country>{_any(_COUNTRIES)}(?=\$))?(?P<sign>[$€£¥₹₩]) ?"
        rf"(?P<low>{_AMOUNT})(?P<scale>{_SCALE})?"
        rf"(?:(?:-| ?– ?)(?P=sign)?(?P<high>{_AMOUNT})(?P<high_scale>{_SCALE})?)?{_PER}",
        _money,
    ),
    (
        rf"(?P<minus>(?<![\w)])[-−])?{_BEGIN}(?P<low>{_AMOUNT})(?P<scale>{_SCALE})?"
        rf"(?:(?:-| ?– ?)(?P<high>{_AMOUNT})(?P<high_scale>{_SCALE})?)? ?(?P<sign>[$€£¥₹₩¢])(?!\w){_PER}",
        _money,
    ),
    *((sign, f" {_CURRENCIES[sign][1]} ") for sign in "€£¥₹₩¢"),
)

# Dates

_MONTHS = tuple(
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_SHORT_MONTHS = {month[:3]: month for month in _MONTHS if month != "May"} | {"Sept": "September"}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEKDAYS = (*_DAYS, *(day[:3] for day in _DAYS))
_DAY_OR_MONTH = rf"(?:{_any(_MONTHS)}|{_any(_SHORT_MONTHS)}|{_any(_WEEKDAYS)})\b"
_DATE = re.compile(r"(?<![\w/])(\d{1,2})/(\d{1,2})/(\d{4}|\d\d)(?![\w/])")


def _date(written: str, year: str, month: str, day: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return written
    century = "" if len(year) == 4 else "20" if int(year) < 70 else "19"
    return f"{_MONTHS[int(month) - 1]} {_ordinal(int(day))}, {century}{year}"


def _ordinal(number: int) -> str:
    return f"{number}{'th' if 11 <= number % 100 <= 13 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _in_short_month(found: Found) -> str:
    """The month and the number after it: a day as an ordinal, as flite reads it by itself and espeak does not."""
    is_day = len(found[2]) <= 2 and 1 <= int(found[2]) <= 31
    return f"{_SHORT_MONTHS[found[1]]} {_ordinal(int(found[2])) if is_day else found[2]}"


_ISO_DATE = _rules((r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)(?![\w-])", lambda f: _date(f[0], f[1], f[2], f[3])))

# Numbers with signs

_DENOMINATORS = ("half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_READ_WITH_SLASH = (2, 3, 4, 8)
"""Denominators; 8/10 may be a mark and 4/5 a date."""
_FRACTION_SIGN = r"[¼-¾⅐-⅞]"
_LENGTHS = {"m": "meter", "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "mi": "mile", "yd": "yard"}
_LENGTHS |= {"ft": "foot", "in": "inch"}
_PLURALS = {"foot": "feet", "inch": "inches"}
_MICRO = {"g": "gram", "m": "meter", "s": "second", "l": "liter", "L": "liter", "A": "amp", "V": "volt", "W": "watt"}
_POWER_SIGNS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ⁺⁻", "0123456789n+-")


def _units(number: str, unit: str, before: str = "") -> str:
    singular = number == "1" or re.fullmatch(_FRACTION_SIGN, number)
    return f"{number} {before}{unit if singular else _PLURALS.get(unit, unit + 's')}"


def _fraction(found: Found) -> str:
    part, of = int(found["part"]), int(found["of"])
    if found["bar"] == "/" and not (of in _READ_WITH_SLASH and 0 < part < of and gcd(part, of) == 1):
        return found[0]
    if not 2 <= of <= 10:
        said = f"{part} over {of}"
    elif part == 1:
        said = f"{'a' if found['whole'] else 'one'} {_DENOMINATORS[of - 2]}"
    else:
        said = f"{part} {_DENOMINATORS[of - 2]}s"
    return f"{'minus ' if found['minus'] else ''}{found['whole'] + ' and ' if found['whole'] else ''}{said}"


def _power(found: Found) -> str:
    power = found[0].translate(_POWER_SIGNS)
    return {"2": " squared ", "3": " cubed "}.get(power, f" to the {power.replace('-', 'minus ')} ")


def _range(found: Found) -> str:
    """A hyphen between two numbers, which also joins the parts of telephone numbers, marks and years."""
    low, high = found[1], found[2]
    telephone = (len(low), len(high)) == (3, 4)
    rises = float(low) < float(high) and low[0] != "0"
    return f"{low} to {high}" if rises and not telephone else found[0]


_NUMBERS = _rules(
    (rf"\b({_any(_SHORT_MONTHS)})\b\.? (\d{{1,4}}\b)(?![:%]|[.,]\d)", _in_short_month),
    (
        r"(?<=\d)° ?(\d{1,2})[′'](?: ?(\d{1,2})[″\"])?",
        lambda f: f" degrees {f[1]} minutes" + (f" {f[2]} seconds" if f[2] else ""),
    ),
    (
        r"(?<![\w.'‘])(\d{1,3})(?: ?′ ?|['’] ?)(\d{1,2}[½¼¾]?) ?(?:[\"”″]|''|’’|(?!\w))",
        lambda f: f"{_units(f[1], 'foot')} {_units(f[2], 'inch')} ",
    ),
    (rf"{_BEGIN}(\d{{1,5}}(?:\.\d)?{_FRACTION_SIGN}?|{_FRACTION_SIGN}) ?′", lambda f: _units(f[1], "foot")),
    (rf"{_BEGIN}(\d{{1,5}}(?:\.\d)?{_FRACTION_SIGN}?|{_FRACTION_SIGN}) ?″", lambda f: _units(f[1], "inch")),
    (
        rf"({_NUMBER}) ?({_any(_LENGTHS)})([²³])(?!\w)",
        lambda f: _units(f[1], _LENGTHS[f[2]], {"²": "square ", "³": "cubic "}[f[3]]),
    ),
    (rf"({_NUMBER}) ?[µμ]({_any(_MICRO)})\b", lambda f: _units(f[1], _MICRO[f[2]], "micro")),
    (rf"({_NUMBER}) ?°", lambda f: _units(f[1], "degree") + " "),
    ("°", " degrees "),
    (r"(?<!\d)\d{1,8}(?:–\d{1,8}){2,}(?!\d)", lambda f: f[0].replace("–", "-")),  # a telephone number
    (rf"(?<=[\d%CF]|{_FRACTION_SIGN}) ?– ?(?=[-−]?[\d½¼¾])", " to "),
    (r"(?<![\w.,/:-])(\d{1,4}(?:\.\d{1,4})?)-(\d{1,4}(?:\.\d{1,4})?)(?![\w/-]|[.,:]\d)", _range),
    (rf"(?<=\w)–(?={_DAY_OR_MONTH})", " to "),
    (rf"\b({_any(_WEEKDAYS)})-(?={_any(_WEEKDAYS)}\b)", r"\1 to "),
    (rf"(?<=\w)(?={_FRACTION_SIGN})|(?<={_FRACTION_SIGN})(?=\w)", " "),
    (_FRACTION_SIGN, lambda f: unicodedata.normalize("NFKC", f[0])),
    (
        r"(?P<minus>(?<![\w)])[-−])?(?<![\d/.,⁄])(?:(?P<whole>\d{1,3})[ -])?"
        r"(?P<part>\d{1,2})(?P<bar>[/⁄])(?P<of>\d{1,2})(?![\w/⁄]|[.,]\d)",
        _fraction,
    ),
    (r"(?:(?<=[\d)\]])|(?<=(?<![^\W_])[A-Za-z])|(?<=(?<![^\W_])[A-Za-z]{2}))[⁰¹²³⁴-⁹ⁿ⁺⁻]+", _power),
    (r"[⁰¹²³⁴-⁹]+", " "),  # a note's number
    (r"\b[A-Z]{2,4}(?=[₀-₉])|\bCO(?=2\b)", lambda f: " ".join(f[0]) + " "),
    (r"[₀-₉]+", lambda f: f" {unicodedata.normalize('NFKC', f[0])} "),
    (r"[≈≅≃∼]|~ ?(?=\d)", " about "),
    ("≠|!=", " not equal to "),
    ("≥|⩾|>=", " at least "),
    ("≤|⩽|<=", " at most "),
    (r"±|\+/[-−]", " plus or minus "),
    (r"(?<=[\w)%]) < (?=[\w(-])", " less than "),
    (r"(?<=[\w)%]) > (?=[\w(-])", " greater than "),
    ("×", " times "),
    ("÷", " divided by "),
    (r"−(?= ?\w)", " minus "),
    ("[→⇒]", " to "),
    ("∞", " infinity "),
    ("√", " the square root of "),
    ("π", " pi "),
    ("‰", " per thousand "),
    (r"№|(?<![\w&])#(?=\d)", " number "),
    (r"§ ?(?=\d)", " section "),
)

# Abbreviations

_TITLES = {"Prof": "Professor", "Gen": "General", "Sen": "Senator", "Rep": "Representative", "Gov": "Governor"}
_TITLES |= {"Capt": "Captain", "Lt": "Lieutenant", "Col": "Colonel", "Sgt": "Sergeant", "Rev": "Reverend"}
_TITLES |= {"Mt": "Mount", "Ft": "Fort", "St": "Saint", "Mr": "Mr", "Mrs": "Mrs", "Ms": "Miz", "Dr": "Dr"}
_BEFORE_NUMBER = {"no": "number", "nos": "numbers", "fig": "figure", "vol": "volume", "pp": "pages", "p": "page"}
_BEFORE_NUMBER |= {"ch": "chapter", "sec": "section", "ext": "extension"}
_NEVER_LAST = {"e.g.": "for example", "i.e.": "that is", "approx.": "approximately", "vs.": "versus"}
_NEVER_LAST |= {key.capitalize(): words for key, words in _NEVER_LAST.items()}
_AFTER_NAME = {"Jr": "Junior", "Sr": "Senior", "Inc": "Incorporated", "Ltd": "Limited", "Corp": "Corporation"}
_AFTER_NAME |= {"Co": "Company", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "St": "Street"}
_OPENER = (
    r"(?:A|An|And|Are|As|At|But|Can|Did|Do|Does|For|From|He|Her|His|How|However|I|If|In|Is|It|Its|My|No|Not|On|Or|Our|"
    r"Please|She|So|That|The|Their|Then|There|These|They|This|Those|To|Was|We|What|When|Where|While|Who|Why|Yes|You|Your)\b"
)
"""A word that begins sentences and seldom a name."""
_IN_NAME = rf"(?=[,;:–?!]| \(| (?!{_OPENER})\w)"
"""After the abbreviation in a name: its sentence goes on, or has another mark."""
_GOES_ON = rf"(?=[,;:–?!]| \(| [a-z\d]| [A-Z]{{2,5}}\b| {_DAY_OR_MONTH})"
"""The same after one in no name, which a capital does not follow but in a time zone, a day or a month."""

_ABBREVIATIONS = _rules(
    (rf"(?<=[a-z\d] )([A-Z][a-z]+|\d{{1,3}}(?:st|nd|rd|th)) St\.(?= {_OPENER})", r"\1 Street."),
    (rf"\b({_any(_TITLES)})\. ?(?=[A-Z])", lambda f: _TITLES[f[1]] + " "),
    (r"\b(Mr|Mrs|Ms|Dr)\. (?=\w)", r"\1 "),
    (r"\bMs (?=[A-Z])", "Miz "),
    (rf"(?<=[\w,] )({_any(_AFTER_NAME)})\.{_IN_NAME}", lambda f: _AFTER_NAME[f[1]]),
    (rf"(?<=[\w,] )({_any(_AFTER_NAME)})\.", lambda f: _AFTER_NAME[f[1]] + "."),
    (rf"(?<![?!] )\b((?i:{_any(_BEFORE_NUMBER)}))\. ?#?(?=\d)", lambda f: _BEFORE_NUMBER[f[1].lower()] + " "),
    (rf"\b{_any(_NEVER_LAST)}", lambda f: _NEVER_LAST[f[0]]),
    (r"\bvs\b", "versus"),
    (rf"\betc\.{_GOES_ON}", "etc"),
    (rf"\b[Dd]ept\.{_GOES_ON}", "department"),
    (r"\bPh\.D\b\.?", "PhD"),
    (rf"(?<![^\W\d_])([AaPp])\.[Mm]\.{_GOES_ON}", lambda f: f" {f[1].upper()}M"),
    (r"(?<![^\W\d_])([AaPp])\.[Mm]\.", lambda f: f" {f[1].upper()}M."),
    (r"(?<=\d) ?([AaPp])[Mm]\b", lambda f: f" {f[1].upper()}M"),
    (r"(?<=[AP]M) ?– ?(?=\d)", " to "),
    (rf"\b((?:[A-Z]\.){{1,5}}[A-Z])\.{_IN_NAME}", r"\1"),
    (rf"(?<![\w.])([B-HJ-Z])\.(?= (?!{_OPENER})[A-Z])", r"\1"),  # of a lone A espeak would make an article
    (r"(?<=[A-Za-z\d])\.(?=[a-z]{2})", " dot "),
)

_DIGIT_OR_SIGN = re.compile(r"[^A-Za-z\s.,;:!?'\"’“”()]")
"""Without one, only abbreviations are to be looked for."""


def in_words(text: str, *, day_first: bool = False) -> str:
    """Return `text` (one line) with words for all that is no word and no plain number.

    7/4/2024 is in July, with `day_first` in April.
    """

    def date(found: Found) -> str:
        month, day = (found[2], found[1]) if day_first else (found[1], found[2])
        return _date(found[0], found[3], *((day, month) if int(month) > 12 else (month, day)))

    rules = _ABBREVIATIONS
    if _DIGIT_OR_SIGN.search(text):
        rules = (*_ISO_DATE, *_ABBREVIATIONS, *_MONEY, *_NUMBERS)
        text = _DATE.sub(date, text)
    for pattern, words in rules:
        text = pattern.sub(words, text)
    return re.sub(r" (?=[.,;:!?)\]](?:\W|$))|(?<=[(\[]) ", "", " ".join(text.split()))
