import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from engines import sampling
from engines.eliza import Eliza
from engines.errors import InvalidInputError
from orchestrator.core.history import Message
from orchestrator.triton.prompt import ChatTemplate

NOW = datetime(2026, 11, 22, 17, 5)
RECORDED = json.loads((Path(__file__).parents[1] / "audio" / "sentences.json").read_text())
WORDS_IN_HALF_A_MINUTE = 90  # at 180 words a minute, as flite speaks


@pytest.fixture(scope="module")
def eliza() -> Eliza:
    return Eliza(clock=lambda: NOW)


def chat(*words: str, instructions: str = "You are a voice agent.") -> str:
    """The prompt of a chat in which user and assistant take turns."""
    turns = [Message("assistant" if number % 2 else "user", text) for number, text in enumerate(words)]
    return ChatTemplate().render([Message("system", instructions), *turns])


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What time is it?", "It is 5:05 PM."),
        ("i would like to know what time it is", "It is 5:05 PM."),
        ("wat time is it", "It is 5:05 PM."),
        ("what day is it today", "Today is Sunday, November 22nd, 2026."),
        ("what is the day to day", "Today is Sunday, November 22nd, 2026."),
        ("What's your name?", "My name is GoAssist. What is yours?"),
        ("how do you spell beautiful", "B, E, A, U, T, I, F, U, L."),
        ("spell your name", "G, O, A, S, S, I, S, T."),
        ("count to five", "One, two, three, four, five."),
        ("what is five plus seven", "5 plus 7 is 12."),
        ("how much is 10 divided by 4", "10 divided by 4 is about 2.50."),
        ("what is two minus nine", "2 minus 9 is minus 7."),
        ("what is three over zero", "3 divided by 0 has no answer, because nothing can be divided by zero."),
        ("where do you come from", "I live on the computer that you are talking to, and nowhere else."),
        ("😀", "I did not catch that. Could you say it again?"),
    ],
)
def test_what_it_knows_is_answered_properly(eliza: Eliza, question: str, answer: str) -> None:
    assert eliza.reply(chat(question)) == answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what can you do", "time and the date"),
        ("are you a human", "small offline program"),
        ("what is the one for like today", "weather"),  # 'what is the weather like today', misheard
        ("tell me something about the history of music", "small offline program|not a large language model"),
        ("sent you very much for your help", "welcome|pleasure"),
        ("goodbye and have a nice day", "Goodbye"),
        ("Hello!", "^Hello"),
        ("stop", "All right|quiet"),
        ("I feel tired of my job.", "your job|feel"),  # ELIZA reflects
        ("my mother is coming to visit me next week", "mother"),
    ],
)
def test_everything_has_an_answer_that_fits(eliza: Eliza, question: str, answer: str) -> None:
    assert re.search(answer, eliza.reply(chat(question)))


@pytest.mark.parametrize("recording", RECORDED, ids=lambda row: row["file"])
def test_every_recorded_sentence_is_answered_in_one_line(eliza: Eliza, recording: dict[str, str]) -> None:
    for text in (recording["text"], recording["text"].lower().strip(".?")):
        reply = eliza.reply(chat(text))
        assert reply == " ".join(reply.split())
        assert not reply[0].islower()
        assert reply[-1] in ".?!"


def test_a_story_lasts_half_a_minute_and_the_next_one_is_another(eliza: Eliza) -> None:
    first = eliza.reply(chat("tell me a story"))
    second = eliza.reply(chat("tell me a story", first, "tell me another story"))
    misheard = eliza.reply(chat("tell me your story"))
    assert min(len(first.split()), len(second.split())) > WORDS_IN_HALF_A_MINUTE
    assert first != second
    assert misheard == first


def test_it_repeats_what_it_said_last(eliza: Eliza) -> None:
    assert eliza.reply(chat("hello", "Hi there.", "can you repeat that please")) == "I said: Hi there."
    assert eliza.reply(chat("can you repeat that please")) == "I have not said anything yet."


def test_it_takes_the_name_that_its_instructions_give(eliza: Eliza) -> None:
    assert (
        eliza.reply(chat("who are you", instructions="Your name is Ada. Be kind.")) == "My name is Ada. What is yours?"
    )


def test_only_the_last_user_message_is_answered(eliza: Eliza) -> None:
    assert eliza.reply(chat("what time is it", "It is late.", "what is your name")).startswith("My name")


def test_a_prompt_without_a_template_is_the_users_message(eliza: Eliza) -> None:
    assert eliza.reply("What time is it?") == "It is 5:05 PM."


def test_the_same_prompt_has_the_same_answer_and_other_prompts_may_not(eliza: Eliza) -> None:
    prompts = [chat("I feel sad", "Why?", f"because of number {number}") for number in range(20)]
    answers = [eliza.reply(prompt) for prompt in prompts]
    assert answers == [Eliza(clock=lambda: NOW).reply(prompt) for prompt in prompts]
    assert len({re.sub(r"\d+", "", answer) for answer in answers}) > 1


@pytest.mark.parametrize("text", ["24 hours / 7 days", "on 9/11", "I have two or three", "call 555-1234", "a x b"])
def test_not_every_number_is_a_sum(eliza: Eliza, text: str) -> None:
    assert not re.search(r"\d (?:is|divided|minus|times)", eliza.reply(chat(text)))


def generated(eliza: Eliza, question: str, parameters: str = "{}") -> tuple[str, int, str | None]:
    words = list(eliza.generate(chat(question), sampling.parse(parameters)))
    assert all(word.finish_reason is None for word in words[:-1])
    return "".join(word.text for word in words), sum(word.tokens for word in words), words[-1].finish_reason


def test_an_answer_comes_word_by_word(eliza: Eliza) -> None:
    words = [word.text for word in eliza.generate(chat("what time is it"), sampling.parse("{}"))]
    assert words == ["It", " is", " 5:05", " PM."]


def test_max_tokens_cuts_the_answer_and_says_so(eliza: Eliza) -> None:
    assert generated(eliza, "what time is it", '{"max_tokens": 2}') == ("It is", 2, "length")
    assert generated(eliza, "what time is it", '{"max_tokens": 4}') == ("It is 5:05 PM.", 4, "stop")


def test_the_earliest_stop_text_ends_the_answer(eliza: Eliza) -> None:
    assert generated(eliza, "count to five", '{"stop": ["four", ", three"]}') == ("One, two", 2, "stop")
    assert generated(eliza, "count to five", '{"stop": "One"}') == ("", 0, "stop")


def test_an_empty_prompt_is_refused(eliza: Eliza) -> None:
    with pytest.raises(InvalidInputError, match="text_input is empty"):
        next(eliza.generate(" ", sampling.parse("{}")))
