"""The session object of the Realtime API ↔ SessionConfig."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from openai.types.realtime import (
    RealtimeAudioConfig,
    RealtimeAudioConfigInput,
    RealtimeAudioConfigOutput,
    RealtimeAudioInputTurnDetection,
    RealtimeResponseCreateParams,
    RealtimeSessionCreateRequest,
)
from openai.types.realtime.audio_transcription import AudioTranscription
from openai.types.realtime.realtime_audio_config_output import Voice, VoiceID
from openai.types.realtime.realtime_audio_formats import AudioPCM
from openai.types.realtime.realtime_audio_input_turn_detection import SemanticVad, ServerVad
from openai.types.realtime.realtime_response_create_audio_output import OutputVoiceID

from orchestrator.config import SessionConfig, TurnDetection
from orchestrator.core.history import Modality
from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.tools import choice_to_wire, chosen, tools_to_wire
from orchestrator.realtime.validation import validated

MODEL_NAME = "goassist"
DEFAULT_VOICE = "default"
PCM_24K = AudioPCM(type="audio/pcm", rate=24000)
MAX_INSTRUCTIONS_CHARS = 32_768

# Stock clients ask for one of these unless told otherwise; the server's own voice stands in for them. The last three
# are of OpenAI's speech API alone, whose names some clients offer here too.
OPENAI_VOICES = frozenset(name for each in get_args(Voice) for name in get_args(each)) | {"fable", "nova", "onyx"}
# Of turn detection's times.
_BOUNDS_MS = (
    ("prefix_padding_ms", 0, 5_000),
    ("silence_duration_ms", 0, 10_000),
    ("idle_timeout_ms", 5_000, 30_000),
)
# What was at the top of the session before the API's general availability, and where it is now.
_MOVED = {
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "output_audio_format": "audio.output.format",
    "input_audio_format": "audio.input.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
    "modalities": "output_modalities",
    "max_response_output_tokens": "max_output_tokens",
}


class RequestedSession(RealtimeSessionCreateRequest):
    """The session object that clients send. What has no effect here is not looked at, and so cannot be wrong.

    What becomes of `tools` and `tool_choice` depends on the language model: see `updated`.
    """

    include: Any = None
    parallel_tool_calls: Any = None
    prompt: Any = None
    reasoning: Any = None
    tool_choice: Any = None
    tools: Any = None
    tracing: Any = None
    truncation: Any = None


def parse_session(data: Mapping[str, Any], *, inside: str = "session") -> RealtimeSessionCreateRequest:
    """A session object as clients send it; InvalidRequestError names the field that is wrong."""
    kind = data.get("type")
    if kind != "realtime":
        raise InvalidRequestError(
            f"'{inside}.type' must be \"realtime\"" + (f", not {kind!r}" if "type" in data else "; it is missing"),
            param=f"{inside}.type",
        )
    for name in data:
        if name in _MOVED:
            raise InvalidRequestError(
                f"unknown parameter '{inside}.{name}': it is '{inside}.{_MOVED[name]}' in the present API",
                param=f"{inside}.{name}",
            )
    return validated(RequestedSession, data, inside=inside)


def updated(config: SessionConfig, session: RealtimeSessionCreateRequest, *, calls_functions: bool) -> SessionConfig:
    """`config` with the fields that `session` has; what it lacks stays. InvalidRequestError changes nothing.

    `calls_functions`: the language model does; else the session goes without any.
    """
    given = session.model_fields_set
    changes: dict[str, Any] = {"without": _without(session)}
    if calls_functions:
        tools = chosen(config.functions, session.tools, session.tool_choice, inside="session")
        changes["functions"] = tools.functions
        changes["without"] += ("session_mcp",) if tools.others else ()
    elif session.tools:
        changes["without"] += ("session_functions",)
    if "instructions" in given:
        changes["instructions"] = checked_instructions(session.instructions, "session.instructions")
    if session.output_modalities is not None:
        changes["modality"] = modality(session.output_modalities, "session.output_modalities")
    if "max_output_tokens" in given:
        changes["max_output_tokens"] = token_limit(session.max_output_tokens, "session.max_output_tokens")
    temperature = (session.model_extra or {}).get("temperature")
    if temperature is not None:
        changes["temperature"] = _number(temperature, 0.0, 2.0, "session.temperature")
    audio = session.audio or RealtimeAudioConfig()
    if audio.input is not None:
        changes |= _input_changes(config, audio.input)
    if audio.output is not None:
        changes |= _output_changes(audio.output)
    return replace(config, **changes)


def for_response(
    config: SessionConfig, wanted: RealtimeResponseCreateParams, *, calls_functions: bool
) -> SessionConfig:
    """The session's `config` with what `response.create` wants otherwise for its response; see `updated`."""
    given = wanted.model_fields_set
    changes: dict[str, Any] = {"without": ()}
    if calls_functions:
        tools = chosen(config.functions, wanted.tools, wanted.tool_choice, inside="response")
        changes["functions"] = tools.functions
        changes["without"] = ("response_mcp",) if tools.others else ()
    elif wanted.tools:
        changes["without"] = ("response_functions",)
    if "instructions" in given:
        changes["instructions"] = checked_instructions(wanted.instructions, "response.instructions")
    if wanted.output_modalities is not None:
        changes["modality"] = modality(wanted.output_modalities, "response.output_modalities")
    if wanted.max_output_tokens is not None:
        changes["max_output_tokens"] = token_limit(wanted.max_output_tokens, "response.max_output_tokens")
    output = wanted.audio and wanted.audio.output
    if output:
        _check_format(output.format, "response.audio.output.format")
        if output.voice is not None:
            changes["voice"] = voice_name(output.voice)
    return replace(config, **changes)


