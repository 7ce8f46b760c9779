"""A user who says nothing after an answer (`idle_timeout_ms`)."""

from goassist_client.client import VoiceClient

from tests.end_to_end.conftest import AUDIO
from tests.end_to_end.stack import Stack

IDLE_MS = 5_000


async def test_the_agent_asks_whether_a_silent_user_is_there(stack: Stack) -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": IDLE_MS}
    async with VoiceClient(stack.url) as client:
        client.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
        await client.wait_for("session.updated")
        await client.say(AUDIO / "what_time_is_it.wav")
        stopped = await client.wait_for("output_audio_buffer.stopped", timeout_s=30)
        triggered = await client.wait_for("input_audio_buffer.timeout_triggered", timeout_s=30)
        silent_ms = triggered["audio_end_ms"] - triggered["audio_start_ms"]
        assert IDLE_MS <= silent_ms < IDLE_MS + 100
        assert triggered.at_s - stopped.at_s > 0.9 * IDLE_MS / 1000
        asked = await client.wait_for("response.done", after_s=triggered.at_s)
        assert asked["response"]["output"][0]["content"][0]["transcript"] == "Are you still there?"
        started = await client.wait_for("output_audio_buffer.started", after_s=triggered.at_s)
        await client.wait_until_audible(after_s=started.at_s)
        await client.say(AUDIO / "what_time_is_it.wav")
        answered = await client.wait_for("response.done", after_s=asked.at_s + 0.01, timeout_s=30)
        assert answered["response"]["status"] == "completed"
