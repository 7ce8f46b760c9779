"""What a session tells arrives as the events that the Realtime API documents, in its order."""

import time
from typing import Any, get_args

import pytest

from orchestrator import notifications as told
from orchestrator.config import SessionConfig
from orchestrator.core.history import Item
from orchestrator.errors import BackendUnavailableError, InvalidRequestError
from tests.realtime.wire import AGENT, RESPONSE, USER, Wire, begin, called, finish


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_every_notification_has_its_events_or_is_known_to_have_none(wire: Wire) -> None:
    assert set(wire.events._tellers) == set(get_args(told.Notification))


def test_a_call_that_a_client_adds_is_an_item_like_others(wire: Wire) -> None:
    wire.tell(told.ItemAdded(called().item, USER, done=True))
    wire.tell(told.ItemAdded(Item("item_x", "tool", "", call_id="call_1"), "item_1f1", done=True))
    assert wire.types == ["conversation.item.added", "conversation.item.done"] * 2
    assert [event["item"]["type"] for event in wire.sent[1::2]] == ["function_call", "function_call_output"]
    assert [event["item"]["call_id"] for event in wire.sent] == ["call_1"] * 4
    wire.events.item_retrieved(called().item)
    assert wire.sent[-1]["item"]["arguments"] == '{"city": "Paris"}'


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


def test_a_silence_that_lasts_is_told_with_its_place_in_the_users_sound(wire: Wire) -> None:
    wire.tell(told.TimeoutTriggered(USER, 4000, 10_000))
    (event,) = wire.sent
    assert (event["type"], event["item_id"]) == ("input_audio_buffer.timeout_triggered", USER)
    assert (event["audio_start_ms"], event["audio_end_ms"]) == (4000, 10_000)


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
