import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.core.phrases import LONGEST, SHORTEST_SENTENCE, Phrase, PhraseSplitter, letters

OPENING = "Once upon a time there was a very old fisherman who lived by the sea."


def split(*deltas: str) -> list[Phrase]:
    splitter = PhraseSplitter()
    return [phrase for delta in deltas for phrase in splitter.push(delta)] + splitter.finish()


def texts(*deltas: str) -> list[str]:
    return [phrase.text for phrase in split(*deltas)]


def tokens(text: str) -> list[str]:
    """As language models cut it: a word with the space before it, or punctuation."""
    return re.findall(r"\s?\w+|\s|[^\w\s]+", text)


def after_opening(text: str) -> list[str]:
    """The phrases of a text for which nobody waits, token by token."""
    first, *others = texts(OPENING, *tokens(" " + text))
    assert first == OPENING
    return [phrase.strip() for phrase in others]


def test_the_first_sentence_leaves_with_its_full_stop() -> None:
    splitter = PhraseSplitter()
    assert [splitter.push(delta) for delta in ("Okay", " here", " it")] == [[], [], []]
    assert splitter.push(" is.") == [Phrase("Okay here it is.", "Okay here it is.")]


@pytest.mark.parametrize("opening", ["Sure!", "No.", "Really?", '"Stop!"', "**Yes!**", "好的。"])
def test_a_short_first_sentence_does_not_wait_for_the_next(opening: str) -> None:
    assert texts(opening, " The", " rest")[0] == opening


def test_the_first_clause_leaves_when_it_is_long_enough() -> None:
    assert texts(*tokens("Well, if you ask me, it is late."))[0] == "Well, if you ask me,"
    assert texts(*tokens("In that case: go on."))[0] == "In that case:"
    assert texts(*tokens("That depends — go on."))[0] == "That depends —"


def test_a_first_phrase_without_a_clause_ends_where_a_speaker_draws_breath() -> None:
    text = "The capital of France is the beautiful city of Paris which lies on the river Seine"
    assert texts(*tokens(text))[0] == "The capital of France is the beautiful city of Paris"


def test_later_phrases_are_whole_sentences() -> None:
    assert after_opening("He was poor, but he was happy. Every morning, before sunrise, he went out. And then?") == [
        "He was poor, but he was happy.",
        "Every morning, before sunrise, he went out.",
        "And then?",
    ]


def test_a_later_sentence_leaves_when_the_next_begins() -> None:
    splitter = PhraseSplitter()
    splitter.push(OPENING)
    assert splitter.push(" He was a very happy old man.") == []
    assert [phrase.text for phrase in splitter.push(" The")] == [" He was a very happy old man."]


def test_a_long_sentence_is_cut_before_the_sound_in_hand_runs_out() -> None:
    sentence = " The forecast for this afternoon is mostly sunny with a light breeze from the west."
    assert texts("Okay here it is.", *tokens(sentence))[1] == " The forecast for this afternoon is mostly sunny"
    assert texts(OPENING, *tokens(sentence))[1] == sentence


def test_short_sentences_are_joined_when_nobody_waits() -> None:
    assert after_opening("Yes. No. I do not know. It is what it is.") == [
        "Yes. No. I do not know.",
        "It is what it is.",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "We met Dr. Smith and Mr. Jones of Acme Inc. at St. Mary's.",
        "It works, e.g. this way, i.e. Like that, in the U.S. and the U.K. too.",
        "It rose from 3.14 to 1,250,000.75 or $3.50, by 5.5% at 10:30 a.m. Every day.",
        "See https://example.com/a.b?c=d. or write to info@example.com, version 2.0.1 of it.",
        "On March 3, 2024, J. R. R. Tolkien counted 1, 2, 3, 4 and then stopped.",
        "That is No. 5 in Fig. 3 of approx. twenty others.",
        "Your meeting is on Jan. 5 or on Dec. 25, 1990.",
        "Der Tag der Deutschen Einheit ist am 3. Oktober.",
        "Das Hotel wurde im 19. Jahrhundert gebaut.",
        "Heute ist Montag, 24. Dezember, und sehr kalt.",
        "Vom 1. Januar bis zum 31. Mai ist geschlossen.",
        "La Sra. García y la Srta. Pérez llegan a las cinco.",
        "Mme. Dupont wohnt in der Hauptstr. 5, Tel. 12 inkl. Durchwahl.",
        '"Are you there?" he asked, and "Stop!" she said.',
        "Wait... I think so… maybe it is so.",
    ],
)
def test_a_full_stop_that_ends_no_sentence_ends_no_phrase(sentence: str) -> None:
    assert after_opening(f"{sentence} Then it was evening at last.") == [sentence, "Then it was evening at last."]


@pytest.mark.parametrize(
    ("sentence", "next_sentence"),
    [
        ("There is nobody as tired as I.", "That is the whole truth of it."),
        ("Everything began in 1984.", "That is the whole truth of it."),
        ("It is true (I believe so).", "That is the whole truth of it."),
        ("She said “never in my life!”", "That is the whole truth of it."),
        ("The answer to that is no.", "You must not do that to me."),
        ("There are so many of us in Jan.", "That is the whole truth of it."),
        ("Our little sister is only 3.", "Julia is the one who is five."),
        ("Zähle zusammen mit mir bis 10.", "Danach beginnen wir von vorn."),
        ("My little brother is only 3.", "October was when he came to us."),
        ("That is how old I am. I am 3.", "Others are older than I am."),
        ("هل أنت بخير اليوم يا صديقي؟", "نعم أنا بخير والحمد لله اليوم."),
        ("मैं आज बहुत खुश हूँ दोस्त।", "क्या आप भी खुश हैं आज मित्र?"),
    ],
)
def test_a_sentence_ends_where_a_reader_sees_its_end(sentence: str, next_sentence: str) -> None:
    assert after_opening(f"{sentence} {next_sentence}") == [sentence, next_sentence]


