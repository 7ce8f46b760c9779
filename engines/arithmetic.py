"""Small sums asked in words: 'what is five plus seven', 'how much is 12 times 3'."""

import re
from fractions import Fraction

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {word: value for value, word in enumerate(_UNITS)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_OPERATORS = {
    "plus": "+", "+": "+", "minus": "-", "less": "-", "-": "-", "times": "*", "multiplied by": "*", "*": "*",
    "x": "*", "divided by": "/", "over": "/", "/": "/",
}  # fmt: skip
_NAMES = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_WORDS = "|".join(sorted([*_VALUES, *_SCALES], key=len, reverse=True))
_NUMBER = rf"(?:\d{{1,9}}|(?:{_WORDS}|a(?= (?:hundred|thousand|million)))\b)"
_OPERAND = rf"{_NUMBER}(?:[\s-]+(?:and[\s-]+)?{_NUMBER})*"
_SUM = re.compile(
    rf"(?<![\w.])({_OPERAND})\s*(plus|minus|less|times|multiplied by|divided by|over|[-+*x/])\s*({_OPERAND})"
)
_ASKED = re.compile(r"\b(?:what|what's|how much|calculate|compute|and)\b")


def answer(text: str) -> str | None:
    """The sum of two numbers that `text` (lower case) asks for, as a sentence; None where there is none."""
    match = _SUM.search(text)
    if match is None or not (_ASKED.search(text) or match[0] == text.strip(" ?.!=")):  # not a date, not '24/7'
        return None
    left, right, operator = _value(match[1]), _value(match[3]), _OPERATORS[match[2]]
    question = f"{left} {_NAMES[operator]} {right}"
    if operator == "/" and right == 0:
        return f"{question} has no answer, because nothing can be divided by zero."
    results = {"+": left + right, "-": left - right, "*": left * right}
    result = Fraction(left, right) if operator == "/" else Fraction(results[operator])
    if result.denominator == 1:
        return f"{question} is {'minus ' if result < 0 else ''}{abs(result)}."
    return f"{question} is about {float(result):.2f}."


def _value(words: str) -> int:
    total, group = 0, 0
    for word in re.split(r"[\s-]+", words):
        if word == "hundred":
            group = max(group, 1) * 100
        elif word in _SCALES:
            total, group = total + max(group, 1) * _SCALES[word], 0
        elif word not in ("and", "a"):
            group += int(word) if word.isdigit() else _VALUES[word]
    return total + group


def name(number: int) -> str:
    """A number from 0 to 100 in words."""
    if number < 20:
        return _UNITS[number]
    if number == 100:
        return "one hundred"
    tens, unit = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_UNITS[unit]}" if unit else "")
