"""Local agreement on hypotheses as a recogniser writes them; one token is one character here."""

import pytest

from engines.agreement import Agreement, Decoded, Time, Unit


def decoded(text: str, *, word_s: float | None = None) -> Decoded:
    """The words of `text`, a unit each with its leading space; each takes `word_s`."""
    words = [f" {word}" for word in text.split()]
    units = tuple(Unit(word, tuple(map(ord, word))) for word in words)
    if word_s is None:
        return Decoded(units, None)
    times = tuple(Time(number * word_s, (number + 1) * word_s, 0.5) for number in range(len(units)))
    return Decoded(units, times)


def heard(*texts: str, word_s: float | None = None) -> Agreement:
    agreement = Agreement()
    for text in texts:
        agreement.hear(decoded(text, word_s=word_s))
    return agreement


def stable(agreement: Agreement) -> str:
    return agreement.text[: agreement.stable_chars]


@pytest.mark.parametrize(
    ("texts", "settled"),
    [
        (("what is",), ""),
        (("what is", "what is the"), "what is"),
        (("what is", "what has", "what has been"), "what has"),
        (("what is", "that is"), ""),
        (("what is the", "what is the", ""), "what is the"),
        (("whatever", "what ever"), ""),
    ],
)
def test_what_two_hypotheses_in_a_row_agree_on_is_settled(texts: tuple[str, ...], settled: str) -> None:
    agreement = Agreement()
    lengths = []
    for text in texts:
        begun = len(agreement.prefix)
        agreement.hear(decoded(text) if text else Decoded(agreement.latest.units[:3], None))
        assert len(agreement.prefix) >= begun
        lengths.append(agreement.stable_chars)
    assert stable(agreement) == settled
    assert lengths == sorted(lengths)
    assert agreement.prefix == tuple(map(ord, f" {settled}" if settled else ""))


def test_hypotheses_about_nearly_the_same_sound_settle_nothing() -> None:
    agreement = heard("what is")
    agreement.hear(decoded("what is"), settle=False)
    assert (agreement.text, agreement.stable_chars) == ("what is", 0)


def test_settled_words_leave_with_their_sound_and_keep_their_times() -> None:
    agreement = heard("one two three", "one two three four", word_s=2.0)
    assert agreement.settled_until() == 6.0
    agreement.cut(6.0, window_start_s=10.0)
    assert (agreement.text, stable(agreement)) == ("one two three four", "one two three")
    assert agreement.prefix == ()
    agreement.hear(decoded("four five", word_s=1.0))
    words = agreement.words(window_start_s=16.0)
    assert [(word.text, word.start_s, word.end_s) for word in words] == [
        ("one", 10.0, 12.0),
        ("two", 12.0, 14.0),
        ("three", 14.0, 16.0),
        ("four", 16.0, 17.0),
        ("five", 17.0, 18.0),
    ]
    assert (agreement.text, stable(agreement)) == ("one two three four five", "one two three four")


def test_a_forced_cut_settles_what_ended_before_it_and_keeps_the_rest_of_the_prefix() -> None:
    agreement = heard("one two three four", "one two three five", word_s=2.0)
    assert stable(agreement) == "one two three"
    agreement.cut(5.0, window_start_s=0.0)
    assert agreement.prefix == tuple(map(ord, " three"))
    assert stable(agreement) == "one two three"
    agreement.hear(decoded("three five six", word_s=1.0))
    assert agreement.text == "one two three five six"


def test_words_have_no_times_until_they_were_asked_for() -> None:
    agreement = heard("one two", "one two three")
    assert agreement.settled_until() is None
    assert agreement.words(0.0) == ()


def test_punctuation_belongs_to_its_word() -> None:
    units = tuple(Unit(text, (number,)) for number, text in enumerate([" “", "Yes", ",", " no", ".", "”"]))
    times = tuple(Time(float(number), number + 1.0, 0.5) for number in range(len(units)))
    agreement = Agreement()
    agreement.hear(Decoded(units, times))
    assert agreement.text == "“Yes, no.”"
    assert [word.text for word in agreement.words(0.0)] == ["“Yes,", "no.”"]
