"""What a session tells arrives as the events that the Realtime API documents, in its order."""

import base64
import json
import time
from typing import Any, get_args

import numpy as np
import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.history import Item, Modality
from orchestrator.errors import BackendUnavailableError, InvalidRequestError
from orchestrator.realtime.events import ServerEvents

ADAPTER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
USER, AGENT, RESPONSE = "item_1u", "item_1a", "resp_1"


class Wire:
    """Collects what is sent, and holds each event of the API against the API's own types."""

    def __init__(self, *, with_audio: bool = False, extensions: bool = True) -> None:
        self.sent: list[dict[str, Any]] = []
        self.events = ServerEvents(
            "rtc_42", SessionConfig(voice="slt"), self._emit, with_audio=with_audio, extensions=extensions
        )

    def _emit(self, text: str) -> None:
        event = json.loads(text)
        if not event["type"].startswith("goassist."):
            assert ADAPTER.validate_python(event, strict=True).type == event["type"]
        self.sent.append(event)

    def tell(self, *notifications: told.Notification) -> None:
        for notification in notifications:
            self.events.tell(notification)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.sent]

    def one(self, kind: str) -> dict[str, Any]:
        (event,) = [event for event in self.sent if event["type"] == kind]
        return event


def begin(modality: Modality = "audio") -> told.ResponseStarted:
    return told.ResponseStarted(RESPONSE, AGENT, USER, modality)


def finish(status: told.ResponseStatus = "completed", **fields: Any) -> told.ResponseFinished:
    return told.ResponseFinished(RESPONSE, AGENT, status, "It is noon.", 30, 5, **fields)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_every_notification_has_its_events_or_is_known_to_have_none(wire: Wire) -> None:
    assert set(wire.events._tellers) == set(get_args(told.Notification))


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


def test_an_utterance_goes_from_speech_to_its_transcript(wire: Wire) -> None:
    item = Item(USER, "user", "what time is it", "audio")
    wire.tell(
        told.SpeechStarted(USER, 1200),
        told.SpeechStopped(USER, 2900),
        told.AudioCommitted(USER, None),
        told.ItemAdded(item, None, done=False),
        told.TranscriptCompleted(USER, "what time is it", 1.7),
        told.ItemDone(item, None),
    )
    assert wire.types == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.done",
    ]
    assert wire.sent[5]["usage"] == {"type": "duration", "seconds": 1.7}
    added, done = wire.sent[3]["item"], wire.sent[6]["item"]
    # Clients that take the words from `completed` would have them twice.
    assert added["content"] == [{"type": "input_audio", "transcript": None}]
    assert done["content"] == [{"type": "input_audio", "transcript": "what time is it"}]
    assert added["status"] == done["status"] == "completed"


def test_words_that_are_lost_are_told_of_their_item(wire: Wire) -> None:
    wire.tell(told.TranscriptPartial(USER, "what time", 4))
    wire.tell(told.Failed("backend_unavailable", "The recogniser was lost", "server_error", item_id=USER))
    failed = wire.sent[-1]
    assert failed["type"] == "conversation.item.input_audio_transcription.failed"
    assert (failed["item_id"], failed["content_index"]) == (USER, 0)
    error = {"type": "server_error", "code": "backend_unavailable", "message": "The recogniser was lost"}
    assert failed["error"] == error
    assert not wire.events._transcribed


def test_transcription_deltas_carry_what_is_stable_and_add_up_to_the_transcript(wire: Wire) -> None:
    wire.tell(
        told.TranscriptPartial(USER, "what dime", 5),
        told.TranscriptPartial(USER, "what time is", 9),
        told.TranscriptPartial(USER, "what time is", 9),
        told.TranscriptCompleted(USER, "what time is it", 1.0),
    )
    deltas = [e["delta"] for e in wire.sent if e["type"].endswith("transcription.delta")]
    assert deltas == ["what ", "time", " is it"]
    live = [e["text"] for e in wire.sent if e["type"] == "goassist.transcript"]
    assert live == ["what dime", "what time is"], "a partial that says nothing else is not repeated"


