import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.completeness import Completeness, asks, completeness

COMPLETE = [
    "what time is it", "tell me a story", "what's the weather like", "can you do that", "yes", "no thanks", "stop",
    "thank you", "how are you", "turn the lights on", "i think so", "go ahead", "i feel tired today", "What is it for?",
    "Paris.", "where do you live", "repeat that again please", "good morning", "come in", "who is that", "turn around",
    "what do you want to know", "how can i help", "what are you doing", "i do not understand", "what do you think",
    "where do you come from", "what are you looking for", "i would like to know what time it is", "i wonder who she is",
    "i need a little more time to think", "what do you have", "what would you like",
    "what do you think now", "i think tomorrow", "what is five plus seven", "so what's twelve divided by 4",
    "I need milk, eggs and butter.", "I need milk, eggs, and butter.", "Well, yes, please.", "No, no, no.",
    "On Monday, I think, he left.", "i crossed the street",
]  # fmt: skip
UNCLEAR = [
    "can you tell me where you come", "as soon as you can", "yes i can", "yes it is", "music", "i like this",
    "who are they",
    "that's what i want", "set a timer for five", "it is cold though", "i don't know why", "so am i",
    "i want to learn", "my mother is coming", "tell me a little more", "what are you talking about",
    "do you have", "would you like", "can i have", "what do you think people", "why do you think the people",
    "I need milk, eggs, butter.", "apples, bananas, pears",
]  # fmt: skip
DICTATED = ["my number is five five", "four oh two", "it is b c d", "20 24", "my code is 4 7", "7"]
DICTATED += ["i live at twelve main street", "I live at 12 Old Mill Road."]
TRAILING = [
    "and then i", "i would like to", "my name is", "the", "um", "i went to the shop and", "what is the", "i want",
    "well", "now", "so", "tell me", "can you please", "it was like", "john dot smith at gmail dot", "if i were a",
    "hey can you",
    "and so then", "because i think that", "I need a...", "bread, butter,", "my name is.", "the capital of",
    "we were in", "two times as", "i would like to know", "what do you think about", "tell me something about",
    "i am going to buy", "i think we should", "i need a little more", "can you tell me you",
    "can you tell me what", "i do not know if i can", "do you want", "do you need",
]  # fmt: skip


@pytest.mark.parametrize("text", COMPLETE)
def test_nothing_is_missing_from_a_complete_utterance(text: str) -> None:
    assert completeness(text) is Completeness.COMPLETE


@pytest.mark.parametrize("text", UNCLEAR)
def test_some_endings_may_or_may_not_be_one(text: str) -> None:
    assert completeness(text) is Completeness.UNCLEAR


@pytest.mark.parametrize("text", DICTATED)
def test_numbers_spelled_letters_and_addresses_are_dictated(text: str) -> None:
    assert completeness(text) is Completeness.DICTATED


@pytest.mark.parametrize("text", TRAILING)
def test_an_utterance_cannot_end_in_the_middle_of_a_phrase(text: str) -> None:
    assert completeness(text) is Completeness.TRAILING


def test_a_full_stop_settles_what_the_words_leave_open() -> None:
    assert completeness("I like this") is Completeness.UNCLEAR
    assert completeness("I like this.") is Completeness.COMPLETE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ich gehe in die", Completeness.UNCLEAR),
        ("Ich gehe in die Stadt.", Completeness.COMPLETE),
        ("Ich gehe in die Stadt,", Completeness.TRAILING),
    ],
)
def test_of_another_language_only_the_punctuation_counts(text: str, expected: Completeness) -> None:
    assert completeness(text, english=False) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天天气怎么样", Completeness.UNCLEAR),
        ("今天天气怎么样？", Completeness.COMPLETE),
        ("你好，", Completeness.TRAILING),
    ],
)
def test_a_script_that_is_not_english_is_noticed(text: str, expected: Completeness) -> None:
    assert completeness(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mach das Licht an.", Completeness.COMPLETE),
        ("Il y en a.", Completeness.COMPLETE),
        ("Wie alt bist du?", Completeness.COMPLETE),
        ("Was ist das", Completeness.UNCLEAR),
        ("Ich hätte gern einen", Completeness.UNCLEAR),
        ("Je voudrais un", Completeness.UNCLEAR),
        ("Hava bugün çok güzel", Completeness.UNCLEAR),
        ("Ich möchte etwas,", Completeness.TRAILING),
        ("Mi número es el 555", Completeness.UNCLEAR),
    ],
)
def test_a_language_that_is_not_english_is_noticed(text: str, expected: Completeness) -> None:
    assert completeness(text) is expected
    assert not asks(text)


