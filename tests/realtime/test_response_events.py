"""A response has the events that the Realtime API documents, in its order: of its message, then of its calls."""

import base64
import json

import numpy as np
import pytest

from orchestrator import notifications as told
from tests.realtime.wire import AGENT, OF_A_CALL, RESPONSE, USER, Wire, begin, called, finish


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def test_a_spoken_answer_has_the_documented_events_in_the_documented_order(wire: Wire) -> None:
    text = [told.ResponseText(RESPONSE, AGENT, delta) for delta in ("It is", " noon.")]
    wire.tell(begin(), text[0], told.OutputAudioStarted(RESPONSE), text[1], finish(), told.OutputAudioStopped(RESPONSE))
    assert wire.types == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "output_audio_buffer.started",
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "output_audio_buffer.stopped",
    ]
    assert wire.one("conversation.item.added")["item"]["content"] == []
    assert wire.one("conversation.item.added")["previous_item_id"] == USER
    assert wire.one("response.output_audio_transcript.done")["transcript"] == "It is noon."
    done = wire.one("response.done")["response"]
    assert done["status"] == "completed"
    assert done["usage"]["total_tokens"] == 35
    assert done["audio"]["output"]["voice"] == "slt"
    (item,) = done["output"]
    assert item["content"] == [{"type": "output_audio", "transcript": "It is noon."}]
    assert item["status"] == "completed"


def test_a_written_answer_has_text_events_and_none_of_sound(wire: Wire) -> None:
    wire.tell(begin("text"), told.ResponseText(RESPONSE, AGENT, "It is noon."), finish())
    assert wire.types[5:] == [
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert wire.one("response.content_part.added")["part"] == {"type": "text", "text": ""}
    assert wire.one("response.done")["response"]["output_modalities"] == ["text"]


def test_an_interrupted_answer_says_who_interrupted_it_and_stays_incomplete(wire: Wire) -> None:
    wire.tell(begin(), finish("cancelled", reason="turn_detected"), told.OutputAudioCleared(RESPONSE))
    wire.tell(told.ItemTruncated(AGENT, 640, "It is"))
    done = wire.one("response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"][0]["status"] == "incomplete"
    assert wire.types[-2:] == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    assert wire.sent[-1]["audio_end_ms"] == 640
    assert wire.sent[-1]["transcript"] == "It is"


def test_a_failed_answer_says_why(wire: Wire) -> None:
    wire.tell(begin(), finish("failed", error_code="backend_unavailable", error_message="Triton was lost"))
    error = wire.one("response.done")["response"]["status_details"]["error"]
    assert error == {"type": "server_error", "code": "backend_unavailable", "message": "Triton was lost"}
    wire.tell(told.Failed("backend_unavailable", "Triton was lost", "server_error", response_id=RESPONSE))
    assert wire.types[-1] == "response.done", "which has said so"


def test_an_answer_is_announced_when_there_is_something_of_it(wire: Wire) -> None:
    wire.tell(begin())
    assert wire.types == ["response.created", "rate_limits.updated"]
    wire.tell(told.ResponseText(RESPONSE, AGENT, "\n"))
    assert len(wire.sent) == 2, "a line's end is nothing that is said"
    wire.tell(told.ResponseText(RESPONSE, AGENT, "It is"))
    assert wire.types[2:] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
    ]
    assert wire.sent[-1]["delta"] == "\nIt is", "the deltas add up to the transcript"


def test_an_answer_is_announced_before_its_sound() -> None:
    wire = Wire(with_audio=True)
    wire.tell(begin(), told.ResponseAudio(RESPONSE, AGENT, bytes(960), 24_000))
    assert wire.types[2:] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.delta",
    ]


def test_an_answer_without_words_and_calls_is_an_empty_message(wire: Wire) -> None:
    nothing = told.ResponseFinished(RESPONSE, AGENT, "cancelled", "", 30, 0, "turn_detected")
    wire.tell(begin(), nothing)
    assert wire.types[2:5] == ["response.output_item.added", "conversation.item.added", "response.content_part.added"]
    (item,) = wire.one("response.done")["response"]["output"]
    assert (item["id"], item["status"]) == (AGENT, "incomplete")
    assert item["content"] == [{"type": "output_audio", "transcript": ""}]


