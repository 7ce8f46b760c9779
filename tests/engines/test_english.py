import re
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.english import in_words

# ruff: noqa: RUF001  (signs look like others)

Said = tuple[str, str]


def parametrized(*said: Said) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("written", "said"), said, ids=[written for written, _ in said])


@parametrized(
    ("It costs $20.", "It costs 20 dollars."),
    ("$5.50, $5.05, $0.99, $.50", "5 dollars and 50 cents, 5 dollars and 5 cents, 99 cents, 50 cents"),
    ("$1, $1.00 and $1.01", "1 dollar, 1 dollar and 1 dollar and 1 cent"),
    ("$1.5 million and €2bn, $5k", "1.5 million dollars and 2 billion euros, 5 thousand dollars"),
    ("$1,000,000 or $1,234.56", "1,000,000 dollars or 1,234 dollars and 56 cents"),
    ("$3.499 a gallon", "3.499 dollars a gallon"),
    ("€5.50, 5,50 €, 20 €", "5 euros and 50 cents, 5 euros and 50 cents, 20 euros"),
    ("£20, £1.50, £0.01", "20 pounds, 1 pound and 50 pence, 1 penny"),
    ("¥500, ₹500, ₩500, 50¢, 1¢", "500 yen, 500 rupees, 500 won, 50 cents, 1 cent"),
    ("-$5 and −€5", "minus 5 dollars and minus 5 euros"),
    ("a $20 bill, an $8 coffee", "a 20 dollar bill, an 8 dollar coffee"),
    ("US$20 or C$25", "20 U.S dollars or 25 Canadian dollars"),
    ("$5–10, $5-$10, $1.5–2 million", "5 to 10 dollars, 5 to 10 dollars, 1.5 to 2 million dollars"),
    ("$1.50–$2, $5M–$10M", "1 dollar and 50 cents to 2 dollars, 5 million dollars to 10 million dollars"),
    ("$10/hour, $5/mo", "10 dollars per hour, 5 dollars per month"),
    ("paid in €", "paid in euros"),
)
def test_money_is_said_after_its_number(written: str, said: str) -> None:
    assert in_words(written) == said


@parametrized(
    ("½ cup, ¾ of it, ⅔, ⅛", "one half cup, 3 quarters of it, 2 thirds, one eighth"),
    ("1½ cups, 2 ¾ cups, 5⅓", "1 and a half cups, 2 and 3 quarters cups, 5 and a third"),
    ("1/2 cup, 5 1/2, 3/4, 1-1/2", "one half cup, 5 and a half, 3 quarters, 1 and a half"),
    ("-½", "minus one half"),
    ("24/7, 8/10, 9/11, he/she, 2/4", "24/7, 8/10, 9/11, he/she, 2/4"),
    ("10², 10³, 10⁶ people, 10⁻³", "10 squared, 10 cubed, 10 to the 6 people, 10 to the minus 3"),
    ("x², mc², (a+b)², xⁿ", "x squared, mc squared, (a+b) squared, x to the n"),
    ("5 m², 1 km², 3 ft³", "5 square meters, 1 square kilometer, 3 cubic feet"),
    ("as he said¹ once", "as he said once"),
    ("H₂O, CO₂, C₆H₁₂", "H 2 O, C O 2, C 6 H 12"),
)
def test_fractions_and_powers_are_no_further_digits(written: str, said: str) -> None:
    assert in_words(written) == said


@parametrized(
    ("z ≠ 2, a != b", "z not equal to 2, a not equal to b"),
    ("≈ 5, ~5", "about 5, about 5"),
    ("≥ 5 and ≤5", "at least 5 and at most 5"),
    ("x < 2 and y > 3", "x less than 2 and y greater than 3"),
    ("5 ± 1", "5 plus or minus 1"),
    ("5−3 and −5 °C", "5 minus 3 and minus 5 degrees C"),
    ("3 × 4 ÷ 2", "3 times 4 divided by 2"),
    ("5 µg, 1 μg, 0.5µm", "5 micrograms, 1 microgram, 0.5 micrometers"),
    ("20°C, 1°, 20–25 °C", "20 degrees C, 1 degree, 20 to 25 degrees C"),
    ("#1, № 5, C#", "number 1, number 5, C#"),
    ("A → B", "A to B"),
)
def test_signs_are_said(written: str, said: str) -> None:
    assert in_words(written) == said


@parametrized(
    ("5′10″ tall", "5 feet 10 inches tall"),
    ("5'10\" tall, 6’2”, 5'10", "5 feet 10 inches tall, 6 feet 2 inches, 5 feet 10 inches"),
    ("5′10½″", "5 feet 10 and a half inches"),
    ("6′, 1′, 12″, ½″", "6 feet, 1 foot, 12 inches, one half inch"),
    ("40°26′46″", "40 degrees 26 minutes 46 seconds"),
    ("the '5' 10 times, the 90's 10", "the '5' 10 times, the 90's 10"),
)
def test_feet_and_inches_follow_digits_only(written: str, said: str) -> None:
    assert in_words(written) == said


