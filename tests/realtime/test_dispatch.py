"""A client's events act on a real session; its Triton cannot be reached, which most of them need not know."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orchestrator.realtime.dispatch import MAX_AUDIO_END_MS
from tests.realtime.conversing import Conversation, conversing, message


@pytest.fixture(params=[False], ids=["webrtc"])
async def talk(request: pytest.FixtureRequest) -> AsyncIterator[Conversation]:
    async with conversing(with_audio=request.param) as conversation:
        yield conversation


over_websocket = pytest.mark.parametrize("talk", [True], indirect=True, ids=["websocket"])


async def test_items_are_added_shown_and_deleted(talk: Conversation) -> None:
    added, done = talk.send("conversation.item.create", item=message("Hello", id="one"))
    assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
    talk.send("conversation.item.create", item=message("Good day", "assistant", id="two"))
    talk.send("conversation.item.create", item=message("Be kind", "system", id="zero"), previous_item_id="root")
    assert [item.id for item in talk.session.history] == ["zero", "one", "two"]
    (retrieved,) = talk.send("conversation.item.retrieve", item_id="two")
    assert retrieved["item"]["content"] == [{"type": "output_text", "text": "Good day"}]
    (deleted,) = talk.send("conversation.item.delete", item_id="one")
    assert deleted["item_id"] == "one"
    assert [item.id for item in talk.session.history] == ["zero", "two"]


async def test_an_item_without_an_id_gets_one(talk: Conversation) -> None:
    added, _ = talk.send("conversation.item.create", item=message("Hello"))
    assert added["item"]["id"] == next(iter(talk.session.history)).id


@pytest.mark.parametrize(
    ("item", "param"),
    [
        (message(" "), "item.content"),
        (message("x" * 40_000), "item.content"),
        (message("Hello", id=""), "item.id"),
        (message("Hello", id="x" * 65), "item.id"),
        ({"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": ""}]}, "item.content[0]"),
        ({"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": ""}]}, "item.content[0]"),
        ({"type": "function_call_output", "call_id": "c", "output": "o"}, "item.call_id"),
        ({"type": "mcp_approval_response", "id": "i", "approval_request_id": "a", "approve": True}, "item.type"),
    ],
)
async def test_items_that_no_conversation_here_can_hold_are_refused(
    talk: Conversation, item: dict[str, Any], param: str
) -> None:
    assert talk.refused("conversation.item.create", item=item)["param"] == param
    assert len(talk.session.history) == 0


async def test_ids_that_are_not_there_or_there_already_are_refused(talk: Conversation) -> None:
    talk.send("conversation.item.create", item=message("Hello", id="one"))
    assert talk.refused("conversation.item.create", item=message("Hello", id="one"))["param"] == "item.id"
    after_none = talk.refused("conversation.item.create", item=message("Hello"), previous_item_id="none")
    assert after_none["param"] == "previous_item_id"
    assert talk.refused("conversation.item.delete", item_id="none")["param"] == "item_id"
    assert talk.refused("conversation.item.retrieve", item_id="none")["param"] == "item_id"
    assert talk.refused("conversation.item.truncate", item_id="one", content_index=1, audio_end_ms=5)
    for audio_end_ms in (-5, MAX_AUDIO_END_MS + 1, 10**400):
        error = talk.refused("conversation.item.truncate", item_id="one", content_index=0, audio_end_ms=audio_end_ms)
        assert error["param"] == "audio_end_ms"


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("conversation.item.retrieve", {"item_id": "none"}, "item_retrieve_invalid_item_id"),
        ("conversation.item.delete", {"item_id": "none"}, "item_delete_invalid_item_id"),
        (
            "conversation.item.truncate",
            {"item_id": "none", "content_index": 0, "audio_end_ms": 5},
            "item_truncate_invalid_item_id",
        ),
        ("response.cancel", {}, "response_cancel_not_active"),
        ("response.cancel", {"response_id": "none"}, "response_cancel_not_active"),
        ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty"),
    ],
)
async def test_what_clients_forgive_has_the_code_that_they_know(
    talk: Conversation, kind: str, fields: dict[str, Any], code: str
) -> None:
    assert talk.refused(kind, **fields)["code"] == code


async def test_half_of_a_surrogate_pair_is_answered_and_changes_nothing(talk: Conversation) -> None:
    assert talk.refused("conversation.item.create", item=message("\ud800", id="one"))["param"] == "item.content[0].text"
    (answer,) = talk.send("response.cancel", event_id="\ud800")
    assert (answer["type"], answer["error"]["param"]) == ("error", "event_id")
    assert answer["error"]["event_id"] is None
    assert len(talk.session.history) == 0


async def test_the_session_is_updated_or_stays_as_it_was(talk: Conversation) -> None:
    session = {"type": "realtime", "instructions": "Be brief.", "audio": {"output": {"speed": 1.2}}}
    (updated,) = talk.send("session.update", session=session)
    assert updated["type"] == "session.updated"
    assert updated["session"]["instructions"] == talk.session.config.instructions == "Be brief."
    before = talk.session.config
    wrong = {**session, "instructions": "Be long.", "audio": {"output": {"speed": 9}}}
    assert talk.refused("session.update", session=wrong)["param"] == "session.audio.output.speed"
    assert talk.session.config == before


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"conversation": "none"}, "response.conversation"),
        ({"input": [message("Hello")]}, "response.input"),
        ({"max_output_tokens": 5_000}, "response.max_output_tokens"),
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, "response.audio.output.format"),
        ({"output_modalities": ["text", "smell"]}, "response.output_modalities[1]"),
        ({"metadata": {"a": 3}}, "response.metadata.a"),
        ({"instructions": "x" * 40_000}, "response.instructions"),
    ],
)
async def test_a_response_that_would_be_another_than_was_asked_for_is_refused(
    talk: Conversation, response: dict[str, Any], param: str
) -> None:
    assert talk.refused("response.create", response=response)["param"] == param


async def test_a_response_that_is_refused_later_is_refused_by_the_id_of_its_event(talk: Conversation) -> None:
    talk.send("conversation.item.create", item=message("Hello"))
    talk.send("response.create", event_id="first")
    talk.send("response.cancel")
    talk.send("response.create", event_id="second")  # kept until the cancelled one is over
    assert talk.refused("response.create")["code"] == "conversation_already_has_active_response"


async def test_a_response_without_triton_fails_and_the_session_goes_on(talk: Conversation) -> None:
    talk.send("conversation.item.create", item=message("Hello"))
    talk.send("response.create", response={"instructions": "Be brief.", "output_modalities": ["text"]})
    async with asyncio.timeout(20):
        while not any(event["type"] == "response.done" for event in talk.sent):
            talk.news.clear()
            await talk.news.wait()
    done = next(event["response"] for event in talk.sent if event["type"] == "response.done")
    assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "backend_unavailable")
    assert done["output_modalities"] == ["text"]
    await asyncio.sleep(0)
    assert "error" not in [event["type"] for event in talk.sent], "some clients hang up at any error"
    assert talk.send("session.update", session={"type": "realtime"})[0]["type"] == "session.updated"


async def test_a_response_cancelled_before_it_has_begun_to_run_is_over(talk: Conversation) -> None:
    talk.send("conversation.item.create", item=message("Hello"))
    talk.send("response.create")
    talk.send("response.cancel")  # in the same pass of the event loop
    async with asyncio.timeout(5):
        while not any(event["type"] == "response.done" for event in talk.sent):
            talk.news.clear()
            await talk.news.wait()
    done = next(event["response"] for event in talk.sent if event["type"] == "response.done")
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    states = [event["state"] for event in talk.sent if event["type"] == "goassist.state"]
    assert states == ["thinking", "interrupted", "listening"]


async def test_over_webrtc_sound_does_not_come_as_events(talk: Conversation) -> None:
    assert "track" in talk.refused("input_audio_buffer.append", audio="")["message"]


@over_websocket
async def test_over_a_websocket_sound_comes_as_base64_at_24_khz(talk: Conversation) -> None:
    second = base64.b64encode(bytes(2 * 24_000)).decode()
    assert talk.send("input_audio_buffer.append", audio=second) == []
    await talk.session.caught_up()
    assert talk.session._listener.received_ms == pytest.approx(1000, abs=2)
    (cleared,) = talk.send("input_audio_buffer.clear")
    assert cleared["type"] == "input_audio_buffer.cleared"


@over_websocket
async def test_sound_without_a_voice_is_committed_as_an_item_without_words(talk: Conversation) -> None:
    talk.send("input_audio_buffer.append", audio=base64.b64encode(bytes(2 * 24_000)).decode())
    await talk.session.caught_up()
    committed, added, completed, done = talk.send("input_audio_buffer.commit")
    assert committed["type"] == "input_audio_buffer.committed"
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert completed["type"] == "conversation.item.input_audio_transcription.completed"
    assert completed["transcript"] == ""
    assert done["item"]["content"] == [{"type": "input_audio", "transcript": ""}]
    assert {completed["item_id"], added["item"]["id"], done["item"]["id"]} == {committed["item_id"]}
    assert talk.refused("input_audio_buffer.commit")["code"] == "input_audio_buffer_commit_empty"


@over_websocket
@pytest.mark.parametrize("audio", ["not base64!", "not ASCII: ä", base64.b64encode(b"odd").decode()])
async def test_sound_that_is_none_is_refused(talk: Conversation, audio: str) -> None:
    assert talk.refused("input_audio_buffer.append", audio=audio)["param"] == "audio"


async def test_clearing_the_output_of_a_silent_agent_is_harmless(talk: Conversation) -> None:
    assert talk.send("output_audio_buffer.clear") == []
