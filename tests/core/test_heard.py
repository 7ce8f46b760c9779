import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.heard import HeardText


def heard_text(*phrases: tuple[str, float], complete: bool = True) -> HeardText:
    """An answer of phrases with the length of their sound in seconds."""
    heard = HeardText()
    for text, duration_s in phrases:
        heard.begin(text)
        heard.add(duration_s)
        if complete or (text, duration_s) != phrases[-1]:
            heard.complete()
    return heard


def test_nothing_played_is_nothing_heard() -> None:
    assert heard_text(("```\nx\n```", 0.0), (" Hello there.", 1.0)).text(0.0) == ""


def test_everything_played_is_everything_heard() -> None:
    heard = heard_text(("Hello there.", 1.0), (" How are you?", 1.0))
    assert heard.duration_s == 2.0
    assert heard.text(2.0) == heard.text(99.0) == "Hello there. How are you?"


def test_a_phrase_that_was_played_is_heard_to_its_end_and_the_next_in_part() -> None:
    heard = heard_text(("Hello there.", 1.0), (" one two three four", 2.0))
    assert heard.text(1.0) == "Hello there."
    assert heard.text(2.0) == "Hello there. one two"
    assert heard.text(2.9) == "Hello there. one two three four"


def test_a_word_counts_once_most_of_it_was_spoken() -> None:
    heard = heard_text(("extraordinarily complicated", 2.0))
    assert heard.text(0.6) == ""
    assert heard.text(0.9) == "extraordinarily"
    assert heard.text(1.4) == "extraordinarily"
    assert heard.text(1.9) == "extraordinarily complicated"


def test_a_pause_after_punctuation_takes_time_without_words() -> None:
    assert heard_text(("no no no no no", 2.0)).text(1.5) == "no no no no"
    assert heard_text(("no no no, no no", 2.0)).text(1.5) == "no no no,"


def test_digits_take_the_time_of_their_names() -> None:
    assert heard_text(("1984 was a good year", 2.0)).text(0.4) == ""
    assert heard_text(("In was a good year", 2.0)).text(0.4) == "In"


def test_markup_takes_no_time() -> None:
    text = "see [this](https://example.com/a/very/long/address/indeed) now please"
    assert heard_text((text, 1.0)).text(0.99) == text


def test_text_without_sound_is_heard_when_its_turn_comes() -> None:
    heard = heard_text(("Like this:", 1.0), ("\n```\nx = 1\n```", 0.0), (" That is all.", 1.0))
    assert heard.text(0.5) == "Like"
    assert heard.text(1.0) == "Like this:\n```\nx = 1\n```"


def test_a_phrase_that_is_still_synthesised_is_not_taken_for_all_there_is() -> None:
    text = "this sentence has many more words than could be spoken in so short a time"
    heard = heard_text((text, 1.0), complete=False)
    assert 2 <= len(heard.text(0.9).split()) <= 5
    heard.add(3.0)
    heard.complete()
    assert 2 <= len(heard.text(0.9).split()) <= 5


def test_the_length_of_an_unfinished_phrase_follows_the_pace_of_the_answer() -> None:
    text = "some words that are spoken at the pace of the answer itself"
    slow, fast = (
        heard_text((text, 8.0), (text, 1.0), complete=False),
        heard_text((text, 2.0), (text, 1.0), complete=False),
    )
    assert len(slow.text(8.9)) < len(fast.text(2.9))


def test_a_fast_voice_is_expected_to_say_more() -> None:
    text = "this sentence has many more words than could be spoken in so short a time"
    said = []
    for speed in (1.0, 2.0):
        heard = HeardText(speed)
        heard.begin(text)
        heard.add(1.0)
        said.append(len(heard.text(0.9)))
    assert said[0] < said[1]


def test_scripts_without_spaces_are_heard_character_by_character() -> None:
    assert heard_text(("今天天气很好", 1.2)).text(0.6) == "今天天"


PHRASES = st.lists(
    st.tuples(
        st.lists(
            st.sampled_from([" word", " longer,", " 42", " **x**", "。", "你好", " 😀", "\n", " end."]), min_size=1
        ).map("".join),
        st.floats(0, 5, allow_nan=False),
    ),
    min_size=1,
    max_size=5,
)


@given(PHRASES, st.lists(st.floats(0, 30, allow_nan=False), min_size=2, max_size=8), st.booleans())
def test_what_was_heard_is_a_prefix_by_whole_words_and_grows_with_what_was_played(
    phrases: list[tuple[str, float]], moments: list[float], complete: bool
) -> None:
    heard = heard_text(*phrases, complete=complete)
    text = "".join(phrase for phrase, _ in phrases)
    previous = ""
    for moment in sorted(moments):
        now = heard.text(moment)
        assert text.startswith(now)
        assert now.startswith(previous)
        following = text[len(now) :][:1]
        whole = not following or following.isspace() or not following.isascii() or not now[-1:].isascii()
        assert whole or now == ""
        previous = now


@pytest.mark.parametrize("played_s", [-1.0, 0.0])
def test_an_answer_that_has_not_begun_was_not_heard(played_s: float) -> None:
    assert HeardText().text(played_s) == ""
    assert HeardText().text(1.0) == ""
