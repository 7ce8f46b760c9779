"""A session's turns: what the user says is heard once and in order, however late the recogniser's words come."""

import gc
import weakref
from dataclasses import replace

import pytest

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.events import ResponseRequested
from orchestrator.core.history import Item
from orchestrator.errors import BackendUnavailableError, InvalidRequestError
from tests.scripted import VOICE_DB, Utterance, call, waiting


async def test_clearing_the_microphone_lets_a_paused_agent_go_on() -> None:
    async with call() as talk:
        talk.tts.seconds = 4.0
        await talk.answer()
        await talk.hear(0.1, voice=True)
        talk.session.clear_audio()
        assert await talk.play(1.0) == pytest.approx(1.0, abs=0.05)


async def test_clearing_the_microphone_in_a_pause_drops_the_prepared_answer() -> None:
    async with call() as talk:
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what time is it")
        await talk.hear(0.4, voice=True)
        await talk.hear(0.3, voice=False)
        talk.session.clear_audio()
        await talk.hear(2.0, voice=False)
        assert len(talk.said(told.SpeculationDropped)) == 1
        assert talk.committed == []


async def test_a_question_that_cleared_speech_had_overtaken_is_answered_after_all() -> None:
    async with call(waiting(200)) as talk:
        talk.llm.go_on.clear()
        talk.llm.text = ""
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what time is it")
        await talk.hear(0.4, voice=True)
        await talk.hear(0.3, voice=False)
        assert talk.state == "thinking"
        talk.asr.prepare = lambda utterance: None
        await talk.hear(0.1, voice=True)
        talk.llm.text = "It is late."
        talk.llm.go_on.set()
        talk.session.clear_audio()
        await talk.settle()
        await talk.play(0.5)
        assert talk.state == "speaking"


async def test_what_a_client_asked_for_is_answered_as_it_asked_though_coughs_overtook_it_twice() -> None:
    async with call(waiting(200)) as talk:
        talk.llm.go_on.clear()
        talk.llm.text = ""
        config = replace(talk.session.config, instructions="Speak like a pirate.")
        talk.session.request_response(config=config, metadata={"asked": "once"})
        for _ in range(2):
            await talk.settle()
            talk.session.deliver(ResponseRequested(talk.session.next_turn()))  # is refused
            await talk.hear(0.1, voice=True)
            await talk.hear(1.0, voice=False)
        talk.llm.text = "It is late."
        talk.llm.go_on.set()
        await talk.settle()
        assert [prompt[0].content for prompt in talk.llm.prompts] == ["Speak like a pirate."] * 3
        assert [each.metadata for each in talk.said(told.ResponseStarted)] == [{"asked": "once"}] * 3
        talk.session.cancel_response()
        await talk.settle()
        talk.session.request_response()
        await talk.settle()
        assert talk.llm.prompts[-1][0].content == talk.session.config.instructions
        assert talk.said(told.ResponseStarted)[-1].metadata is None


async def test_a_verdict_that_overtakes_its_own_beginning_does_not_leave_the_agent_paused() -> None:
    async with call() as talk:
        talk.tts.seconds = 8.0
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "tell me a story")
        await talk.hear(1.0, voice=True)
        await talk.hear(0.6, voice=False)
        await talk.play(0.5)
        assert talk.state == "speaking"
        talk.asr.prepare = lambda utterance: utterance.answers.clear()
        await talk.hear(0.13, voice=True)  # a cough, whose words are late
        await talk.hear(0.55, voice=False)
        await talk.hear(0.4, voice=True, level_db=-33.0)  # somebody far away
        await talk.hear(0.8, voice=False)
        for utterance in talk.asr.utterances:
            utterance.answers.set()
        await talk.settle()
        assert await talk.play(1.0) == pytest.approx(1.0, abs=0.05)


async def test_push_to_talk_keeps_the_last_words_where_the_recogniser_is_slow() -> None:
    async with call(SessionConfig(turn_detection=None)) as talk:
        talk.asr.prepare = lambda utterance: utterance.answers.clear()
        await talk.hear(0.3, voice=True)
        (utterance,) = talk.asr.utterances
        utterance.text = "book a table"
        await talk.hear(0.2, voice=False)
        await talk.hear(0.2, voice=True)
        await talk.hear(0.2, voice=False)  # asked about this pause, too, while the first answer is awaited
        utterance.text = "book a table for two"
        await talk.hear(0.1, voice=True)
        utterance.answers.set()
        await talk.settle()
        utterance.text = "book a table for two at the Ritz"
        await talk.hear(0.6, voice=True)
        talk.session.commit_audio()
        await talk.settle()
        assert talk.committed == ["book a table for two at the Ritz"]
        assert len(utterance.flushed) == 1, "nobody wants to know of a pause that is over"


