"""Speech from Triton's `tts` model."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.triton.client import TritonClient

FIRST_CHUNK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of speech: INT16 mono samples, little endian, at `sample_rate` Hz."""

    pcm16: bytes
    sample_rate: int


class TritonTts:
    """Synthesizes text. `first_chunk_timeout_s` is how long the model may take before it is given up."""

    def __init__(
        self, client: TritonClient, *, model: str = "tts", first_chunk_timeout_s: float = FIRST_CHUNK_TIMEOUT_S
    ) -> None:
        self._client = client
        self._model = model
        self._timeout_s = first_chunk_timeout_s

    async def synthesize(
        self, text: str, *, voice: str | None = None, language: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[AudioChunk, None]:
        """Yield the speech of `text` in chunks of at most 200 ms; closing the generator cancels it in Triton.

        `voice` and `language` None are the model's defaults. A text without anything to say yields nothing.
        Raises BackendRejectedError for an unknown voice or language, BackendUnavailableError when Triton is lost.
        """
        inputs: dict[str, NDArray[np.generic]] = {
            "text": np.array([text.encode()], dtype=np.object_),
            "speed": np.array([speed], dtype=np.float32),
        }
        if voice is not None:
            inputs["voice"] = np.array([voice.encode()], dtype=np.object_)
        if language is not None:
            inputs["language"] = np.array([language.encode()], dtype=np.object_)
        async with aclosing(self._client.stream(self._model, inputs, timeout_s=self._timeout_s)) as responses:
            async for response in responses:
                samples = response["audio"]
                if samples.size:
                    yield AudioChunk(samples.astype("<i2", copy=False).tobytes(), int(response["sample_rate"][0]))