@parametrized(
    ("5–10 people, 5-10 people", "5 to 10 people, 5 to 10 people"),
    ("2010–2020, 2024–25", "2010 to 2020, 2024 to 25"),
    ("5%–10%, 1½–2 cups", "5% to 10%, 1 and a half to 2 cups"),
    ("9:30–10:45, 5–7 p.m., 5 p.m.–7 p.m.", "9:30 to 10:45, 5 to 7 PM, 5 PM to 7 PM."),
    ("Monday–Friday, Mon-Fri, Jan. 5–Feb. 3", "Monday to Friday, Mon to Fri, January 5th to February 3rd"),
    ("555-1234, 555–123–4567, 3-1, F-16, 10-K", "555-1234, 555-123-4567, 3-1, F-16, 10-K"),
)
def test_a_range_is_no_telephone_number(written: str, said: str) -> None:
    assert in_words(written) == said


@parametrized(
    ("on 12/25/2024", "on December 25th, 2024"),
    ("25/12/2024", "December 25th, 2024"),
    ("7/4/98, 1/2/24", "July 4th, 1998, January 2nd, 2024"),
    ("2024-07-04", "July 4th, 2024"),
    ("13/13/2024, 2024-13-01, 1/2/3, 0/0/2024", "13/13/2024, 2024-13-01, 1/2/3, 0/0/2024"),
    ("Jan. 5, Sept. 21, 2024, Dec 25, Feb. 2024", "January 5th, September 21st, 2024, December 25th, February 2024"),
    ("Mar. 1.5, Jan 5:30", "Mar. 1.5, Jan 5:30"),
)
def test_dates_are_said_with_their_month(written: str, said: str) -> None:
    assert in_words(written) == said


def test_the_order_of_an_ambiguous_date_is_the_listeners() -> None:
    assert in_words("7/4/2024") == "July 4th, 2024"
    assert in_words("7/4/2024", day_first=True) == "April 7th, 2024"
    assert in_words("12/25/2024", day_first=True) == "December 25th, 2024"


@parametrized(
    ("Dr. Smith, Mr. Jones, Mrs. Jones, Ms. Jones", "Dr Smith, Mr Jones, Mrs Jones, Miz Jones"),
    ("Prof. Lee and Sgt. Pepper", "Professor Lee and Sergeant Pepper"),
    ("on St. James St. now", "on Saint James Street now"),
    ("on Main St. It is near. On 5th St.", "on Main Street. It is near. On 5th Street."),
    ("No. 5, no. 5, Fig. 3, pp. 3-5", "number 5, number 5, figure 3, pages 3 to 5"),
    ("Is it 4? No. 5 is right. No. Not 5.", "Is it 4? No. 5 is right. No. Not 5."),
    ("at 5 p.m. tomorrow, at 6 a.m., 10am", "at 5 PM tomorrow, at 6 AM, 10 AM"),
    ("at 5 p.m. EST, 7 p.m. Tuesday", "at 5 PM EST, 7 PM Tuesday"),
    ("It ends at 5 p.m. Bring cake. At 6 p.m.", "It ends at 5 PM. Bring cake. At 6 PM."),
    ("Apple Inc. says, Apple Inc. The", "Apple Incorporated says, Apple Incorporated. The"),
    ("cats, dogs, etc. are here, etc. We", "cats, dogs, etc are here, etc. We"),
    ("e.g. this, i.e. that, vs. them", "for example this, that is that, versus them"),
    ("the U.S. Army in the U.S. It is", "the U.S Army in the U.S. It is"),
    ("J. Smith, John F. Kennedy, plan B. Then I. He", "J Smith, John F Kennedy, plan B. Then I. He"),
    ("see example.com. Node.js", "see example dot com. Node dot js"),
)
def test_the_point_of_an_abbreviation_ends_no_sentence(written: str, said: str) -> None:
    assert in_words(written) == said


@pytest.mark.parametrize(
    "text",
    [
        "It is 10:30, 3.14 and 1,000,000; 50% of 7.",
        'The 1990s: "it\'s" a well-known 21st-century thing (AT&T, C++).',
        "-5 degrees at 100 km/h. I am 5. May 5 people come?",
        "2 + 2 = 4. Call +1 555 123 4567.",
        "",
    ],
)
def test_what_voices_read_by_themselves_stays(text: str) -> None:
    assert in_words(text) == text


@given(st.lists(st.text(string.ascii_letters.replace("s", "") + "'", min_size=1)))  # no Ms, no vs
def test_plain_words_stay(words: list[str]) -> None:
    text = ", ".join(words)
    assert in_words(text) == text


@given(st.text(max_size=100))
def test_any_text_stays_one_line(text: str) -> None:
    assert in_words(text).splitlines() in ([], [in_words(text)])


@given(st.text(st.sampled_from("0123456789 $€½²–-−/.,'′″°%#µmgkAapP≈<>^⁄₂"), max_size=40))
def test_no_two_numbers_become_one(text: str) -> None:
    """Each run of digits that is said stood in the text as it is, but for a century, a day and a fraction's parts."""
    written = re.sub("²+|₂+", lambda found: f" {'2' * len(found[0])} ", text).replace("½", " 1 2 ")
    said = "".join(character if character.isascii() and character.isdigit() else " " for character in in_words(text))
    runs = "".join(character if character.isdigit() else " " for character in written).split()
    allowed = {*runs, *(run.lstrip("0") for run in runs), *(c + run for run in runs for c in ("19", "20")), "0"}
    assert set(said.split()) <= allowed


@pytest.mark.parametrize("unit", ["9", "1,", "1,111", "$", "$1", "1/", "1–", "A.", "J. ", "½", "x²", "St. ", "5°", " "])
def test_no_text_takes_long(unit: str) -> None:
    began = time.process_time()
    in_words((unit * 10_000)[:10_000])
    assert time.process_time() - began < 1