async def test_a_short_reply_is_a_turn_where_the_client_has_silenced_the_agent_meanwhile() -> None:
    async with call() as talk:
        talk.tts.seconds = 4.0
        await talk.answer()
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "yes")
        await talk.hear(0.2, voice=True)
        talk.session.cancel_response()
        await talk.hear(0.13, voice=True)
        await talk.hear(1.0, voice=False)
        assert talk.committed == ["yes"]
        assert len(talk.said(told.SpeechStarted)) == len(talk.said(told.SpeechStopped)) == 1


async def test_an_end_that_fails_after_all_is_known_is_no_failure() -> None:
    async with call(waiting(1500)) as talk:
        talk.tts.seconds = 4.0
        await talk.answer()

        def late(utterance: Utterance) -> None:
            utterance.text = "stop"
            utterance.answers.clear()
            utterance.end_error = BackendUnavailableError("the recogniser was lost")

        talk.asr.prepare = late
        await talk.hear(0.13, voice=True)
        await talk.hear(0.8, voice=False)
        (utterance,) = talk.asr.utterances
        utterance.answers.set()
        await talk.settle()
        await talk.hear(1.0, voice=False)
        assert talk.committed == ["stop"]
        assert not talk.said(told.Failed)


async def test_the_words_of_a_recogniser_that_is_lost_are_missed_by_the_id_of_their_item() -> None:
    async with call(waiting(200)) as talk:
        lost = BackendUnavailableError("the recogniser was lost")
        talk.asr.prepare = lambda utterance: setattr(utterance, "flush_error", lost)
        await talk.hear(0.5, voice=True)
        await talk.hear(0.4, voice=False)
        (started,) = talk.said(told.SpeechStarted)
        (failed,) = talk.said(told.Failed)
        assert (failed.item_id, failed.code) == (started.item_id, "backend_unavailable")


async def test_of_words_that_the_client_knows_nothing_of_no_item_is_named() -> None:
    async with call(waiting(200)) as talk:
        talk.tts.seconds = 4.0
        await talk.answer()
        lost = BackendUnavailableError("the recogniser was lost")
        talk.asr.prepare = lambda utterance: setattr(utterance, "flush_error", lost)
        await talk.hear(0.13, voice=True)
        await talk.hear(0.4, voice=False)
        assert not talk.said(told.SpeechStarted)
        (failed,) = talk.said(told.Failed)
        assert failed.item_id is None


async def test_a_question_kept_until_the_agent_was_done_is_answered_by_the_sessions_instructions() -> None:
    async with call(waiting(200, interrupt_response=False)) as talk:
        talk.session.configure(replace(talk.session.config, instructions="Speak like a pirate."))
        words = iter(["hello there", "what is two and two", "and three"])
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", next(words))
        await talk.hear(0.5, voice=True)
        await talk.hear(0.4, voice=False)
        await talk.hear(0.3, voice=True)
        await talk.hear(0.4, voice=False)
        await talk.hear(0.3, voice=True)  # and begins another sentence
        await talk.play(4)
        await talk.hear(0.4, voice=False)
        await talk.play(4)
        assert {prompt[0].content for prompt in talk.llm.prompts} == {"Speak like a pirate."}
        assert talk.committed == ["hello there", "what is two and two", "and three"]


async def test_what_the_client_commits_is_answered_when_it_asks() -> None:
    async with call(waiting(5000)) as talk:
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what time is it")
        await talk.hear(0.4, voice=True)
        talk.session.commit_audio()
        await talk.settle()
        assert talk.committed == ["what time is it"]
        assert not talk.said(told.ResponseStarted)
        talk.session.request_response()
        await talk.settle()
        assert len(talk.said(told.ResponseStarted)) == 1
        with pytest.raises(InvalidRequestError) as empty:
            talk.session.commit_audio()
        assert empty.value.code == "input_audio_buffer_commit_empty"


