"""Session objects change the configuration, as far as they say and no further."""

import dataclasses
import json
from dataclasses import replace
from typing import Any

import pytest
from openai.types.realtime import RealtimeResponseCreateParams

from orchestrator.config import SessionConfig, TurnDetection
from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.config import for_response, parse_session, session_to_wire, updated


def update(config: SessionConfig | None = None, **session: Any) -> SessionConfig:
    return updated(config or SessionConfig(), parse_session({"type": "realtime", **session}), calls_functions=True)


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
    ("session", "name"),
    [
        ({"tools": [{"type": "of_tomorrow"}]}, "session_mcp"),
        ({"prompt": {"id": "pmpt_1", "version": "2", "variables": {"name": "Ann"}}}, "session_prompt"),
    ],
)
def test_what_there_is_not_is_gone_without_and_the_rest_has_its_effect(session: dict[str, Any], name: str) -> None:
    config = update(SessionConfig(), instructions="Be brief.", **session)
    assert (config.instructions, config.without) == ("Be brief.", (name,))
    shown = json.loads(session_to_wire(config, "rtc_1").model_dump_json(exclude_unset=True))
    assert (shown["tools"], shown["tool_choice"]) == ([], "auto")
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
    assert update(config, **shown) == config
    rest = dataclasses.replace(config, instructions="another", speed=1.5, voice="other")
    assert update(rest, **shown) == config


def test_a_silence_after_which_the_agent_speaks_up_is_set_kept_and_switched_off() -> None:
    config = update(SessionConfig(), **audio_in(turn_detection={"type": "server_vad", "idle_timeout_ms": 6_000}))
    kept = update(config, **audio_in(turn_detection={"type": "server_vad", "threshold": 0.7}))
    assert kept.turn_detection == TurnDetection(idle_timeout_ms=6_000, threshold=0.7)
    shown = json.loads(session_to_wire(kept, "rtc_1").model_dump_json(exclude_unset=True))
    assert shown["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == 6_000
    off = update(kept, **audio_in(turn_detection={"type": "server_vad", "idle_timeout_ms": None}))
    assert off.turn_detection == TurnDetection(threshold=0.7)


@pytest.mark.parametrize("timeout_ms", [4_999, 30_001])
def test_a_silence_that_is_too_short_or_too_long_is_refused(timeout_ms: int) -> None:
    wrong = audio_in(turn_detection={"type": "server_vad", "idle_timeout_ms": timeout_ms})
    assert refused(**wrong).param == "session.audio.input.turn_detection.idle_timeout_ms"


def test_a_response_has_what_it_gives_and_all_else_from_the_session() -> None:
    session = SessionConfig(instructions="Be brief.", voice="slt", max_output_tokens=300, without=("session_mcp",))

    def response(**fields: Any) -> SessionConfig:
        return for_response(session, RealtimeResponseCreateParams.model_validate(fields), calls_functions=True)

    assert response() == session
    assert response().without == ()
    other = response(
        instructions="", output_modalities=["text"], max_output_tokens=50, audio={"output": {"voice": "kal"}}
    )
    assert other == replace(session, instructions="", modality="text", max_output_tokens=50, voice="kal")
    assert response(max_output_tokens="inf").max_output_tokens is None
    assert response(audio={"output": {"voice": "alloy"}}).voice is None
    assert response(audio={"output": {"voice": {"id": "voice_1"}}}).voice is None
