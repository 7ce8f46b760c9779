"""A call against a scripted server: real HTTP, real WebRTC over loopback."""

import asyncio
import json
import threading
from typing import Any

import numpy as np
import pytest
from goassist_client.client import VoiceClient
from goassist_client.errors import (
    ConnectionLostError,
    NoAnswerError,
    RefusedError,
    ServerBusyError,
    ServerUnreachableError,
)
from goassist_client.turn import answers_as_sound, ask_in_writing

from tests.clients.scripted_server import ScriptedCall, ScriptedServer

BUSY = (
    503,
    json.dumps({"error": {"code": "capacity_reached", "message": "all 2 calls are taken"}}),
    {"Retry-After": "7"},
)


async def test_a_typed_turn_is_answered_aloud(server: ScriptedServer) -> None:
    async with VoiceClient(server.url) as client:
        turn = await ask_in_writing(client, "Make a sound.")
        created, asked = server.calls[0].received
        assert created["item"]["content"] == [{"type": "input_text", "text": "Make a sound."}]
        assert asked["type"] == "response.create"
        assert (turn.asked, turn.answer, turn.status, turn.error) == ("Make a sound.", "A tone.", "completed", None)
        assert [state for state, _ in turn.states] == ["thinking", "speaking"]
        assert turn.server_ms == {"ttfa": 12.5, "ttft": None}
        assert turn.audible_s == pytest.approx(0.5, abs=0.1)
        # -15 dBFS; aiortc's encoder spreads mono over two channels of half the power.
        assert turn.level_dbfs == pytest.approx(-18, abs=1.5)
        assert len(answers_as_sound(client, [turn])) == pytest.approx(0.55 * 48_000, abs=0.12 * 48_000)
    assert server.hung_up == ["rtc_1"]


LOST = {"type": "server_error", "message": "The model was lost."}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("response.done", {"response": {"id": "r", "status": "failed", "status_details": {"error": LOST}}}),
        ("conversation.item.input_audio_transcription.failed", {"item_id": "item_1", "error": LOST}),
        ("error", {"error": LOST}),
    ],
)
async def test_a_turn_that_fails_says_why(kind: str, fields: dict[str, Any]) -> None:
    async def fail(call: ScriptedCall, event: dict[str, Any]) -> None:
        if event["type"] == "response.create":
            call.send(kind, **fields)

    async with ScriptedServer(fail).running() as server, VoiceClient(server.url) as client:
        turn = await ask_in_writing(client, "Make a sound.", timeout_s=3.0)
    assert (turn.status, turn.error) == ("failed", "The model was lost.")


async def test_sound_that_is_said_arrives_in_real_time(server: ScriptedServer) -> None:
    async with VoiceClient(server.url) as client:
        silence, loud = np.zeros(3200, np.int16), (8000 * np.sin(np.arange(8000) * 0.2)).astype(np.int16)
        spoken = await client.say(np.concatenate([silence, loud, silence]))
        assert spoken.ended_s == pytest.approx(client.now(), abs=0.05)
        assert spoken.ended_s - spoken.began_s == pytest.approx(0.9)
        assert spoken.speech_began_s - spoken.began_s == pytest.approx(0.2, abs=0.011)
        assert spoken.ended_s - spoken.speech_ended_s == pytest.approx(0.2, abs=0.011)
        (receiver,) = server.calls[0].peer.getReceivers()
        heard = [(await receiver.track.recv()).to_ndarray() for _ in range(50)]
        levels = [float(np.abs(frame.astype(float)).max()) for frame in heard]
        assert max(levels) == pytest.approx(8000, rel=0.2)


async def test_each_event_is_waited_for_once(server: ScriptedServer) -> None:
    async with VoiceClient(server.url) as client:
        client.write("one")
        first = await client.wait_for("response.output_audio_transcript.delta")
        second = await client.wait_for("response.output_audio_transcript.delta")
        assert (first["delta"], second["delta"]) == ("A ", "tone.")
        with pytest.raises(NoAnswerError, match=r"no response\.output_audio_transcript\.delta within 0\.2 s"):
            await client.wait_for("response.output_audio_transcript.delta", timeout_s=0.2)
        again = await client.wait_for("response.output_audio_transcript.delta", after_s=first.at_s)
        assert again is first


async def test_a_new_turn_forgets_the_events_of_the_one_before(server: ScriptedServer) -> None:
    async with VoiceClient(server.url) as client:
        client.write("one")
        stopped = await client.wait_for("output_audio_buffer.stopped")
        client.write("two")
        done = await client.wait_for("response.done")
        assert done.at_s > stopped.at_s