def test_scripts_without_spaces_are_cut_at_their_own_punctuation() -> None:
    text = "你好，我是一个语音助手。今天天气很好，我们可以去公园散步。「好的。」他说。"
    assert texts(*text) == ["你好，我是一个语音助手。", "今天天气很好，我们可以去公园散步。", "「好的。」他说。"]


def test_items_of_a_list_are_phrases_with_their_numbers() -> None:
    assert after_opening("You need:\n1. Two pounds of ripe apples\n2. Sugar\n3. A very large pot") == [
        "You need:\n1. Two pounds of ripe apples",
        "2. Sugar\n3. A very large pot",
    ]


def test_a_block_of_code_is_one_phrase_without_sound() -> None:
    code = "```python\nprint('One. Two. Three, four.')\n\nx = 1\n```"
    for deltas in ([f"Like this:\n{code}\nThat is all."], [*f"Like this:\n{code}\nThat is all."]):
        assert split(*deltas) == [
            Phrase("Like this:", "Like this:"),
            Phrase(f"\n{code}", ""),
            Phrase("\nThat is all.", "That is all."),
        ]


def test_the_first_words_after_a_block_of_code_are_a_first_phrase() -> None:
    assert texts("```\nx\n```", " Done.", " Now") == ["```\nx\n```", " Done.", " Now"]


def test_code_that_never_ends_has_no_sound() -> None:
    assert split("```\nOne. Two.\n", "Three. " * 100)[-1].spoken == ""


def test_markup_between_words_does_not_hide_a_sentence_end() -> None:
    assert after_opening("**This is the important one.** *And this is the other one.* Goodbye now.") == [
        "**This is the important one.**",
        "*And this is the other one.*",
        "Goodbye now.",
    ]


@pytest.mark.parametrize(
    ("opening", "rest"),
    [
        ("Your meeting is on Jan. 5 at noon.", "See you there then."),
        ("Das Hotel wurde im 19. Jahrhundert gebaut.", "Es ist sehr alt."),
        ("Montag, 24. Dezember ist frei.", "Bis dann also."),
    ],
)
def test_a_date_is_whole_though_the_listener_waits(opening: str, rest: str) -> None:
    for deltas in (tokens(f"{opening} {rest}"), [*f"{opening} {rest}"]):
        assert texts(*deltas)[0] == opening


def test_a_link_is_whole() -> None:
    for link in ("[Section 1: Introduction](https://a.org/b)", "[The beginning and the whole rest](https://a.org/b)"):
        first, *_ = split(*tokens(f"See {link} for all of it, please."))
        assert link in first.text
    assert texts(*tokens("[I am speaking softly, now and then."))[0] == "[I am speaking softly, now and then."


def test_text_without_punctuation_is_cut_between_words() -> None:
    phrases = texts(*tokens("word " * 200))
    assert all(SHORTEST_SENTENCE < len(phrase) <= LONGEST for phrase in phrases[:-1])
    assert all(phrase.split() == ["word"] * len(phrase.split()) for phrase in phrases)


def test_a_text_of_nothing_is_no_phrase() -> None:
    assert split() == split("", "") == []


def test_white_space_alone_is_kept_and_has_no_sound() -> None:
    assert split(" ", "\n") == [Phrase(" \n", "")]


MARKS = [
    ".",
    ",",
    "!",
    "?",
    "...",
    "…",
    "—",
    "(",
    ")",
    "`",
    "```",
    "**",
    "_",
    "|",
    "|---|",
    "#",
    "。",
    "，",
    "「",
    "」",
    "؟",
    "@",
]
WORDS = [
    "Hello",
    " there",
    " Dr",
    "e.g",
    " I",
    " and",
    " which",
    "3",
    "14",
    " 2",
    "https://a.b/c",
    "你好",
    "😀",
]
PIECES = st.sampled_from([*MARKS, *WORDS, ". ", ", ", " ", "\n", "\n- ", "\t", '"', "```py\n", "x" * 70, "你" * 30])


@given(st.lists(PIECES | st.text(max_size=5), max_size=60))
@example(["x" * 500])
def test_the_phrases_joined_are_the_text_however_it_arrives(deltas: list[str]) -> None:
    assert "".join(texts(*deltas)) == "".join(deltas)
    assert "".join(texts("".join(deltas))) == "".join(deltas)
    assert "".join(texts(*"".join(deltas))) == "".join(deltas)


@given(st.lists(PIECES, max_size=60))
def test_no_phrase_is_longer_than_a_breath_unless_it_has_no_sound(deltas: list[str]) -> None:
    for phrase in split(*deltas):
        assert phrase.text
        assert letters(phrase.text) <= LONGEST + 2 or not phrase.spoken


@given(st.lists(st.sampled_from([" the", " old", " man", " went", ".", ", ", " and", "!", " Then"]), max_size=80))
def test_words_are_never_cut(deltas: list[str]) -> None:
    said = " ".join(phrase.spoken for phrase in split(*deltas))
    assert re.findall(r"\w+", said) == re.findall(r"\w+", "".join(deltas))


@given(st.lists(PIECES, max_size=40))
def test_a_phrase_is_never_taken_back_or_late(deltas: list[str]) -> None:
    splitter, ready = PhraseSplitter(), ""
    for delta in deltas:
        for phrase in splitter.push(delta):
            ready += phrase.text
        assert "".join(deltas).startswith(ready)
        assert splitter.push("") == [], "asking again without more text gives nothing more"
