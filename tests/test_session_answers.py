"""A session's answers: what is heard, told and remembered of them, whatever happens meanwhile."""

import asyncio
from dataclasses import replace

import pytest

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.history import Item
from orchestrator.errors import BackendUnavailableError, InvalidRequestError
from orchestrator.speaker import RECENT_ANSWERS
from tests.scripted import Call, call, phrases, waiting

LONG = "One two three four five six seven eight nine ten eleven twelve. " * 30


async def test_a_long_answer_is_interrupted_while_its_sound_waits_for_room() -> None:
    async with call() as talk:
        talk.llm.text, talk.tts.seconds = LONG, 4.0
        await talk.answer()
        await talk.settle()
        assert talk.playout.buffered_s > 10, "nothing waits for room"
        told_before = len(talk.said(told.ResponseAudio))
        talk.session.cancel_response()
        await talk.settle()
        assert talk.state == "listening"
        assert len(talk.said(told.ResponseAudio)) == told_before
        await talk.play(0.02)  # its end fades out
        assert await talk.play(1.0) == 0


async def test_the_agent_falls_silent_with_the_first_speech_and_a_cough_costs_no_sound() -> None:
    async with call() as talk:
        talk.tts.seconds = 3.0
        await talk.answer()
        await talk.hear(0.1, voice=True)
        fading = await talk.play(0.02)
        assert fading <= 0.02
        assert await talk.play(0.5) == 0
        await talk.hear(0.8, voice=False)
        heard_s = 3.0 * phrases(talk.llm.text)
        await talk.play(heard_s)
        assert talk.playout.played_s == pytest.approx(heard_s)
        assert talk.state == "listening"


async def test_a_prepared_answer_is_neither_heard_nor_told_before_the_turn_ends() -> None:
    async with call() as talk:
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what time is it")
        await talk.hear(0.5, voice=True)
        await talk.hear(0.3, voice=False)
        assert len(talk.llm.prompts) == 1
        assert not talk.said(told.ResponseStarted)
        assert talk.playout.played_s == 0
        await talk.hear(0.3, voice=False)
        (metrics,) = talk.said(told.TurnMetrics)
        assert metrics.speculative
        assert len(talk.llm.prompts) == 1
        assert talk.playout.played_s > 0


async def test_a_prepared_answer_is_dropped_without_a_trace_when_the_speaker_goes_on() -> None:
    async with call() as talk:
        talk.llm.go_on.clear()
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what time")
        await talk.hear(0.5, voice=True)
        await talk.hear(0.3, voice=False)
        preparing = {task for task in asyncio.all_tasks() if "speculate" in task.get_name()}
        assert len(preparing) == 1
        talk.asr.utterances[0].text = "what time is it"
        await talk.hear(0.3, voice=True)
        await talk.settle()
        assert all(task.done() for task in preparing)
        (dropped,) = talk.said(told.SpeculationDropped)
        assert dropped.tokens == len(talk.llm.text.split())
        assert dropped.audio_s > 0
        assert talk.memory == []
        assert not talk.said(told.ResponseStarted)


async def test_a_dropped_answer_that_fails_late_leaves_the_next_one_alone() -> None:
    async with call(waiting(200)) as talk:
        talk.llm.leaving, talk.llm.text = asyncio.Event(), "One two three four five. And six."
        talk.llm.go_on.clear()  # an answer that is still written is cancelled, which takes a while
        talk.tts.error = BackendUnavailableError("the voice was lost")
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what time")
        await talk.hear(0.4, voice=True)
        await talk.hear(0.14, voice=False)
        await talk.settle()
        leaving, talk.llm.leaving, talk.tts.error, talk.llm.text = talk.llm.leaving, None, None, ""
        talk.asr.utterances[0].text = "what time is it"
        await talk.hear(0.2, voice=True)
        await talk.hear(0.4, voice=False)
        assert talk.state == "thinking"
        leaving.set()
        await talk.settle()
        assert talk.state == "thinking"
        talk.llm.go_on.set()
        await talk.settle()
        await talk.play(0.1)
        assert talk.state == "listening"
        assert [each.status for each in talk.said(told.ResponseFinished)] == ["completed"]


@pytest.mark.parametrize("modality", ["text", "audio"])
async def test_a_complete_answer_stays_as_it_was_told_when_another_is_asked_for(modality: str) -> None:
    async with call(replace(waiting(), modality=modality)) as talk:
        talk.session.add_item(Item("first", "user", "Hello"))
        talk.session.request_response()
        await talk.settle()
        assert [each.status for each in talk.said(told.ResponseFinished)] == ["completed"]
        talk.session.add_item(Item("second", "user", "And now?"))
        talk.session.request_response()
        await talk.settle()
        assert len(talk.llm.prompts) == 1, "it waits until the first is played"
        await talk.play(2)
        answer = ("assistant", talk.llm.text + " ")
        assert talk.memory == [("user", "Hello"), answer, ("user", "And now?"), answer]
        assert [message.content for message in talk.llm.prompts[1]][1:] == ["Hello", answer[1], "And now?"]
        assert not talk.said(told.ItemTruncated)


