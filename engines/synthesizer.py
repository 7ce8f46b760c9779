"""What a speech synthesis engine offers to the `tts` model, and the engines there are."""

from collections.abc import Generator, Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from engines.errors import InvalidInputError, ModelSetupError

Samples = NDArray[np.int16]
Sound = Generator[Samples, None, None]

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

    def synthesize(self, text: str, *, voice: str | None, language: str | None, speed: float) -> Sound:
        """Return the sound of `text` as INT16 mono chunks of at most 200 ms, the first as early as the engine can.

        An empty chunk says that the engine is still at work: an opportunity to see whether the caller has gone.
        Closing the generator stops the engine. InvalidInputError, before any work, for input it cannot serve.
        """
        ...

    def close(self) -> None:
        """Release what the engine holds; running syntheses end."""
        ...


def load(parameters: Mapping[str, str]) -> Synthesizer:
    """Return the engine that the model parameter `engine` names, made by its `from_parameters`.

    ModelSetupError says what to do where the engine is unknown, needs something that is not installed, or refuses.
    """
    name = parameters.get("engine", "")
    if name not in ENGINES:
        raise ModelSetupError(f"tts has no engine {name!r}: set its parameter 'engine' to one of {', '.join(ENGINES)}")
    module_name, class_name = ENGINES[name]
    try:
        engine = getattr(import_module(module_name), class_name).from_parameters(parameters)
    except ImportError as error:
        raise ModelSetupError(
            f"the tts engine '{name}' needs what is not installed here ({error}): install it as docs/models.md says, "
            "or start Triton with --model-config-name=embedded, which needs no download"
        ) from error
    except RuntimeError as error:
        raise ModelSetupError(str(error)) from error
    return cast(Synthesizer, engine)


def choose(kind: str, wanted: str | None, available: Sequence[str]) -> str:
    """Return `wanted`, or the first of `available` without a wish; InvalidInputError names what exists."""
    if not wanted:
        return available[0]
    if wanted not in available:
        raise InvalidInputError(f"unknown {kind} {wanted!r}; available: {', '.join(available)}")
    return wanted


def choose_language(wanted: str | None, available: Sequence[str]) -> str:
    """Like `choose` for a language tag, of which the primary subtag counts: en-US is served by en."""
    primary = wanted.replace("_", "-").split("-")[0].lower() if wanted else None
    return choose("language", primary, available)


def checked_text(text: str, speed: float) -> None:
    """InvalidInputError for a text or speed that no engine takes."""
    if not text.strip():
        raise InvalidInputError("text is empty")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise InvalidInputError(f"text has {len(text)} characters; one request takes at most {MAX_TEXT_CHARACTERS}")
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise InvalidInputError(f"speed is {speed:g}; it must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}")