async def test_what_the_client_commits_is_an_item_though_nobody_was_heard_in_it() -> None:
    async with call(SessionConfig(turn_detection=None)) as talk:
        await talk.hear(0.5, voice=False)
        talk.session.commit_audio()
        (committed,) = talk.said(told.AudioCommitted)
        (transcript,) = talk.said(told.TranscriptCompleted)
        assert (transcript.item_id, transcript.text) == (committed.item_id, "")
        assert transcript.audio_s == pytest.approx(0.5, abs=0.04)
        assert talk.memory == [("user", "")]
        talk.session.add_item(Item("typed", "user", "Hello"))
        talk.session.request_response()
        await talk.settle()
        assert [message.content for message in talk.llm.prompts[-1] if message.role == "user"] == ["Hello"]
        assert len(talk.said(told.ResponseStarted)) == 1


async def test_a_commit_without_words_waits_for_those_before_it_and_leaves_the_agent_alone() -> None:
    async with call(SessionConfig(turn_detection=None)) as talk:
        talk.tts.seconds = 4.0
        talk.asr.prepare = lambda utterance: utterance.answers.clear()
        await talk.hear(0.5, voice=True)
        talk.session.commit_audio()
        await talk.hear(0.3, voice=False)
        talk.session.commit_audio()
        assert talk.committed == []
        talk.asr.utterances[0].text = "hello"
        talk.asr.utterances[0].answers.set()
        await talk.settle()
        assert talk.committed == ["hello", ""]
        await talk.answer()
        await talk.hear(0.3, voice=False)
        talk.session.commit_audio()
        assert talk.committed[2:] == [""]
        assert talk.state == "speaking"
        assert not talk.said(told.OutputAudioCleared)


async def test_words_that_nobody_understood_are_an_item_where_the_client_committed_them() -> None:
    async with call(SessionConfig(turn_detection=None)) as talk:
        await talk.hear(0.5, voice=True)
        talk.session.commit_audio()
        await talk.settle()
        assert talk.committed == [""]
        assert [each.item_id for each in talk.said(told.AudioCommitted)] == [talk.said(told.SpeechStarted)[0].item_id]


async def test_words_that_are_lost_after_their_commit_have_no_transcript() -> None:
    async with call(SessionConfig(turn_detection=None)) as talk:
        lost = BackendUnavailableError("the recogniser was lost")
        talk.asr.prepare = lambda utterance: setattr(utterance, "end_error", lost)
        await talk.hear(0.5, voice=True)
        talk.session.commit_audio()
        await talk.settle()
        (failed,) = talk.said(told.Failed)
        assert [each.item_id for each in talk.said(told.AudioCommitted)] == [failed.item_id]
        assert talk.committed == []
        assert talk.memory == [("user", "")]


@pytest.mark.parametrize("taken_by", ["commit", "clear", "turn"])
async def test_less_than_a_tenth_of_a_second_is_no_commit(taken_by: str) -> None:
    async with call(waiting(200)) as talk:
        if taken_by == "turn":
            talk.asr.prepare = lambda utterance: utterance.answers.clear()
            await talk.hear(0.4, voice=True)
            while not talk.said(told.SpeechStopped):
                await talk.hear(0.032, voice=False)
        else:
            await talk.hear(0.5, voice=False)
            (talk.session.commit_audio if taken_by == "commit" else talk.session.clear_audio)()
        await talk.hear(0.064, voice=False)
        with pytest.raises(InvalidRequestError) as empty:
            talk.session.commit_audio()
        assert empty.value.code == "input_audio_buffer_commit_empty"
        await talk.hear(0.064, voice=False)
        talk.session.commit_audio()


async def test_a_hang_up_ends_hearing_at_once() -> None:
    async with call() as talk:
        await talk.hear(0.1, voice=False)
        talk.session.close("The line is dead.")
        for _ in range(4):  # what was being judged
            talk.detector.voice.window(voice=True, level_db=VOICE_DB)
        assert talk.asr.utterances == []


async def test_of_turns_long_past_no_stream_to_the_recogniser_is_kept() -> None:
    async with call(waiting(200)) as talk:
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what time is it")
        heard = []
        for _ in range(3):
            await talk.hear(0.4, voice=True)
            await talk.hear(0.3, voice=False)
            await talk.play(2.0)
            heard += map(weakref.ref, talk.asr.utterances)
            talk.asr.utterances.clear()
        assert talk.committed == ["what time is it"] * 3
        gc.collect()
        assert [each() for each in heard[:2]] == [None, None]
