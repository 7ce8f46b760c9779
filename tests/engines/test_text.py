import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.text import is_silent, sentences, spoken_text
from orchestrator.core.spoken import spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Bold** and *italic* and `code`", "Bold and italic and code"),
        ("# Title\n\nText", "Title. Text"),
        ("- one\n- two\n", "one. two"),
        ("> quoted", "quoted"),
        ("see [the docs](https://example.org/a?b=c) now", "see the docs now"),
        ("see https://www.example.org/a?b=c now", "see example.org now"),
        ("a <b>bold</b> <br/> word <!-- hidden -->", "a bold word"),
        ("1 &lt; 2 &amp; 3", "1 < 2 & 3"),
        ("great 😀👍🏽 👨‍👩‍👧!", "great!"),
        ("| a | b |\n|---|---|\n| c | d |", "a, b. c, d"),
        ("snake_case stays", "snake_case stays"),
        ("3 * 4 = 12, 5*3*2 = 30", "3 × 4 = 12, 5 × 3 × 2 = 30"),
        ("**5** 3 *items*, 2** 7", "5 3 items, 2 7"),
        ("20 °C", "20 °C"),
        ("20℃ or 68℉, № 5", "20°C or 68°F, № 5"),
        ("2^10, x^-2, (a+b)^(2), ^_^", "2¹⁰, x⁻², (a+b)²,"),
        ("tab\tand\x00null\r\nline", "tab and null. line"),
    ],
)
def test_what_is_written_for_the_eye_is_not_spoken(written: str, spoken: str) -> None:
    assert spoken_text(written) == spoken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "yes." Then he left.', ['He said "yes."', "Then he left."]),
        ("Dr. Smith met Mr. J. Doe. They talked.", ["Dr. Smith met Mr. J. Doe.", "They talked."]),
        ("Pi is 3.14 or so.", ["Pi is 3.14 or so."]),
        ("Come at 5 p.m. tomorrow. Or at 6 a.m. Bye.", ["Come at 5 p.m. tomorrow.", "Or at 6 a.m.", "Bye."]),
        ("See No. 5 and Fig. 3. Is it no. No.", ["See No. 5 and Fig. 3.", "Is it no.", "No."]),
        (
            "Apple Inc. and Smith Co. are. The Acme Ltd. It is.",
            ["Apple Inc. and Smith Co. are.", "The Acme Ltd.", "It is."],
        ),
        ("Cats, dogs, etc. are fine, etc. The end.", ["Cats, dogs, etc. are fine, etc.", "The end."]),
        ("It was Jan. 5 in the dept. of Sgt. Pepper.", ["It was Jan. 5 in the dept. of Sgt. Pepper."]),
        ("Sie kommt ca. um 5 bzw. um 6. Ja.", ["Sie kommt ca. um 5 bzw. um 6.", "Ja."]),
        ("你好。再见", ["你好。", "再见"]),
        ("", []),
    ],
)
def test_text_is_cut_at_the_ends_of_sentences(text: str, expected: list[str]) -> None:
    assert list(sentences(text)) == expected


def test_a_long_sentence_is_cut_at_its_clauses_first() -> None:
    assert list(sentences("one two, three four, five six", limit=22)) == ["one two, three four,", "five six"]


@given(st.text(st.sampled_from("12 *\t\n×a"), max_size=30))
def test_a_product_stays_one_whoever_makes_the_text_ready(text: str) -> None:
    """The orchestrator's rule and this one are the same: what one keeps, the other does not remove."""
    products = re.findall(r"(?<=\d) × (?=\d)", spoken(text))
    assert re.findall(r"(?<=\d) × (?=\d)", spoken_text(spoken(text))) == products


@given(st.text(max_size=400), st.integers(1, 60))
def test_sentences_lose_nothing_and_keep_the_limit(text: str, limit: int) -> None:
    line = spoken_text(text)
    pieces = list(sentences(line, limit=limit))
    assert "".join("".join(pieces).split()) == "".join(line.split())
    assert all(0 < len(piece) <= limit for piece in pieces)


@given(st.text(max_size=200))
def test_spoken_text_is_one_line_of_printable_characters(text: str) -> None:
    line = spoken_text(text)
    assert "\n" not in line
    assert line == line.strip()
    assert spoken_text("a") == "a"


@pytest.mark.parametrize(("text", "silent"), [("...", True), ("", True), ("?!", True), ("a", False), ("½", False)])
def test_silence_is_what_has_no_letter_or_number(text: str, silent: bool) -> None:
    assert is_silent(text) == silent