async def test_where_the_client_plays_by_itself_the_next_answer_does_not_wait() -> None:
    async with call(client_plays=True) as talk:
        await talk.answer()
        talk.session.add_item(Item("second", "user", "And now?"))
        talk.session.request_response()
        await talk.settle()
        assert len(talk.llm.prompts) == 2
        assert not talk.said(told.ItemTruncated)
        await talk.play(2)
        assert talk.state == "listening"


async def test_a_second_answer_is_refused_while_the_first_is_made() -> None:
    async with call() as talk:
        talk.llm.go_on.clear()
        await talk.answer()
        with pytest.raises(InvalidRequestError) as refused:
            talk.session.request_response()
        assert refused.value.code == "conversation_already_has_active_response"
        talk.llm.go_on.set()
        await talk.settle()
        await talk.play(2)
        assert [each.status for each in talk.said(told.ResponseFinished)] == ["completed"]


async def test_an_answer_asked_for_twice_before_a_transcript_is_known_is_given_once() -> None:
    async with call(SessionConfig(turn_detection=None)) as talk:
        talk.asr.prepare = lambda utterance: utterance.answers.clear()
        await talk.hear(0.5, voice=True)
        talk.session.commit_audio()
        talk.session.request_response(metadata={"asked": "first"}, client_event_id="one")
        talk.session.request_response(client_event_id="two")
        talk.asr.utterances[0].text = "hello"
        talk.asr.utterances[0].answers.set()
        await talk.settle()
        (started,) = talk.said(told.ResponseStarted)
        assert started.metadata == {"asked": "first"}
        (failed,) = talk.said(told.Failed)
        assert failed.code == "conversation_already_has_active_response"
        assert failed.client_event_id == "two"
        assert "response.create" in failed.message, "clients that give no event_id know by it what was refused"


async def test_an_answer_that_reached_its_limit_is_incomplete() -> None:
    async with call() as talk:
        talk.llm.finish_reason = "length"
        await talk.answer()
        await talk.settle()
        (finished,) = talk.said(told.ResponseFinished)
        assert (finished.status, finished.reason) == ("incomplete", "max_output_tokens")


async def deleted(talk: Call) -> str:
    """The item of the answer that is spoken, which the client has deleted."""
    (started,) = talk.said(told.ResponseStarted)
    item_id: str = started.item_id
    talk.session.delete_item(item_id)
    return item_id


async def test_an_answer_whose_item_is_deleted_is_spoken_to_its_end() -> None:
    async with call() as talk:
        talk.llm.go_on.clear()
        await talk.answer()
        await deleted(talk)
        talk.llm.go_on.set()
        await talk.settle()
        await talk.play(2)
        assert talk.state == "listening"
        assert [role for role, _ in talk.memory] == ["user"]


async def test_an_answer_whose_item_is_deleted_can_be_cancelled_but_not_truncated() -> None:
    async with call() as talk:
        await talk.answer()
        item_id = await deleted(talk)
        with pytest.raises(InvalidRequestError):
            talk.session.truncate_item(item_id, 100)
        talk.session.cancel_response()
        await talk.settle()
        assert talk.state == "listening"
        assert not talk.said(told.ItemTruncated)


async def test_what_the_client_says_was_heard_counts_more_than_the_servers_guess() -> None:
    async with call() as talk:
        talk.llm.go_on.clear()
        talk.tts.seconds = 2.0
        await talk.answer()
        await talk.play(1.5)
        (started,) = talk.said(told.ResponseStarted)
        talk.session.truncate_item(started.item_id, 400)
        (truncated,) = talk.said(told.ItemTruncated)
        assert 0 < len(truncated.text) < len(talk.llm.text)
        talk.session.cancel_response()
        await talk.settle()
        assert talk.memory[-1] == ("assistant", truncated.text)
        assert len(talk.said(told.ItemTruncated)) == 1


async def test_an_answer_that_the_client_has_truncated_stays_so_when_it_is_complete() -> None:
    async with call() as talk:
        talk.llm.go_on.clear()
        talk.tts.seconds = 2.0
        await talk.answer()
        (started,) = talk.said(told.ResponseStarted)
        talk.session.truncate_item(started.item_id, 400)
        talk.llm.go_on.set()
        await talk.settle()
        await talk.play(3)
        (truncated,) = talk.said(told.ItemTruncated)
        assert talk.memory[-1] == ("assistant", truncated.text)


