"""What the client changes or asks for while a user's turn is open or waits reaches the answer, and costs no words."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator import notifications as told
from orchestrator.config import SessionConfig, TurnDetection
from orchestrator.core.history import Item
from tests.scripted import Call, call, waiting


async def pausing(talk: Call) -> None:
    """The user is silent for a moment, and the answer is prepared."""
    talk.session.add_item(Item("first", "system", "The price is 10 euros."))
    talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what is the price")
    await talk.hear(0.5, voice=True)
    await talk.hear(0.3, voice=False)
    assert len(talk.llm.prompts) == 1


CHANGES: dict[str, Callable[[Call], None]] = {
    "an item more": lambda talk: talk.session.add_item(Item("second", "system", "The price is 20 euros.")),
    "an item less": lambda talk: talk.session.delete_item("first"),
    "instructions": lambda talk: talk.session.configure(replace(talk.session.config, instructions="Be a pirate.")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_the_client_changes_in_a_pause_reaches_the_answer(change: Callable[[Call], None]) -> None:
    async with call() as talk:
        await pausing(talk)
        change(talk)
        await talk.hear(0.3, voice=False)
        await talk.settle()
        said = [item.text for item in talk.session.history if item.role != "assistant"]
        assert talk.state == "speaking"
        assert [message.content for message in talk.llm.prompts[-1]] == [talk.session.config.instructions, *said]
        assert len(talk.said(told.SpeculationDropped)) == len(talk.said(told.ResponseStarted)) == 1


async def test_an_answer_truncated_in_a_pause_is_so_in_the_next_ones_prompt() -> None:
    async with call() as talk:
        await talk.answer()
        (started,) = talk.said(told.ResponseStarted)
        await talk.play(2)
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what was that")
        await talk.hear(0.5, voice=True)
        await talk.hear(0.3, voice=False)
        assert len(talk.llm.prompts) == 2
        talk.session.truncate_item(started.item_id, 400)
        await talk.hear(0.3, voice=False)
        await talk.settle()
        (truncated,) = talk.said(told.ItemTruncated)
        assert talk.llm.prompts[-1][2].content == truncated.text


async def test_a_modality_chosen_in_a_pause_is_that_of_the_answer() -> None:
    async with call() as talk:
        await pausing(talk)
        talk.session.configure(replace(talk.session.config, modality="text"))
        await talk.hear(0.3, voice=False)
        await talk.settle()
        (started,) = talk.said(told.ResponseStarted)
        assert started.config.modality == "text"


async def test_a_prepared_answer_outlasts_a_change_that_does_not_concern_it() -> None:
    async with call() as talk:
        await pausing(talk)
        patient = TurnDetection(silence_duration_ms=600)
        talk.session.configure(replace(talk.session.config, turn_detection=patient, hotwords="euros"))
        await talk.hear(0.5, voice=False)
        await talk.settle()
        assert talk.state == "speaking"
        assert len(talk.llm.prompts) == 1


async def test_push_to_talk_over_a_complete_answer_is_committed_and_then_answered() -> None:
    async with call(SessionConfig(turn_detection=None)) as talk:
        talk.tts.seconds = 4.0
        await talk.answer()
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "book a table for two")
        await talk.hear(0.5, voice=True)
        talk.session.commit_audio()
        talk.session.request_response(metadata={"asked": "once"})
        await talk.settle()
        await talk.play(6)
        assert talk.committed == ["book a table for two"]
        assert talk.llm.prompts[-1][-1].content == "book a table for two"
        assert [each.metadata for each in talk.said(told.ResponseStarted)] == [None, {"asked": "once"}]


async def test_words_over_an_agent_that_cannot_be_interrupted_outlast_a_request_of_the_clients() -> None:
    async with call(waiting(200, interrupt_response=False)) as talk:
        talk.tts.seconds = 4.0
        await talk.answer()
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "book a table for two")
        await talk.hear(0.5, voice=True)
        await talk.hear(0.4, voice=False)
        talk.session.add_item(Item("typed", "user", "And the weather?"))
        talk.session.request_response()
        await talk.settle()
        await talk.play(6)
        assert talk.committed == ["book a table for two"]
        assert {message.content for message in talk.llm.prompts[-1]} >= {"book a table for two", "And the weather?"}
        assert len(talk.said(told.ResponseStarted)) == 2
        (refused,) = talk.said(told.Failed)
        assert refused.code == "conversation_already_has_active_response", "one answer is enough for both"


async def test_a_request_that_speech_overtakes_is_refused_and_not_forgotten() -> None:
    async with call(waiting(200, create_response=False)) as talk:
        talk.tts.seconds = 6.0
        await talk.answer()
        talk.session.add_item(Item("typed", "user", "And the weather?"))
        talk.session.request_response(client_event_id="mine")
        await talk.settle()
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "no wait a moment")
        await talk.hear(0.7, voice=True)
        await talk.hear(0.4, voice=False)
        assert talk.committed == ["no wait a moment"]
        (refused,) = talk.said(told.Failed)
        assert (refused.code, refused.client_event_id) == ("turn_detected", "mine")
        assert "response.create" in refused.message


async def test_a_cough_does_not_bring_back_a_question_that_words_have_replaced() -> None:
    async with call(waiting(200, create_response=False)) as talk:
        talk.llm.go_on.clear()
        talk.llm.text = ""
        talk.session.add_item(Item("typed", "user", "Count to ten."))
        talk.session.request_response()
        await talk.settle()
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "never mind it please")
        await talk.hear(0.4, voice=True)
        await talk.hear(0.4, voice=False)
        assert talk.committed == ["never mind it please"]
        talk.asr.prepare = lambda utterance: None
        await talk.hear(0.1, voice=True)
        await talk.hear(1.0, voice=False)
        assert talk.state == "listening"
        assert len(talk.said(told.ResponseStarted)) == 1