async def test_the_ear_says_when_the_agent_begins_and_falls_silent(server: ScriptedServer) -> None:
    async with VoiceClient(server.url) as client:
        client.write("sound, please")
        began_s = await client.wait_until_audible()
        silent_s = await client.wait_until_silent(for_s=0.2)
        assert silent_s - began_s == pytest.approx(0.48, abs=0.1)
        assert client.now() >= silent_s + 0.2


async def test_session_settings_travel_with_the_offer(server: ScriptedServer) -> None:
    async with VoiceClient(server.url, session={"type": "realtime", "instructions": "Be brief."}, api_key="secret"):
        offer = server.offers[0]
        assert offer.headers["content-type"].startswith("multipart/form-data")
        assert offer.headers["authorization"] == "Bearer secret"
        assert json.loads(str((await offer.form())["session"]))["instructions"] == "Be brief."


async def test_a_server_without_room_says_when_to_try_again(server: ScriptedServer) -> None:
    server.refusals.append(BUSY)
    with pytest.raises(ServerBusyError, match=r"All 2 calls are taken\. Try again in 7 s") as refused:
        await VoiceClient(server.url).connect()
    assert refused.value.retry_after_s == 7


async def test_a_refusal_gives_the_servers_own_words(server: ScriptedServer) -> None:
    server.refusals.append((400, json.dumps({"error": {"message": "the offer has no audio"}}), {}))
    with pytest.raises(RefusedError, match=r"The offer has no audio\. \(HTTP 400\)"):
        await VoiceClient(server.url).connect()


async def test_something_that_is_no_goassist_server_is_recognised(server: ScriptedServer) -> None:
    with pytest.raises(RefusedError, match="is this the address of a GoAssist server"):
        await VoiceClient(server.url + "/elsewhere").connect()


async def test_an_answer_that_is_no_sdp_is_a_refusal(server: ScriptedServer) -> None:
    server.refusals.append((201, "hello", {"Location": "/v1/realtime/calls/rtc_9"}))
    with pytest.raises(RefusedError, match="SDP answer"):
        await VoiceClient(server.url).connect()
    assert server.hung_up == ["rtc_9"]


async def test_a_server_that_wants_a_key_says_where_talk_takes_it_from(server: ScriptedServer) -> None:
    server.refusals.append((401, json.dumps({"error": {"message": "a key is needed"}}), {}))
    with pytest.raises(RefusedError, match=r"A key is needed\. .*GOASSIST_API_KEY"):
        await VoiceClient(server.url).connect()


async def test_nobody_at_the_address_says_how_to_start_a_server() -> None:
    with pytest.raises(ServerUnreachableError, match="make demo"):
        await VoiceClient("http://127.0.0.1:9").connect()


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(RefusedError, match="looks like http://"):
        VoiceClient("localhost:8081")


async def test_a_server_that_ends_the_call_is_noticed_by_all_who_wait(server: ScriptedServer) -> None:
    async with VoiceClient(server.url) as client:
        waiting = asyncio.ensure_future(client.wait_for("response.done"))
        saying = asyncio.ensure_future(client.say(np.zeros(160_000, np.int16)))
        await asyncio.sleep(0)  # both have begun
        await server.calls[0].peer.close()
        reason = await asyncio.wait_for(client.wait_until_lost(), 10)
        for task in (waiting, saying):
            with pytest.raises(ConnectionLostError, match=reason):
                await task
        with pytest.raises(ConnectionLostError):
            client.write("anyone there?")
    assert server.hung_up == []


async def test_a_server_that_falls_silent_is_given_up(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goassist_client.client.LOST_AFTER_S", 1.0)
    async with VoiceClient(server.url) as client:
        server.calls[0].voice.stop()
        assert await asyncio.wait_for(client.wait_until_lost(), 10) == "nothing came from the server for 1 s"


async def test_closing_leaves_no_task_and_no_thread_behind(server: ScriptedServer) -> None:
    threads = set(threading.enumerate())
    client = VoiceClient(server.url)
    await client.connect()
    await client.close()
    await client.close()
    await server.calls.pop().peer.close()
    mine = [task for task in asyncio.all_tasks() if "goassist_client" in repr(task.get_coro())]
    assert mine == []
    # aiortc's decoders end with their peers; the loop's own executor threads stay.
    left = {thread for thread in set(threading.enumerate()) - threads if "decoder" in thread.name}
    assert left == set()
