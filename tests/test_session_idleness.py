"""A session whose agent speaks up by itself when the user says nothing (`idle_timeout_ms`)."""

from dataclasses import replace

import pytest

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.history import Item
from orchestrator.core.idleness import MOST_UNANSWERED
from orchestrator.errors import InvalidRequestError
from orchestrator.session import SILENT
from tests.scripted import Call, call, waiting
from tests.test_session_functions import CONFIG, PARIS

IDLE = waiting(idle_timeout_ms=5_000)


async def answered(talk: Call) -> None:
    """Up to the moment at which the agent's first answer has ended."""
    await talk.answer()
    while talk.state == "speaking":
        await talk.hear(0.064, voice=False)
    assert talk.state == "listening"


async def test_the_agent_speaks_up_after_the_silence_that_the_client_allows() -> None:
    async with call(IDLE) as talk:
        await answered(talk)
        talk.llm.text = "Are you still there?"
        await talk.hear(4.0, voice=False)
        assert len(talk.llm.prompts) == 1, "too early"
        await talk.hear(1.5, voice=False)
        (triggered,) = talk.said(told.TimeoutTriggered)
        assert triggered.audio_end_ms - triggered.audio_start_ms == pytest.approx(5_000, abs=40)
        assert talk.state == "speaking"
        assert talk.llm.prompts[-1][-1].content == SILENT.text
        (committed,) = talk.said(told.AudioCommitted)
        assert committed.item_id == triggered.item_id
        assert talk.memory[-2:] == [("user", ""), ("assistant", "Are you still there? ")]
        assert talk.said(told.ResponseStarted)[-1].previous_item_id == triggered.item_id


async def test_it_speaks_up_again_where_the_user_goes_on_saying_nothing_but_not_for_ever() -> None:
    async with call(IDLE) as talk:
        await answered(talk)
        await talk.hear(7.0 * MOST_UNANSWERED, voice=False)
        assert len(talk.said(told.TimeoutTriggered)) == MOST_UNANSWERED
        await talk.hear(20.0, voice=False)
        assert len(talk.said(told.TimeoutTriggered)) == MOST_UNANSWERED
        assert SILENT.text not in [text for _, text in talk.memory]


async def test_who_speaks_is_not_asked() -> None:
    async with call(IDLE) as talk:
        await answered(talk)
        await talk.hear(3.0, voice=False)
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what time is it")
        await talk.hear(4.0, voice=True)
        await talk.hear(1.0, voice=False)
        assert not talk.said(told.TimeoutTriggered)
        assert talk.committed == ["what time is it"]


async def test_a_cough_begins_the_silence_anew() -> None:
    async with call(IDLE) as talk:
        await answered(talk)
        await talk.hear(3.5, voice=False)
        await talk.hear(0.3, voice=True)
        await talk.hear(4.5, voice=False)
        assert not talk.said(told.TimeoutTriggered)
        await talk.hear(1.5, voice=False)
        assert len(talk.said(told.TimeoutTriggered)) == 1


@pytest.mark.parametrize(
    "config",
    [waiting(), replace(waiting(), turn_detection=None), waiting(idle_timeout_ms=5_000, create_response=False)],
)
async def test_without_the_clients_wish_it_stays_silent(config: SessionConfig) -> None:
    async with call(config) as talk:
        await answered(talk)
        await talk.hear(60.0, voice=False)
        assert len(talk.llm.prompts) == 1


async def test_noise_does_not_keep_it_asking() -> None:
    async with call(IDLE) as talk:
        await answered(talk)
        for _ in range(MOST_UNANSWERED + 2):
            await talk.hear(0.3, voice=True)
            await talk.hear(8.0, voice=False)
        assert len(talk.said(told.TimeoutTriggered)) == MOST_UNANSWERED


async def test_before_the_first_answer_nobody_is_asked() -> None:
    async with call(IDLE) as talk:
        await talk.hear(20.0, voice=False)
        assert not talk.llm.prompts


async def test_a_user_who_waits_for_a_function_is_not_asked() -> None:
    async with call(replace(CONFIG, turn_detection=IDLE.turn_detection)) as talk:
        talk.llm.text, talk.llm.calls = "Let me look that up.", [PARIS]
        await answered(talk)
        talk.llm.calls = []
        await talk.hear(12.0, voice=False)
        assert not talk.said(told.TimeoutTriggered)
        talk.session.add_item(Item("output", "tool", "21", call_id=PARIS.call_id))
        await talk.hear(6.0, voice=False)
        assert len(talk.said(told.TimeoutTriggered)) == 1


async def test_a_silence_asks_for_no_function() -> None:
    only = replace(CONFIG.functions, choice="required", only="get_weather")
    async with call(replace(CONFIG, turn_detection=IDLE.turn_detection, functions=only)) as talk:
        await answered(talk)
        await talk.hear(6.0, voice=False)
        assert talk.llm.offered == [only, CONFIG.functions]


async def test_an_answer_between_two_frames_begins_the_silence_anew() -> None:
    async with call(replace(CONFIG, turn_detection=IDLE.turn_detection)) as talk:
        await answered(talk)
        await talk.hear(3.0, voice=False)
        talk.llm.text = ""
        talk.session.request_response()
        await talk.settle()
        await talk.play(0.04)
        assert talk.state == "listening"
        await talk.hear(4.0, voice=False)
        assert not talk.said(told.TimeoutTriggered)


async def test_sound_of_the_silence_is_not_committed_again() -> None:
    async with call(IDLE) as talk:
        await answered(talk)
        while not talk.said(told.TimeoutTriggered):
            await talk.hear(0.032, voice=False)
        with pytest.raises(InvalidRequestError, match="less than 100 ms"):
            talk.session.commit_audio()
