"""What a speech recognition engine offers to the `asr` model, and the engines there are.

An engine sees utterances of many sessions at once. The model gives it the pieces that arrived together; the
engine decides what it computes side by side (pocketsphinx: a decoder each, in threads) or in one call
(Whisper: one batch of features).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar, cast

from engines.errors import ModelSetupError

U = TypeVar("U")

# Imported only when chosen, so that an engine's dependencies are needed by its users alone.
ENGINES = {
    "pocketsphinx": ("engines.pocketsphinx", "Pocketsphinx"),
    "faster-whisper": ("engines.faster_whisper", "FasterWhisper"),
    "deepgram": ("engines.deepgram", "Deepgram"),
}


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word; times in seconds from the utterance's first sample."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An utterance as understood so far. Its first `stable_chars` characters never change; they never get fewer.

    `is_final`: the best that the engine can say about the sound so far, with `words`.
    """

    text: str
    stable_chars: int
    is_final: bool
    words: tuple[Word, ...] = ()


NOTHING = Hypothesis("", 0, is_final=False)


class Ask(Enum):
    """What is wanted for a piece of sound."""

    PARTIAL = "partial"  # whatever is known already, quickly
    FLUSH = "flush"  # the best hypothesis for all sound so far; the utterance may go on
    FINAL = "final"  # the same, and the utterance is over


@dataclass(frozen=True, slots=True)
class Piece(Generic[U]):
    """A piece of one utterance. The engine calls `answer` exactly once, from any thread.

    It takes the hypothesis, or the error, and the seconds that the engine computed for this piece.
    """

    utterance: U
    pcm16_16k: bytes
    ask: Ask
    answer: Callable[[Hypothesis | BaseException, float], None]


class Transcriber(Protocol[U]):
    """A speech recognition engine with its model loaded. Its methods are called from one thread."""

    def open(self, *, language: str | None, hotwords: str | None) -> U:
        """The engine's own state of a new utterance. InvalidInputError for a language that it does not know."""
        ...

    def transcribe(self, pieces: Sequence[Piece[U]]) -> None:
        """Take pieces that arrived together and return at once; those of one utterance are in order.

        They are answered in that order too, now or later.
        """
        ...

    def forget(self, utterance: U) -> None:
        """Free an utterance that nobody waits for any more; its unanswered pieces still get an answer."""
        ...

    def close(self) -> None:
        """End what runs, within seconds, and release everything."""
        ...


def load(parameters: Mapping[str, str]) -> Transcriber[Any]:
    """The engine that the model parameter `engine` names, made by its `from_parameters`.

    ModelSetupError says what to do where the engine is unknown, needs something that is not installed, or refuses.
    """
    name = parameters.get("engine", "")
    if name not in ENGINES:
        raise ModelSetupError(f"asr has no engine {name!r}: set its parameter 'engine' to one of {', '.join(ENGINES)}")
    module_name, class_name = ENGINES[name]
    try:
        engine = getattr(import_module(module_name), class_name).from_parameters(parameters)
    except ImportError as error:
        raise ModelSetupError(
            f"the asr engine '{name}' needs what is not installed here ({error}): install it as docs/models.md says, "
            "or start Triton with --model-config-name=embedded, which needs no download"
        ) from error
    return cast(Transcriber[Any], engine)