def test_a_response_that_only_calls_has_no_message(wire: Wire) -> None:
    wire.tell(begin(), told.ResponseText(RESPONSE, AGENT, "\n"), called(1, after=USER), called(2))
    wire.tell(told.ResponseFinished(RESPONSE, AGENT, "completed", "\n", 30, 5))
    assert wire.types[2:] == [*OF_A_CALL, *OF_A_CALL, "response.done"]
    added, item_added, delta, done, output_done, item_done = wire.sent[2:8]
    begun = {
        "id": "item_1f1",
        "object": "realtime.item",
        "type": "function_call",
        "status": "in_progress",
        "call_id": "call_1",
        "name": "get_weather",
        "arguments": "",
    }
    complete = {**begun, "status": "completed", "arguments": '{"city": "Paris"}'}
    assert added["item"] == item_added["item"] == begun
    assert output_done["item"] == item_done["item"] == complete
    assert item_added["previous_item_id"] == item_done["previous_item_id"] == USER
    assert delta["delta"] == done["arguments"] == '{"city": "Paris"}'
    assert (done["name"], done["call_id"], done["item_id"]) == ("get_weather", "call_1", "item_1f1")
    indices = [event["output_index"] for event in wire.sent if "output_index" in event]
    assert indices == [0] * 4 + [1] * 4
    assert wire.sent[9]["previous_item_id"] == "item_1f1"
    response = wire.one("response.done")["response"]
    assert [item["id"] for item in response["output"]] == ["item_1f1", "item_1f2"]
    assert response["output"][0] == complete


def test_what_is_said_with_calls_is_complete_before_they_are_told(wire: Wire) -> None:
    wire.tell(begin(), told.ResponseText(RESPONSE, AGENT, "It is noon."), called(1), called(2))
    assert not [kind for kind in wire.types if "function_call" in kind]
    wire.tell(finish())
    assert wire.types[5:] == [
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        *OF_A_CALL,
        *OF_A_CALL,
        "response.done",
    ]
    added = [event for event in wire.sent if event["type"] == "conversation.item.added"]
    assert [event["item"]["id"] for event in added] == [AGENT, "item_1f1", "item_1f2"]
    assert [event["previous_item_id"] for event in added] == [USER, AGENT, "item_1f1"]
    by_item = {
        event["item"]["id"]: event["output_index"] for event in wire.sent if "output_index" in event and "item" in event
    }
    assert by_item == {AGENT: 0, "item_1f1": 1, "item_1f2": 2}
    response = wire.one("response.done")["response"]
    assert [item["type"] for item in response["output"]] == ["message", "function_call", "function_call"]


def test_calls_of_an_answer_that_reached_its_limit_are_told(wire: Wire) -> None:
    text = told.ResponseText(RESPONSE, AGENT, "It is")
    wire.tell(begin(), text, called(), finish("incomplete", reason="max_output_tokens"))
    assert wire.types[-7:] == [*OF_A_CALL, "response.done"]
    response = wire.one("response.done")["response"]
    assert response["status"] == "incomplete"
    assert [item["status"] for item in response["output"]] == ["incomplete", "completed"]
    wire.sent.clear()
    wire.tell(begin(), finish())
    assert "function_call" not in json.dumps(wire.sent), "they are no part of the next one"


@pytest.mark.parametrize("sample_rate", [24_000, 16_000, 22_050])
def test_over_a_websocket_the_sound_goes_out_at_24_khz_and_whole(sample_rate: int) -> None:
    wire = Wire(with_audio=True)
    seconds = np.arange(sample_rate) / sample_rate
    tone = (10_000 * np.sin(2 * np.pi * 440 * seconds)).astype("<i2").tobytes()
    wire.tell(begin())
    for start in range(0, len(tone), 3200):
        wire.tell(told.ResponseAudio(RESPONSE, AGENT, tone[start : start + 3200], sample_rate))
    wire.tell(told.OutputAudioStarted(RESPONSE), finish(), told.OutputAudioStopped(RESPONSE))
    deltas = [e["delta"] for e in wire.sent if e["type"] == "response.output_audio.delta"]
    heard = np.frombuffer(b"".join(base64.b64decode(delta) for delta in deltas), "<i2").astype(float)
    assert abs(len(heard) - 24_000) <= 2
    spectrum = np.abs(np.fft.rfft(heard[:23_900] * np.hanning(23_900)))
    assert np.argmax(spectrum) * 24_000 / 23_900 == pytest.approx(440, abs=2)
    assert not [kind for kind in wire.types if kind.startswith("output_audio_buffer")]
    last_sound = len(wire.types) - 1 - wire.types[::-1].index("response.output_audio.delta")
    assert last_sound < wire.types.index("response.output_audio.done")


def test_over_webrtc_sound_is_no_event(wire: Wire) -> None:
    wire.tell(begin(), told.ResponseAudio(RESPONSE, AGENT, b"\0" * 640, 16_000), finish())
    assert "response.output_audio.delta" not in wire.types
