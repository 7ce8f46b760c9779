"""The weights that the models of model_repository/ load: where they come from, what they weigh and permit.

A name is the folder's in models/, where the models' configurations look for it. The sizes are what is downloaded, to
show before a hub was asked; the hub's own figures are what counts.
"""

from dataclasses import dataclass

from orchestrator.errors import ConfigurationError

_GB, _MB = 10**9, 10**6
_TRANSFORMERS = ("*.json", "*.safetensors", "merges.txt", "*.jinja", "LICENSE*", "README.md")
_CTRANSLATE2 = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*", "README.md")


@dataclass(frozen=True, slots=True)
class Weights:
    """One model's weights: the files of the hub's `repo` that match `patterns` (fnmatch, of the whole path)."""

    name: str
    model: str  # the model of model_repository/ that loads them
    repo: str
    patterns: tuple[str, ...]
    size: int
    license: str
    conditions: str | None = None  # what the licence forbids: to be accepted before the download
    revision: str = "main"


CATALOGUE = {
    each.name: each
    for each in (
        Weights("turn", "turn", "pipecat-ai/smart-turn-v3", ("smart-turn-v3.0.onnx", "README.md"), 9 * _MB, "BSD-2"),
        Weights(
            "faster-whisper-large-v3-turbo",
            "asr",
            "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
            _CTRANSLATE2,
            1_620 * _MB,
            "MIT",
        ),
        Weights("faster-whisper-base.en", "asr", "Systran/faster-whisper-base.en", _CTRANSLATE2, 148 * _MB, "MIT"),
        Weights("qwen2.5-7b-instruct", "llm", "Qwen/Qwen2.5-7B-Instruct", _TRANSFORMERS, 15 * _GB, "Apache-2.0"),
        Weights("qwen2.5-0.5b-instruct", "llm", "Qwen/Qwen2.5-0.5B-Instruct", _TRANSFORMERS, 1 * _GB, "Apache-2.0"),
        Weights(
            "kokoro",
            "tts",
            "onnx-community/Kokoro-82M-v1.0-ONNX",
            ("onnx/model.onnx", "tokenizer.json", "voices/*.bin", "README.md"),
            355 * _MB,
            "Apache-2.0",
        ),
        Weights(
            "xtts",
            "tts",
            "coqui/XTTS-v2",
            ("config.json", "model.pth", "vocab.json", "speakers_xtts.pth", "LICENSE*", "README.md"),
            1_880 * _MB,
            "CPML",
            "The Coqui Public Model License (https://coqui.ai/cpml) forbids commercial use of these weights and of the "
            "speech made with them. Kokoro-82M (kokoro) is the alternative without this restriction.",
        ),
    )
}

# What each configuration of the model repository needs; "gpu" is config.pbtxt itself.
PROFILES = {
    "gpu": ("faster-whisper-large-v3-turbo", "qwen2.5-7b-instruct", "kokoro", "turn"),
    "cpu": ("faster-whisper-base.en", "qwen2.5-0.5b-instruct", "kokoro", "turn"),
    "embedded": ("turn",),
}
DEFAULT_PROFILE = "gpu"


def chosen(names: list[str], profile: str | None) -> list[Weights]:
    """The weights of these names and of that profile, or of the default profile without either."""
    for name in names:
        if name not in CATALOGUE:
            raise ConfigurationError(f"There is no model {name!r}. These can be pulled: {', '.join(CATALOGUE)}.")
    if profile is None and not names:
        profile = DEFAULT_PROFILE
    if profile is not None and profile not in PROFILES:
        raise ConfigurationError(f"There is no profile {profile!r}. These have weights: {', '.join(PROFILES)}.")
    wanted = {*names, *(PROFILES[profile] if profile is not None else ())}
    return [weights for name, weights in CATALOGUE.items() if name in wanted]
