"""A message of the client's is understood, or answered with what is wrong with it."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import (
    ConversationItemCreateEvent,
    InputAudioBufferCommitEvent,
    ResponseCreateEvent,
    SessionUpdateEvent,
)

from orchestrator.realtime.client_events import ClientEventError, parse_client_event
from orchestrator.realtime.validation import MAX_DEPTH


def parse(event: Any) -> Any:
    return parse_client_event(event if isinstance(event, str | bytes) else json.dumps(event))


def refused(event: Any) -> ClientEventError:
    with pytest.raises(ClientEventError) as caught:
        parse(event)
    return caught.value


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": fields}


def session(**fields: Any) -> dict[str, Any]:
    return {"type": "session.update", "event_id": "mine_1", "session": {"type": "realtime", **fields}}


def test_events_become_the_apis_own_types() -> None:
    assert isinstance(parse({"type": "input_audio_buffer.commit"}), InputAudioBufferCommitEvent)
    assert isinstance(parse({"type": "response.create", "response": {"instructions": "Be brief"}}), ResponseCreateEvent)
    assert isinstance(parse(session(instructions="Be brief")), SessionUpdateEvent)
    message = item(type="message", role="user", content=[{"type": "input_text", "text": "Hi"}])
    assert isinstance(parse(message), ConversationItemCreateEvent)


def test_bytes_are_read_as_text() -> None:
    assert parse(b'{"type": "response.cancel", "event_id": "x"}').event_id == "x"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Hello", "not valid JSON"),
        ("", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "must be a JSON object, not an array"),
        ("null", "not null"),
        ("3", "not a number"),
        ("{}", "needs a 'type'"),
        ('{"type": 3}', "needs a 'type'"),
    ],
)
def test_what_is_no_event_at_all_is_named(message: Any, words: str) -> None:
    assert words in str(refused(message))


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    error = refused({"type": "response.begin", "event_id": "mine_9"})
    assert "response.begin" in str(error)
    assert "response.create" in str(error)
    assert error.param == "type"
    assert error.event_id == "mine_9"


@pytest.mark.parametrize(
    ("event", "param"),
    [
        ({"type": "conversation.item.create"}, "item"),
        (item(), "item.type"),
        (item(type="poem"), "item.type"),
        (item(type="message", role="king", content=[]), "item.role"),
        (item(type="message", role="user"), "item.content"),
        (item(type="message", role="user", content=[{"type": "input_text", "text": 3}]), "item.content[0].text"),
        (item(type="message", role="user", content=[{}, {"type": "output_text"}]), "item.content[1].type"),
        ({"type": "conversation.item.create", "item": 3}, "item"),
        ({"type": "conversation.item.delete"}, "item_id"),
        ({"type": "conversation.item.truncate", "item_id": "i", "content_index": 0}, "audio_end_ms"),
        ({"type": "input_audio_buffer.append", "audio": 5}, "audio"),
        ({"type": "response.create", "response": {"output_modalities": ["smell"]}}, "response.output_modalities[0]"),
        ({"type": "session.update"}, "session"),
        ({"type": "session.update", "session": "loud"}, "session"),
        ({"type": "session.update", "session": {}}, "session.type"),
        ({"type": "session.update", "session": {"type": "transcription"}}, "session.type"),
        (session(voice="alloy"), "session.voice"),
        (session(audio={"output": {"speed": "fast"}}), "session.audio.output.speed"),
        (session(max_output_tokens="many"), "session.max_output_tokens"),
        (session(max_output_tokens={}), "session.max_output_tokens"),
        (
            session(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": "low"}}}),
            "session.audio.input.turn_detection.threshold",
        ),
        (
            session(audio={"input": {"turn_detection": {"type": "magic"}}}),
            "session.audio.input.turn_detection.type",
        ),
        (
            session(audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}}),
            "session.audio.input.format.rate",
        ),
    ],
)
def test_the_wrong_field_is_named_by_its_path(event: Any, param: str) -> None:
    error = refused(event)
    assert error.param == param
    assert param in str(error)


def test_a_value_of_the_wrong_kind_is_shown_with_what_would_be_right() -> None:
    text = str(refused(session(audio={"input": {"turn_detection": {"type": "magic"}}})))
    assert '"magic"' in text
    assert "'server_vad'" in text
    assert "'semantic_vad'" in text


def test_a_field_of_the_beta_is_told_where_it_is_now() -> None:
    assert "session.audio.output.voice" in str(refused(session(voice="alloy")))


@pytest.mark.parametrize(
    ("event", "param"),
    [
        (
            item(type="message", role="user", content=[{"type": "input_text", "text": "Hi \ud83d"}]),
            "item.content[0].text",
        ),
        (session(instructions="\udc00"), "session.instructions"),
        ({"type": "response.create", "response": {"metadata": {"a": "\ud800"}}}, "response.metadata.a"),
        ({"type": "response.create", "response": {"metadata": {"\ud800": "a"}}}, "response.metadata"),
        ({"type": "no.such\ud800"}, "type"),
        ({"type": "response.cancel", "\ud800": 1}, None),
        # Another way to write one: bytes that UTF-8 forbids, which JSON's own parser lets pass.
        (b'{"type": "conversation.item.delete", "item_id": "\xed\xa0\x80"}', "item_id"),
    ],
)
def test_half_of_a_surrogate_pair_is_refused_wherever_it_is(event: Any, param: str | None) -> None:
    error = refused(event)
    assert error.param == param
    assert "surrogate" in str(error)
    str(error).encode()


def test_the_event_id_is_repeated_unless_it_cannot_be() -> None:
    wrong = {"type": "conversation.item.delete", "item_id": "\ud800"}
    assert refused({**wrong, "event_id": "mine"}).event_id == "mine"
    error = refused({**wrong, "event_id": "\ud800"})
    assert (error.param, error.event_id) == ("event_id", None)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    text = '{"type": "session.update", "session": {"type": "realtime", "instructions": "\\ud83d\\ude00"}}'
    assert parse(text).session.instructions == "\N{GRINNING FACE}"


def test_what_is_nested_too_deeply_is_refused() -> None:
    for depth in (MAX_DEPTH, *range(900, 1000)):  # the deepest are at the limit of what Python can read, or write again
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = opening * depth + "1" + closing * depth
            assert str(refused(f'{{"type": "conversation.item.delete", "item_id": {nested}}}'))


@given(st.text() | st.binary())
def test_no_message_can_raise_anything_but_an_explained_error(message: str | bytes) -> None:
    assert str(refused(message))


TEXT = st.text(st.characters(), max_size=8)  # with halves of surrogate pairs
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TYPES = ["session.update", "conversation.item.create", "response.create", "conversation.item.truncate"]
FIELDS = ["session", "item", "response", "audio", "type", "role", "content", "event_id", "item_id", "input", "output"]


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS[:-1]), JSON), JSON)
def test_no_field_can_raise_anything_but_an_explained_error(kind: str, fields: dict[str, Any], deep: Any) -> None:
    event = {"item": {"type": "message", "content": deep}, "session": {"type": "realtime", "audio": deep}}
    with suppress(ClientEventError):
        parse({**event, **fields, "type": kind})