@pytest.mark.parametrize("client_plays", [False, True])
async def test_how_much_was_heard_is_told_after_the_answer_is_done(client_plays: bool) -> None:
    async with call(client_plays=client_plays) as talk:
        talk.llm.go_on.clear()
        talk.tts.seconds = 2.0
        await talk.answer()
        await talk.play(0.5)
        (started,) = talk.said(told.ResponseStarted)
        talk.session.cancel_response()
        if client_plays:
            talk.session.truncate_item(started.item_id, 300)
        await talk.settle()
        ends = [each for each in talk.told if isinstance(each, told.ResponseFinished | told.ItemTruncated)]
        assert [type(each) for each in ends] == [told.ResponseFinished, told.ItemTruncated]
        truncated = talk.said(told.ItemTruncated)[0]
        assert talk.memory[-1] == ("assistant", truncated.text)
        assert truncated.audio_end_ms == (300 if client_plays else pytest.approx(600, abs=40))


async def test_of_an_answer_deleted_while_it_is_cancelled_nothing_is_truncated() -> None:
    async with call() as talk:
        talk.llm.go_on.clear()
        await talk.answer()
        talk.session.cancel_response()
        await deleted(talk)
        await talk.settle()
        assert talk.state == "listening"
        assert not talk.said(told.ItemTruncated)


@pytest.mark.parametrize("failing", [False, True])
async def test_what_was_read_of_a_written_answer_is_remembered_though_it_breaks_off(failing: bool) -> None:
    async with call(replace(waiting(), modality="text")) as talk:
        talk.llm.go_on.clear()
        talk.session.add_item(Item("typed", "user", "Count to ten."))
        talk.session.request_response()
        await talk.settle()
        read = "".join(each.delta for each in talk.said(told.ResponseText))
        assert read.strip() == talk.llm.text
        if failing:
            talk.llm.error = BackendUnavailableError("the model was lost")
            talk.llm.go_on.set()
        else:
            talk.session.cancel_response()
        await talk.settle()
        (finished,) = talk.said(told.ResponseFinished)
        assert finished.status == ("failed" if failing else "cancelled")
        assert talk.memory[-1] == ("assistant", finished.text) == ("assistant", read)
        assert not talk.session.history[finished.item_id].complete


async def test_an_answer_that_fails_is_counted_as_an_error_of_that_answer() -> None:
    async with call() as talk:
        talk.tts.error = BackendUnavailableError("the voice was lost")
        talk.session.add_item(Item("typed", "user", "Hello"))
        talk.session.request_response()
        await talk.settle()
        (started,) = talk.said(told.ResponseStarted)
        (failed,) = talk.said(told.Failed)
        assert (failed.code, failed.response_id) == ("backend_unavailable", started.response_id)


async def test_of_a_spoken_answer_that_fails_before_its_first_sound_nothing_is_remembered() -> None:
    async with call() as talk:
        talk.tts.error = BackendUnavailableError("the voice was lost")
        talk.session.request_response()
        await talk.settle()
        assert talk.memory == [("assistant", "")]


async def test_speech_over_what_the_client_still_plays_is_no_turn_of_its_own() -> None:
    """A WebSocket's client is sent the next answer while it plays the one before."""
    async with call(client_plays=True) as talk:
        talk.tts.seconds = 4.0
        await talk.answer()
        talk.tts.seconds, talk.llm.text = 1.0, "Five."
        talk.session.add_item(Item("more", "user", "And now?"))
        talk.session.request_response()
        await talk.settle()
        await talk.play(0.1)
        assert talk.state == "speaking"
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "uh huh")
        await talk.hear(0.3, voice=True)
        await talk.hear(1.0, voice=False)
        assert talk.state == "speaking"
        assert talk.committed == []
        talk.session.cancel_response()
        await talk.settle()
        assert talk.said(told.ItemTruncated)[-1].text == "", "nobody has heard of it"


async def test_an_answer_before_the_latest_can_be_truncated_and_one_long_ago_cannot() -> None:
    async with call(client_plays=True) as talk:
        await talk.answer()
        first = talk.said(told.ResponseStarted)[0].item_id
        for _ in range(RECENT_ANSWERS - 1):
            talk.session.request_response()
            await talk.settle()
        talk.session.truncate_item(first, 0)
        assert talk.session.history[first].text == ""
        talk.session.request_response()
        await talk.settle()
        with pytest.raises(InvalidRequestError, match="latest 8 answers"):
            talk.session.truncate_item(first, 0)


async def test_an_id_that_is_taken_is_refused_by_its_code() -> None:
    async with call() as talk:
        talk.session.add_item(Item("one", "user", "Hello."))
        with pytest.raises(InvalidRequestError) as refused:
            talk.session.add_item(Item("one", "user", "Hello again."))
        assert (refused.value.param, refused.value.code) == ("item.id", "item_create_duplicate_item_id")
