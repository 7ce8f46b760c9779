import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.spoken import spoken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**Note:** this is *very* important, `really` __so__.", "Note: this is very important, really so."),
        ("# Heading\n\nText follows.", "Heading. Text follows."),
        ("- apples\n- pears, ripe\n* plums", "apples. pears, ripe. plums"),
        ("1. Peel them.\n2) Eat them.", "1, Peel them. 2, Eat them."),
        ("- [x] done\n> quoted", "done. quoted"),
        ("| name | age |\n|:---|---:|\n| Ann | 7 |", "name, age. Ann, 7"),
        ("See [the docs](https://example.com/a_b?c=d).", "See the docs."),
        ("See https://www.example.com/a/b?c=d#e for more.", "See example.com for more."),
        ("Write to anna_b@example.com.", "Write to anna_b@example.com."),
        ("_Or john_doe@example.com, my_file._", "Or john_doe@example.com, my file."),
        ("Visit <https://example.com/a> for more.", "Visit example.com for more."),
        ("Write to <support@example.com> or <mailto:a_b@c.org>.", "Write to support@example.com or a_b@c.org."),
        ("24. Dezember ist Heiligabend.", "24. Dezember ist Heiligabend."),
        ("19. Jahrhundert\n1. Januar\n2. Junge Leute", "19. Jahrhundert. 1. Januar. 2, Junge Leute"),
        ("Use snake_case, not __dunder__.", "Use snake case, not dunder."),
        ("Line one<br>line <b>two</b>", "Line one line two"),
        ("Great 🎉, I ❤️ it 👍🏽! :-)", "Great, I it!"),
        ("Before\n```python\nx = '**'\n```\nafter", "Before. after"),
        ("Before\n\n---\n\nafter", "Before. after"),
        ("one\ttwo\u200b  three", "one two three"),
        ("3 * 4 = 12, 5*3*2 = 30", "3 × 4 = 12, 5 × 3 × 2 = 30"),
        ("**5** 3 *items*, 2** 7", "5 3 items, 2 7"),
        ("2 * x equals 4, and 5 * (3 + 2) is 25.", "2 × x equals 4, and 5 × (3 + 2) is 25."),
        ("(a + b) * c, speed * time\n* apples\n * pears", "(a + b) × c, speed × time. apples. pears"),
    ],
)
def test_what_is_written_for_the_eye_has_no_sound(text: str, expected: str) -> None:
    assert spoken(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "It costs $3.50 or 5.5% more at 10:30 a.m., i.e. 3 × 4 = 12.",
        "20 °C or 20 ℃, № 7, 1/2, #1, C#, C++, A & B, 2^3.",
        "你好，世界。",
        "Καλημέρα; Çok güzel! مرحبا؟",
        "नमस्ते दुनिया।",
    ],
)
def test_what_has_a_sound_in_the_listeners_language_is_left_to_the_engine(text: str) -> None:
    assert spoken(text) == text


@pytest.mark.parametrize(
    "text", ["", " \n", "😀👍🏽", "***", "```\ncode\n```", "---", "...", "|---|---|", "```unclosed x"]
)
def test_text_without_a_letter_or_digit_has_no_sound(text: str) -> None:
    assert spoken(text) == ""


@given(st.text(st.sampled_from("ab1 \n*_`|#>-.[](){}:/<>😀你。"), max_size=80))
def test_what_is_said_is_one_line_with_a_letter_or_digit_or_nothing(text: str) -> None:
    said = spoken(text)
    assert said == " ".join(said.split())
    assert not said or any(character.isalnum() for character in said)


@given(st.text(st.characters(categories=["L", "Nd"]), min_size=1))
def test_letters_and_digits_are_never_lost(text: str) -> None:
    assert spoken(text) == text


@pytest.mark.timeout(30)  # backtracking would make one of these take minutes
def test_the_longest_answer_of_nothing_but_markup_takes_no_time() -> None:
    for piece in ("*", "_", "[", "<a", "`", "|", "http://", "(", " ", "\n"):
        assert len(spoken(piece * 20_000)) <= len(piece) * 20_000