def test_a_final_transcript_that_takes_words_back_is_not_spoiled_by_deltas(wire: Wire) -> None:
    wire.tell(told.TranscriptPartial(USER, "wet lime", 8), told.TranscriptCompleted(USER, "what time", 1.0))
    assert [e["delta"] for e in wire.sent if e["type"].endswith("transcription.delta")] == ["wet lime"]
    assert wire.sent[-1]["transcript"] == "what time"


def test_utterances_without_words_leave_nothing_behind(wire: Wire) -> None:
    for number in range(100):
        wire.tell(told.TranscriptPartial(f"item_{number}u", "uh", 2))
    assert len(wire.events._transcribed) < 10


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


def test_the_session_is_shown_whole(wire: Wire) -> None:
    wire.events.session_created()
    session = wire.sent[0]["session"]
    assert session["id"] == "rtc_42"
    assert session["type"] == "realtime"
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["audio"]["output"]["voice"] == "slt"
    assert session["max_output_tokens"] == "inf"


def test_push_to_talk_is_shown_as_null(wire: Wire) -> None:
    wire.events.session_updated(SessionConfig(turn_detection=None))
    assert wire.sent[0]["session"]["audio"]["input"]["turn_detection"] is None


def test_errors_name_the_event_and_field_that_caused_them(wire: Wire) -> None:
    wire.events.error(InvalidRequestError("no such item", param="item_id"), client_event_id="mine_7")
    wire.events.error(BackendUnavailableError("Triton was lost"))
    invalid, server = [event["error"] for event in wire.sent]
    assert (invalid["type"], invalid["param"], invalid["event_id"]) == ("invalid_request_error", "item_id", "mine_7")
    assert (server["type"], server["code"]) == ("server_error", "backend_unavailable")


def test_typed_items_are_added_and_done_at_once(wire: Wire) -> None:
    wire.tell(told.ItemAdded(Item("item_x", "user", "Hello"), "item_w", done=True), told.ItemDeleted("item_x"))
    assert wire.types == ["conversation.item.added", "conversation.item.done", "conversation.item.deleted"]
    assert wire.sent[0]["item"]["content"] == [{"type": "input_text", "text": "Hello"}]


def test_without_the_extensions_every_other_event_is_the_same() -> None:
    def events(*, extensions: bool) -> list[dict[str, Any]]:
        wire = Wire(extensions=extensions)
        wire.tell(
            told.Degraded("verbosity_reduce", "normal", "Answers are shorter."),
            told.StateChanged("listening", "idle", 1, 0),
            told.TranscriptPartial(USER, "what time", 5),
            told.TranscriptCompleted(USER, "what time is it", 1.7),
            begin("text"),
            told.ResponseText(RESPONSE, AGENT, "It is noon."),
            told.TurnMetrics(1, RESPONSE, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, False),
            finish(),
        )
        return [{name: value for name, value in event.items() if name != "event_id"} for event in wire.sent]

    everything, standard = events(extensions=True), events(extensions=False)
    assert len({event["type"] for event in everything if event["type"].startswith("goassist.")}) == 4
    assert standard == [event for event in everything if not event["type"].startswith("goassist.")]


def test_event_ids_are_unique(wire: Wire) -> None:
    wire.tell(begin(), finish())
    ids = [event["event_id"] for event in wire.sent]
    assert len(set(ids)) == len(ids)


def test_events_for_a_hundred_sessions_take_a_small_part_of_a_core(wire: Wire) -> None:
    wire.events._emit = lambda text: None  # what is measured is the making of the events
    began = time.process_time()
    for number in range(15_000):
        wire.events.tell(told.TranscriptPartial(USER, f"{number} noons", 0))
    # 1500 events a second are needed; ten seconds' worth may take one second even on a slow shared core.
    assert time.process_time() - began < 1.0
