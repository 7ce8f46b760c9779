"""One word over the last moments of what the agent says: no interruption of it, but perhaps the reply to it."""

import pytest

from orchestrator import notifications as told
from tests.scripted import Call, Utterance, call, waiting

QUESTION, STATEMENT = "Red or blue then?", "It is red and blue."


async def said_over_the_end(talk: Call, word: str, *, agent: str = QUESTION, before_its_end_s: float = 0.2) -> None:
    """The agent says that, and the user a word over its end; then both are silent."""
    talk.llm.text, talk.tts.seconds = agent, 2.0
    await talk.answer()
    await talk.play(1.9 - before_its_end_s)
    talk.asr.prepare = lambda utterance: setattr(utterance, "text", word)
    await talk.hear(0.35, voice=True)
    await talk.hear(1.0 + before_its_end_s, voice=False)
    await talk.settle()
    assert talk.said(told.InterruptionJudged)[0].confirmed is False


async def test_a_word_over_the_last_moments_of_a_question_is_its_answer() -> None:
    async with call(waiting(200)) as talk:
        await said_over_the_end(talk, "Blue.")
        assert talk.committed == ["Blue."]
        assert talk.memory[1:3] == [("assistant", f"{QUESTION} "), ("user", "Blue.")]
        assert not talk.said(told.ItemTruncated), "the question was heard to its end"
        assert len(talk.said(told.SpeechStarted)) == len(talk.said(told.SpeechStopped)) == 1
        assert len(talk.said(told.ResponseStarted)) == 2


@pytest.mark.parametrize(
    ("word", "agent", "taken"),
    [
        ("Yes.", QUESTION, True),
        ("okay", QUESTION, True),
        ("uh-huh", QUESTION, False),
        ("the", QUESTION, False),
        ("", QUESTION, False),
        ("Tomorrow.", STATEMENT, True),
        ("Right.", STATEMENT, False),
        ("uh-huh", STATEMENT, False),
    ],
)
async def test_a_sign_of_listening_is_an_answer_only_where_it_says_yes_to_a_question(
    word: str, agent: str, taken: bool
) -> None:
    async with call(waiting(200)) as talk:
        await said_over_the_end(talk, word, agent=agent)
        assert talk.committed == ([word] if taken else [])
        assert taken or talk.state == "listening"


async def test_a_word_that_is_understood_only_after_the_agent_has_gone_on_is_its_answer_too() -> None:
    async with call(waiting(1500)) as talk:
        talk.llm.text, talk.tts.seconds = QUESTION, 2.0
        await talk.answer()
        await talk.play(1.4)

        def late(utterance: Utterance) -> None:
            utterance.text = "Blue."
            utterance.answers.clear()

        talk.asr.prepare = late
        await talk.hear(0.35, voice=True)
        await talk.hear(0.8, voice=False)
        assert [each.confirmed for each in talk.said(told.InterruptionJudged)] == [False]
        talk.asr.utterances[0].answers.set()
        await talk.hear(0.8, voice=False)
        assert talk.committed == ["Blue."]


async def test_what_the_client_has_had_forgotten_is_no_answer() -> None:
    async with call(waiting(200)) as talk:
        talk.llm.text, talk.tts.seconds = QUESTION, 2.0
        await talk.answer()
        await talk.play(1.6)
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "Blue.")
        await talk.hear(0.35, voice=True)
        await talk.hear(0.26, voice=False)
        assert [each.confirmed for each in talk.said(told.InterruptionJudged)] == [False]
        assert talk.state == "speaking"
        talk.session.clear_audio()
        await talk.hear(1.0, voice=False)
        assert talk.state == "listening"
        assert talk.committed == []


async def test_a_word_long_before_the_end_is_no_answer() -> None:
    async with call(waiting(200)) as talk:
        await said_over_the_end(talk, "Blue.", before_its_end_s=1.2)
        assert talk.committed == []
        assert talk.state == "listening"


async def test_who_says_the_word_again_says_it_once() -> None:
    async with call(waiting(200)) as talk:
        await said_over_the_end(talk, "Blue.", before_its_end_s=0.4)
        words = len(talk.committed)
        assert words == 1
        await talk.play(4)
        await talk.hear(2.0, voice=False)
        assert len(talk.committed) == words
