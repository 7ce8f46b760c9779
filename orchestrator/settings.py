"""The settings of the process: environment variables and `.env`, read once, checked at start, then frozen."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from orchestrator.config import DEFAULT_INSTRUCTIONS
from orchestrator.errors import ConfigurationError

# Their values are not shown, not even where they are wrong.
SECRETS = frozenset({"api_key", "llm_api_key", "webrtc_turn_password", "webrtc_turn_secret"})
PROJECT = Path(__file__).parents[1]


def _upper(value: Any) -> Any:
    """Levels in any case, and WARN as many write it."""
    level = value.strip().upper() if isinstance(value, str) else value
    return "WARNING" if level == "WARN" else level


def _split(value: Any) -> Any:
    """`a, b` as a list."""
    if isinstance(value, str):
        return tuple(part for part in (each.strip() for each in value.split(",")) if part)
    return value


def _as_browsers_send(value: Any) -> Any:
    """An origin in small letters and without a slash at its end."""
    return value.rstrip("/").lower() if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Origin = Annotated[str, BeforeValidator(_as_browsers_send), Field(pattern=r"^https?://[^/\s*]+$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """One field a setting; its name in capitals is the environment variable's. `.env.example` documents each."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # The HTTP server.
    api_host: str = Field("127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 is every one")
    api_port: Port = Field(8081, description="TCP port of the HTTP server, 0 to 65535; 0 takes a free one")
    api_key: SecretStr | None = Field(
        None, min_length=8, description="key that clients must send, 8 characters or more; without it all are let in"
    )
    allowed_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="other web sites whose pages may call, such as https://example.org, separated by commas"
    )
    workers: int = Field(1, ge=1, le=64, description="processes that share the port and the calls, 1 to 64")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_format: Literal["text", "json"] = Field("text", description="text or json, one line a record")

    # Sessions.
    max_concurrent_sessions: int = Field(
        100, ge=1, le=10_000, description="calls at the same time, 1 to 10000; the next is refused with 503"
    )
    max_frame_lateness_ms: float = Field(
        100, gt=0, le=10_000, description="milliseconds of lateness beyond which no further call is taken, up to 10000"
    )
    session_idle_timeout_s: float = Field(
        300, ge=1, le=86_400, description="seconds without a word from either side that end a call, 1 to 86400"
    )
    drain_timeout_s: float = Field(
        0, ge=0, le=86_400, description="seconds that calls may go on after the order to stop, 0 to 86400"
    )
    instructions: str = Field(DEFAULT_INSTRUCTIONS, description="the agent's system prompt")
    voice: str | None = Field(None, description="voice of the tts model; without it the model's first")
    speech_language: str | None = Field(None, description="language of speech, such as en; without it the models' own")
    turn_detection: Literal["server_vad", "semantic_vad"] = Field(
        "semantic_vad",
        description="semantic_vad (waits as long as what was said asks for) or server_vad (a fixed silence)",
    )

    # Models.
    triton_url: str = Field(
        "localhost:8001",
        pattern=r"^[^/\s]+:\d{1,5}$",
        description="host:port of Triton's gRPC service, without http://",
    )
    triton_metrics_url: str | None = Field(
        None, pattern=r"^https?://", description="http:// address of Triton's own metrics, shown by /health"
    )
    llm_base_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="http(s):// address, with its /v1, of an OpenAI-compatible server in place of Triton's llm model",
    )
    llm_model: str | None = Field(None, description="model of LLM_BASE_URL; without it the server's first")
    llm_api_key: SecretStr | None = Field(None, description="key for LLM_BASE_URL, where it wants one")
    llm_template: Path | None = Field(
        None,
        description="folder of the llm model's tokenizer_config.json and tokenizer.json, whose chat template is used",
    )
    profile: str = Field(
        "embedded", pattern=r"^\w+$", description="model configuration of `goassist up`: embedded, cpu, …"
    )
    model_repository: Path = Field(
        PROJECT / "model_repository", description="folder of the models that `goassist up` serves"
    )
    triton_python: Path | None = Field(
        None, description="environment that the models' Python is in; without it `.venvs/PROFILE`, or else this one"
    )
    triton_http_port: Port | None = Field(
        None, description="port of Triton's HTTP service in `goassist up`; without it 8000, or a free one"
    )
    triton_grpc_port: Port | None = Field(None, description="the same for gRPC; without it 8001, or a free one")
    triton_metrics_port: Port | None = Field(None, description="the same for metrics; without it 8002, or a free one")

    # WebRTC.
    webrtc_hosts: Names = Field(
        (),
        description="local IP addresses put into SDP answers, separated by commas; without any, all of the machine's",
    )
    webrtc_stun_server: str | None = Field(None, pattern=r"^stuns?:[^\s,]+$", description="such as stun:host:3478")
    webrtc_turn_server: str | None = Field(None, pattern=r"^turns?:[^\s,]+$", description="such as turn:host:3478")
    webrtc_turn_username: str | None = Field(None, description="user name at the TURN server")
    webrtc_turn_password: SecretStr | None = Field(None, description="password at the TURN server")
    webrtc_turn_secret: SecretStr | None = Field(
        None, description="shared secret of the TURN server (coturn: use-auth-secret), in place of name and password"
    )

    @model_validator(mode="after")
    def _turn_is_complete(self) -> Self:
        named = self.webrtc_turn_username is not None and self.webrtc_turn_password is not None
        if self.webrtc_turn_server and not (named or self.webrtc_turn_secret):
            raise ValueError(
                "WEBRTC_TURN_SERVER needs WEBRTC_TURN_SECRET, or WEBRTC_TURN_USERNAME and WEBRTC_TURN_PASSWORD"
            )
        return self


def load_settings(**overrides: Any) -> Settings:
    """The settings, with `overrides` (of the command line) first. ConfigurationError names each that is wrong."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError("\n".join(_line(detail) for detail in error.errors(include_url=False))) from error


def revealed(secret: SecretStr | None) -> str | None:
    """The text of a secret setting."""
    return secret.get_secret_value() if secret is not None else None


def _line(detail: ErrorDetails) -> str:
    if not detail["loc"]:
        return detail["msg"].removeprefix("Value error, ") + "."
    name = str(detail["loc"][0])
    description = Settings.model_fields[name].description
    shown = "what it is set to" if name in SECRETS else repr(detail["input"])
    return f"{name.upper()} cannot be {shown}. Wanted: {description}. Set it in the environment or in .env."