def session_to_wire(config: SessionConfig, session_id: str) -> RealtimeSessionCreateRequest:
    """The whole configuration as `session.created` and `session.updated` show it."""
    wire: dict[str, Any] = {
        # The API sends more with a session than its type for requests has: `id` and `object`, and our temperature.
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": MODEL_NAME,
        "output_modalities": [config.modality],
        "instructions": config.instructions,
        "tools": tools_to_wire(config.functions),
        "tool_choice": choice_to_wire(config.functions),
        "max_output_tokens": config.max_output_tokens or "inf",
        "temperature": config.temperature,
        "tracing": None,
        "audio": RealtimeAudioConfig(
            input=RealtimeAudioConfigInput(
                format=PCM_24K,
                transcription=AudioTranscription(model="asr", language=config.language, prompt=config.hotwords),
                noise_reduction=None,
                turn_detection=_detection_to_wire(config.turn_detection),
            ),
            output=RealtimeAudioConfigOutput(format=PCM_24K, voice=config.voice or DEFAULT_VOICE, speed=config.speed),
        ),
    }
    return RealtimeSessionCreateRequest.model_validate(wire)


def voice_name(voice: str | VoiceID | OutputVoiceID | None) -> str | None:
    """The voice that is asked for; None is the server's own."""
    # The id is that of a voice of somebody's own at OpenAI.
    if (
        voice is None
        or isinstance(voice, VoiceID | OutputVoiceID)
        or voice in OPENAI_VOICES
        or voice in ("", DEFAULT_VOICE)
    ):
        return None
    return voice


def modality(modalities: list[Any] | None, param: str) -> Modality:
    """`["audio"]` or `["text"]`."""
    if modalities == ["text"]:
        return "text"
    # Both together is what clients of the API's beta sent; there it meant sound with its transcript.
    if modalities in (["audio"], ["text", "audio"], ["audio", "text"]):
        return "audio"
    raise InvalidRequestError(f'\'{param}\' must be ["audio"] or ["text"]', param=param)


def token_limit(value: Any, param: str) -> int | None:
    """1 to 4096; None for "inf"."""
    if value is None or value == "inf":
        return None
    return int(_number(value, 1, 4096, param))


def checked_instructions(value: str | None, param: str) -> str:
    """The instructions, "" for none."""
    if value is not None and len(value) > MAX_INSTRUCTIONS_CHARS:
        raise InvalidRequestError(
            f"'{param}' has {len(value)} characters, {MAX_INSTRUCTIONS_CHARS} are allowed", param=param
        )
    return value or ""


def _without(session: RealtimeSessionCreateRequest) -> tuple[str, ...]:
    """What of extensions.WITHOUT the client asks for, but for its tools."""
    return ("session_prompt",) if session.prompt else ()


def _input_changes(config: SessionConfig, given: RealtimeAudioConfigInput) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    _check_format(given.format, "session.audio.input.format")
    if "turn_detection" in given.model_fields_set:
        changes["turn_detection"] = _detection(config.turn_detection, given.turn_detection)
    transcription = given.transcription
    if transcription is not None:
        if "language" in transcription.model_fields_set:
            changes["language"] = transcription.language or None
        if transcription.keywords is not None:
            changes["hotwords"] = ", ".join(transcription.keywords) or None
        elif "prompt" in transcription.model_fields_set:
            changes["hotwords"] = transcription.prompt or None
    return changes


def _output_changes(given: RealtimeAudioConfigOutput) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    _check_format(given.format, "session.audio.output.format")
    if "voice" in given.model_fields_set:
        changes["voice"] = voice_name(given.voice)
    if given.speed is not None:
        changes["speed"] = _number(given.speed, 0.25, 1.5, "session.audio.output.speed")
    return changes


def _detection(current: TurnDetection | None, given: RealtimeAudioInputTurnDetection) -> TurnDetection | None:
    if given is None:
        return None
    # Fields that are not given stay as they are, unless the kind of detection is another one.
    base = current if current is not None and current.kind == given.type else TurnDetection(kind=given.type)
    where = "session.audio.input.turn_detection"
    served = type(given).model_fields.keys() - {"type"}
    changes = {name: value for name, value in given.model_dump(exclude_unset=True).items() if name in served}
    # null switches the timeout off, and leaves all else as it is.
    changes = {name: value for name, value in changes.items() if value is not None or name == "idle_timeout_ms"}
    if "threshold" in changes:
        _number(changes["threshold"], 0.0, 1.0, f"{where}.threshold")
    for name, least, most in _BOUNDS_MS:
        if changes.get(name) is not None:
            _number(changes[name], least, most, f"{where}.{name}")
    return replace(base, **changes)


def _detection_to_wire(detection: TurnDetection | None) -> RealtimeAudioInputTurnDetection:
    if detection is None:
        return None
    if detection.kind == "semantic_vad":
        return SemanticVad(
            type="semantic_vad",
            eagerness=detection.eagerness,
            create_response=detection.create_response,
            interrupt_response=detection.interrupt_response,
        )
    return ServerVad(
        type="server_vad",
        threshold=detection.threshold,
        prefix_padding_ms=detection.prefix_padding_ms,
        silence_duration_ms=detection.silence_duration_ms,
        idle_timeout_ms=detection.idle_timeout_ms,
        create_response=detection.create_response,
        interrupt_response=detection.interrupt_response,
    )


def _check_format(given: Any, param: str) -> None:
    if given is not None and not isinstance(given, AudioPCM):
        raise InvalidRequestError(
            f"{given.type!r} is not supported: sound in events is audio/pcm, INT16 at 24000 Hz", param=param
        )


def _number(value: Any, least: float, most: float, param: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidRequestError(f"{param!r} is {value!r}: it must be a number from {least} to {most}", param=param)
    return value
