"""What a speech synthesis engine offers to the `tts` model, and the engines there are."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

# Imported only when chosen, so that an engine's dependencies are needed by its users alone.
ENGINES = {
    "flite": ("engines.flite", "Flite"),
    "xtts": ("engines.xtts", "Xtts"),
    "kokoro": ("engines.kokoro", "Kokoro"),
}
SPEEDS = (0.25, 4.0)
MAX_TEXT_CHARACTERS = 10_000
MAX_CHUNK_S = 0.2


class Synthesizer(Protocol):
    """A text-to-speech engine with its voices loaded. Every method may be called from several threads at once."""

    sample_rate: int
    """Hz of every chunk."""
    voices: Sequence[str]
    """Names that `synthesize` takes; the first is the default."""
    languages: Sequence[str]
    """Primary language subtags (BCP 47) that `synthesize` takes; the first is the default."""

    def synthesize(self, text: str, *, voice: str | None, language: str | None, speed: float) -> Iterator[Samples]:
        """Return the sound of `text` as INT16 mono chunks of at most 200 ms, the first as early as the engine can.

        Closing the iterator stops the engine. Raises ValueError, before any work, for input it cannot serve.
        """
        ...

    def close(self) -> None:
        """Release what the engine holds; running syntheses end."""
        ...


def load(parameters: Mapping[str, str]) -> Synthesizer:
    """Return the engine that the model parameter `engine` names, made from the other parameters.

    Raises RuntimeError with what to do when the engine is unknown or cannot be loaded.
    """
    name = parameters.get("engine", "")
    if name not in ENGINES:
        raise RuntimeError(f"tts: unknown engine {name!r}; parameters.engine can be: {', '.join(ENGINES)}")
    module_name, class_name = ENGINES[name]
    try:
        engine = getattr(import_module(module_name), class_name)
    except ImportError as error:
        raise RuntimeError(
            f"tts: engine {name!r} cannot be loaded: {error}. Install what it needs (docs/models.md), or start Triton "
            "with --model-config-name=embedded, which needs no download."
        ) from error
    return cast(Synthesizer, engine.from_parameters(cast(Mapping[str, Any], parameters)))


def choose(kind: str, wanted: str | None, available: Sequence[str]) -> str:
    """Return `wanted`, or the first of `available` without a wish; ValueError names what exists."""
    if not wanted:
        return available[0]
    if wanted not in available:
        raise ValueError(f"unknown {kind} {wanted!r}; available: {', '.join(available)}")
    return wanted


def choose_language(wanted: str | None, available: Sequence[str]) -> str:
    """Like `choose` for a language tag, of which the primary subtag counts: en-US is served by en."""
    primary = wanted.replace("_", "-").split("-")[0].lower() if wanted else None
    return choose("language", primary, available)


def checked_text(text: str, speed: float) -> None:
    """Raise ValueError for a text or speed that no engine takes."""
    if not text.strip():
        raise ValueError("text is empty")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"text has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} are taken in one request")
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise ValueError(f"speed is {speed:g}; it must be from {SPEEDS[0]} to {SPEEDS[1]:g}")
