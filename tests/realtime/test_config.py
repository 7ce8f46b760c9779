"""Session objects change the configuration, as far as they say and no further."""

import dataclasses
import json
from typing import Any

import pytest

from orchestrator.config import SessionConfig, TurnDetection
from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.config import parse_session, session_to_wire, updated

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


def update(config: SessionConfig | None = None, **session: Any) -> SessionConfig:
    return updated(config or SessionConfig(), parse_session({"type": "realtime", **session}))


def audio_in(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


def refused(**session: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        update(**session)
    return caught.value


def test_what_is_not_given_stays() -> None:
    before = SessionConfig("Be kind.", "slt", 1.2, "en", "Zanzibar", "text", 100, 0.3, None)
    assert update(before) == before
    assert update(before, instructions="Be brief.") == dataclasses.replace(before, instructions="Be brief.")


def test_every_field_can_be_given() -> None:
    config = update(
        instructions="Be brief.",
        output_modalities=["text"],
        max_output_tokens=200,
        temperature=0.1,
        audio={
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"language": "de", "keywords": ["Zanzibar", "Kilwa"]},
                "turn_detection": {"type": "semantic_vad", "eagerness": "high", "create_response": False},
            },
            "output": {"voice": "rms", "speed": 0.8},
        },
    )
    detection = TurnDetection(kind="semantic_vad", eagerness="high", create_response=False)
    assert config == SessionConfig("Be brief.", "rms", 0.8, "de", "Zanzibar, Kilwa", "text", 200, 0.1, detection)


def test_turn_detection_null_is_push_to_talk() -> None:
    assert update(**audio_in(turn_detection=None)).turn_detection is None


def test_fields_of_the_same_turn_detection_are_merged_and_another_kind_begins_with_its_defaults() -> None:
    before = SessionConfig(turn_detection=TurnDetection(threshold=0.7, interrupt_response=False))
    same = update(before, **audio_in(turn_detection={"type": "server_vad", "silence_duration_ms": 800}))
    assert same.turn_detection == TurnDetection(threshold=0.7, interrupt_response=False, silence_duration_ms=800)
    other = update(before, **audio_in(turn_detection={"type": "semantic_vad"}))
    assert other.turn_detection == TurnDetection(kind="semantic_vad")


def test_max_output_tokens_inf_is_no_limit() -> None:
    assert update(SessionConfig(max_output_tokens=5), max_output_tokens="inf").max_output_tokens is None


@pytest.mark.parametrize("voice", ["alloy", "marin", "nova", "onyx", "fable", "default", "", {"id": "voice_1"}])
def test_a_voice_of_openais_is_the_servers_own(voice: object) -> None:
    assert update(SessionConfig(voice="slt"), audio={"output": {"voice": voice}}).voice is None


def test_an_empty_text_clears_the_instructions() -> None:
    assert update(instructions="").instructions == ""


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"output_modalities": []}, "session.output_modalities"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"max_output_tokens": 5000}, "session.max_output_tokens"),
        ({"temperature": 3}, "session.temperature"),
        ({"temperature": "hot"}, "session.temperature"),
        ({"temperature": float("nan")}, "session.temperature"),
        ({"instructions": "x" * 40_000}, "session.instructions"),
        ({"audio": {"output": {"speed": 4}}}, "session.audio.output.speed"),
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, "session.audio.output.format"),
        (audio_in(format={"type": "audio/pcma"}), "session.audio.input.format"),
        (
            audio_in(turn_detection={"type": "server_vad", "threshold": 1.5}),
            "session.audio.input.turn_detection.threshold",
        ),
        (
            audio_in(turn_detection={"type": "server_vad", "silence_duration_ms": -1}),
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(session: dict[str, Any], param: str) -> None:
    assert refused(**session).param == param


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "weather"}}, "session.tools"),
        ({"tools": [{"type": "of_tomorrow"}]}, "session.tools"),
        ({"prompt": {"id": "pmpt_1", "version": "2", "variables": {"name": "Ann"}}}, "session.prompt"),
        (
            audio_in(turn_detection={"type": "server_vad", "threshold": 0.7, "idle_timeout_ms": 6000}),
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
    ],
)
def test_what_there_is_not_is_gone_without_and_the_rest_has_its_effect(session: dict[str, Any], param: str) -> None:
    config = update(SessionConfig(), instructions="Be brief.", **session)
    assert (config.instructions, config.without) == ("Be brief.", (param,))
    assert config.turn_detection is not None
    assert config.turn_detection.threshold == (0.7 if "audio" in session else 0.5)
    shown = json.loads(session_to_wire(config, "rtc_1").model_dump_json(exclude_unset=True))
    assert (shown["tools"], shown["tool_choice"]) == ([], "auto")
    assert shown["audio"]["input"]["turn_detection"]["idle_timeout_ms"] is None
    assert update(config, instructions="Be kind.").without == ()


@pytest.mark.parametrize(
    "session",
    [
        {"reasoning": {"effort": "none"}},
        {"reasoning": {"effort": "of tomorrow"}},
        {"include": ["of.tomorrow"]},
        {"tracing": {"workflow_name": 1}},
        {"tracing": "of tomorrow"},
        {"truncation": "of tomorrow"},
        {"tool_choice": "of tomorrow"},
        {"parallel_tool_calls": "of tomorrow"},
        {"tools": None},
        {"tools": []},
        {"prompt": None},
        {"output_modalities": None},
        audio_in(turn_detection={"type": "server_vad", "idle_timeout_ms": None}),
    ],
)
def test_what_has_no_effect_cannot_be_wrong(session: dict[str, Any]) -> None:
    before = SessionConfig(modality="text")
    assert update(before, **session) == before
    assert update(before, **session).without == ()


def test_what_does_no_harm_is_accepted_and_shown_as_off() -> None:
    config = update(tools=[], tool_choice="auto", tracing="auto", model="gpt-realtime", truncation="auto")
    config = update(config, **audio_in(noise_reduction={"type": "near_field"}, transcription={"model": "whisper-1"}))
    shown = json.loads(session_to_wire(config, "rtc_1").model_dump_json(exclude_unset=True))
    assert shown["tracing"] is None
    assert shown["audio"]["input"]["noise_reduction"] is None
    assert shown["model"] == "goassist"


@pytest.mark.parametrize(
    "config",
    [
        SessionConfig(),
        SessionConfig("", None, 0.5, "de", "Kilwa", "text", 9, 0.0, None),
        SessionConfig(turn_detection=TurnDetection("semantic_vad", eagerness="low", interrupt_response=False)),
        SessionConfig(turn_detection=TurnDetection("server_vad", 0.9, 100, 900, create_response=False)),
    ],
)
def test_what_is_shown_can_be_sent_back_and_changes_nothing(config: SessionConfig) -> None:
    shown = json.loads(session_to_wire(config, "rtc_1").model_dump_json(exclude_unset=True))
    assert updated(config, parse_session(shown)) == config
    rest = dataclasses.replace(config, instructions="another", speed=1.5, voice="other")
    assert updated(rest, parse_session(shown)) == config