@pytest.mark.parametrize(
    "text",
    [
        "Quiero reservar una mesa para",
        "Ich komme heute und",
        "Je viens avec mon",
        "vorrei un tavolo per",
        "ik ga naar de",
    ],
)
@pytest.mark.parametrize("english", [True, False])
def test_some_words_end_no_sentence_of_their_language(text: str, english: bool) -> None:
    assert completeness(text, english=english) is Completeness.TRAILING
    assert completeness(f"{text}.", english=english) is Completeness.UNCLEAR, "one of the two is misheard"
    assert completeness(f"{text}?", english=english) is Completeness.COMPLETE


@pytest.mark.parametrize("text", ["my number is 555", "my pin is 4", "it's spelled s", "my order number is seven"])
def test_a_full_stop_ends_no_number_that_may_go_on(text: str) -> None:
    assert completeness(text) is completeness(f"{text}.") is Completeness.UNCLEAR
    assert completeness(f"{text}?") is Completeness.COMPLETE


@pytest.mark.parametrize(
    "text",
    [
        "My number is 0171.", "My zip code is 94103.", "The postcode is 10115.", "Order number 7734.", "It's 555!",
        "The code is B.", "My card ends in 4.", "Call extension 7.", "Reach me at 555.", "My code is 1990.",
    ],
)  # fmt: skip
def test_numbers_that_are_read_out_may_go_on(text: str) -> None:
    assert completeness(text) is Completeness.UNCLEAR


@pytest.mark.parametrize(
    "text",
    [
        "I want a table for two.", "Let's meet at 5.", "It was built in 1990.", "I live here since 2004.",
        "The summer of 1969.", "It was in June 1990.", "It costs $100.", "I want two.", "It's 72%.",
        "The number of guests is 4.", "I want to order two.", "Call my phone at 5.", "Wake me up at 7 a.m.",
    ],
)  # fmt: skip
def test_other_numbers_are_settled_by_a_full_stop(text: str) -> None:
    assert completeness(text) is Completeness.COMPLETE


@pytest.mark.parametrize("text", ["", "  ", "...", "👍"])
def test_a_text_without_words_tells_nothing(text: str) -> None:
    assert completeness(text) is Completeness.UNCLEAR


@given(st.lists(st.sampled_from(["I", "want", "the", "red", "one", "on", "that", "what"]), min_size=1).map(" ".join))
def test_case_and_quotation_marks_change_nothing(text: str) -> None:
    assert completeness(text) is completeness(text.upper()) is completeness(f'"{text}"')


@given(st.text())
def test_every_text_has_an_answer(text: str) -> None:
    assert completeness(text) in Completeness


@pytest.mark.parametrize(
    "text",
    [
        "what time is it", "What's the weather like?", "so where do you live", "are you there",
        "Hey, how are you today?",
        "tell me a story", "please tell me about yourself", "turn the lights on", "stop", "thank you", "thanks a lot",
        "thank you very much for your help", "do you like to read books", "do you need help", "and is it raining",
        "but was the food good",
    ],
)  # fmt: skip
def test_after_a_short_question_or_request_the_speaker_waits(text: str) -> None:
    assert asks(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "i feel tired of my job", "yes", "do you know", "what do you think", "can you help", "is he",
        "so do you have", "and can i have",
        "do you think that the people who live here are happy", "tell me something about the history", "so", "well",
        "i would like to know what time it is", "my number is five", "and is worth mention",
        "but has never been surpassed",
    ],
)  # fmt: skip
def test_after_other_utterances_there_may_be_more(text: str) -> None:
    assert not asks(text)
