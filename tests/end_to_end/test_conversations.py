"""People talk with the agent: what they said is understood, and the answer can be heard."""

import asyncio

import numpy as np
import pytest
from goassist_client.client import VoiceClient

from tests.end_to_end.conftest import Sentence
from tests.end_to_end.stack import Stack
from tests.end_to_end.words import word_error_rate, words

SPOKEN = 20
CALLS = 2  # side by side, each with its half of the sentences: two cores
COMPLETED = "conversation.item.input_audio_transcription.completed"


async def converse(stack: Stack, sentences: list[Sentence]) -> list[tuple[Sentence, str, str]]:
    """Speak the sentences one after another in one call, hear out each answer; (sentence, transcript, answer)."""
    turns = []
    async with VoiceClient(stack.url) as client:
        for sentence in sentences:
            before = len(client.events)
            spoken = await client.say(sentence.path)
            stopped = await client.wait_for("output_audio_buffer.stopped", timeout_s=90)
            # 'Good morning' is a sentence, too: where it was taken for all, what follows it cuts its answer short.
            told = client.events[before:]
            transcript = " ".join(event["transcript"] for event in told if event.type == COMPLETED)
            (answer,) = [
                event["transcript"]
                for event in told
                if event.type == "response.output_audio_transcript.done"
                and event["response_id"] == stopped["response_id"]
            ]
            audible_at_s = await client.wait_until_audible(after_s=spoken.speech_ended_s, timeout_s=30)
            # It is speech: about as long as its words take to say, as loud as a voice, and lively.
            duration_s = client.heard.audible_s(audible_at_s, stopped.at_s + 0.5)
            assert 0.02 * len(answer) < duration_s < 0.15 * len(answer) + 1, (answer, duration_s)
            assert -40 < client.heard.level_dbfs(audible_at_s, stopped.at_s + 0.5) < -3
            levels = [
                packet.level_dbfs for packet in client.heard.between(audible_at_s, stopped.at_s) if packet.audible
            ]
            assert np.std(levels) > 2, "syllables rise and fall"
            turns.append((sentence, transcript, answer))
    return turns


@pytest.mark.timeout(400)
async def test_twenty_sentences_are_understood_and_answered_aloud(stack: Stack, sentences: list[Sentence]) -> None:
    # A story goes on for half a minute: it is told in test_barge_in.py.
    short = [each for each in sentences if len(words(each.text)) >= 3 and "story" not in each.text]
    chosen = short[:SPOKEN]
    assert len(chosen) == SPOKEN
    halves = await asyncio.gather(*[converse(stack, chosen[call::CALLS]) for call in range(CALLS)])
    turns = [turn for half in halves for turn in half]
    rates = [word_error_rate(sentence.text, transcript) for sentence, transcript, _ in turns]
    misheard = [
        f"{rate:.0%} {sentence.text!r} → {transcript!r}"
        for rate, (sentence, transcript, _) in zip(rates, turns, strict=True)
        if rate
    ]
    assert float(np.mean(rates)) <= 0.15, "\n".join(misheard)


async def test_a_turn_goes_through_the_states_and_tells_its_latencies(stack: Stack, sentences: list[Sentence]) -> None:
    question = next(sentence for sentence in sentences if sentence.path.stem == "what_time_is_it")
    async with VoiceClient(stack.url) as client:
        await client.say(question.path)
        await client.wait_for("output_audio_buffer.stopped", timeout_s=30)
        await client.wait_for(
            "goassist.state", where=lambda e: e["state"] == "listening" and e["previous"] == "speaking"
        )
        states = [event["state"] for event in client.events if event.type == "goassist.state"]
        assert states == ["listening", "thinking", "speaking", "listening"]
        types = [event.type for event in client.events]
        order = [
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            COMPLETED,
            "response.created",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.done",
            "output_audio_buffer.stopped",
        ]
        positions = [types.index(each) for each in order]
        assert positions == sorted(positions), types
        latencies = next(event for event in client.events if event.type == "goassist.metrics")
        assert 0 < latencies["ttfa_ms"] <= latencies["voice_to_voice_ms"] < 10_000


async def test_typed_text_is_answered_aloud(stack: Stack) -> None:
    async with VoiceClient(stack.url) as client:
        client.write("What is your name?")
        answer = await client.wait_for("response.output_audio_transcript.done")
        assert "goassist" in answer["transcript"].lower()
        await client.wait_until_audible(after_s=0)
        await client.wait_for("output_audio_buffer.stopped", timeout_s=30)


async def test_five_calls_at_once_are_each_answered(stack: Stack, sentences: list[Sentence]) -> None:
    async def one(sentence: Sentence) -> str:
        async with VoiceClient(stack.url, keep_samples=False) as client:
            spoken = await client.say(sentence.path)
            transcript = (await client.wait_for(COMPLETED, timeout_s=60))["transcript"]
            await client.wait_until_audible(after_s=spoken.speech_ended_s, timeout_s=60)
            await client.wait_for("response.done", timeout_s=60)
            return str(transcript)

    chosen = [sentence for sentence in sentences if len(words(sentence.text)) >= 3][:5]
    transcripts = await asyncio.gather(*[one(sentence) for sentence in chosen])
    rates = [word_error_rate(s.text, transcript) for s, transcript in zip(chosen, transcripts, strict=True)]
    assert float(np.mean(rates)) <= 0.3, transcripts


async def test_the_agents_memory_is_the_conversations(stack: Stack) -> None:
    async with VoiceClient(stack.url) as client:
        client.write("Hello there.")
        await client.wait_for("response.done")
        items = [event["item"]["role"] for event in client.events if event.type == "conversation.item.added"]
        assert items == ["user", "assistant"]
