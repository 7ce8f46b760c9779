"""The user speaks while the agent does."""

import urllib.request

import pytest
from goassist_client.client import VoiceClient

from tests.end_to_end.conftest import AUDIO
from tests.end_to_end.stack import Stack, eventually, metric

TRUNCATED = "conversation.item.truncated"


def triton_metric(stack: Stack, name: str) -> float:
    url = stack.json("/health")["components"]["triton"]["metrics_url"]
    with urllib.request.urlopen(url, timeout=5) as answer:
        return metric(answer.read().decode(), name)


async def begin_story(client: VoiceClient) -> float:
    """Let the agent tell a story; returns once it has been heard for a while."""
    await client.say(AUDIO / "tell_me_a_story.wav")
    started = await client.wait_for("output_audio_buffer.started", timeout_s=30)
    await client.wait_until_audible(after_s=started.at_s + 1.5)
    return started.at_s


async def test_speech_silences_the_agent_and_is_answered(stack: Stack) -> None:
    async with VoiceClient(stack.url) as client:
        await begin_story(client)
        before = len(client.events)
        spoken = await client.say(AUDIO / "what_time_is_it.wav")
        await client.wait_for("output_audio_buffer.cleared")
        cancelled = await client.wait_for("response.done", where=lambda e: e["response"]["status"] == "cancelled")
        assert cancelled["response"]["status_details"]["reason"] == "turn_detected"
        answered = await client.wait_for(
            "goassist.state", where=lambda e: e["state"] == "speaking", after_s=cancelled.at_s
        )
        # The new answer's first sound may overtake its event by a little.
        silent_at_s = client.heard.last_audible_s(until_s=answered.at_s - 0.1)
        assert silent_at_s is not None
        assert silent_at_s < spoken.speech_ended_s, "the agent was silent when the user had finished"
        states = [event["state"] for event in client.events[before:] if event.type == "goassist.state"]
        assert states[:4] == ["interrupted", "listening", "thinking", "speaking"]


async def test_the_history_keeps_only_what_was_heard(stack: Stack) -> None:
    async with VoiceClient(stack.url) as client:
        started_at_s = await begin_story(client)
        await client.say(AUDIO / "what_time_is_it.wav")
        truncated = await client.wait_for(TRUNCATED)
        client.send("conversation.item.retrieve", item_id=truncated["item_id"])
        item = (await client.wait_for("conversation.item.retrieved"))["item"]
        kept = item["content"][0]["transcript"]
        told = "".join(
            event["delta"]
            for event in client.events
            if event.type == "response.output_audio_transcript.delta" and event["item_id"] == truncated["item_id"]
        )
        assert kept
        assert told.startswith(kept)
        assert len(kept) < len(told)
        heard_s = truncated["audio_end_ms"] / 1000
        assert heard_s == pytest.approx(truncated.at_s - started_at_s, abs=1.5)


async def test_the_models_in_triton_see_the_cancellation(stack: Stack) -> None:
    def cancelled() -> float:
        return sum(triton_metric(stack, f"goassist_{model}_cancelled_total") for model in ("tts", "llm"))

    before = cancelled()
    async with VoiceClient(stack.url) as client:
        await begin_story(client)
        await client.say(AUDIO / "what_time_is_it.wav")
        await client.wait_for("response.done", where=lambda e: e["response"]["status"] == "cancelled")
    await eventually(lambda: cancelled() > before, within_s=5)


async def test_the_client_can_silence_the_agent(stack: Stack) -> None:
    async with VoiceClient(stack.url) as client:
        await begin_story(client)
        client.send("response.cancel")
        done = await client.wait_for("response.done", where=lambda e: e["response"]["status"] == "cancelled")
        assert done["response"]["status_details"]["reason"] == "client_cancelled"
        silent_at_s = await client.wait_until_silent(for_s=0.5)
        assert silent_at_s < done.at_s + 0.5
