"""Utterances sent to `asr` as any Triton client sends them: one sequence over one gRPC stream."""

import asyncio
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype

RECORDINGS = Path(__file__).parents[1] / "audio"
RATE = 16_000
Samples = NDArray[np.int16]
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Heard:
    """One response."""

    text: str
    stable_chars: int
    is_final: bool
    words: list[dict[str, Any]]


class Utterance:
    """One sequence; `say` answers with the response to that piece of sound, or raises Triton's error."""

    def __init__(self, url: str, **options: str) -> None:
        self._number = next(_numbers)
        self._options = options
        self._begun = False
        self._requests: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._client = triton.InferenceServerClient(url)
        self._stream = self._client.stream_infer(self._sent())

    async def say(self, samples: Samples, *, flush: bool = False, end: bool = False, start: bool = True) -> Heard:
        """Send sound, INT16 at 16 kHz."""
        self.send(samples, flush=flush, end=end, start=start)
        return await self.answer()

    def send(self, samples: Samples, *, flush: bool = False, end: bool = False, start: bool = True) -> None:
        """The same, without waiting for the answer."""
        inputs = {"audio": samples[np.newaxis]}
        if flush:
            inputs["flush"] = np.array([[True]])
        if not self._begun:
            inputs |= {name: np.array([[text.encode()]], np.object_) for name, text in self._options.items()}
        tensors = []
        for name, array in inputs.items():
            tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
        self._requests.put_nowait(
            {
                "model_name": "asr",
                "inputs": tensors,
                "sequence_id": self._number,
                "sequence_start": start and not self._begun,
                "sequence_end": end,
            }
        )
        self._begun = True

    async def answer(self) -> Heard:
        """The next response."""
        async with asyncio.timeout(60):
            result, error = await anext(self._stream)
        if error is not None:
            raise error
        values = {
            name: result.as_numpy(name).ravel()[0] for name in ("transcript", "stable_chars", "is_final", "words")
        }
        words = json.loads(values["words"])
        return Heard(values["transcript"].decode(), int(values["stable_chars"]), bool(values["is_final"]), words)

    async def close(self) -> None:
        """End the stream."""
        self._requests.put_nowait(None)
        await self._client.close()

    async def _sent(self) -> AsyncIterator[dict[str, Any]]:
        while (request := await self._requests.get()) is not None:
            yield request


@asynccontextmanager
async def utterance(url: str, **options: str) -> AsyncIterator[Utterance]:
    """A new utterance; `options` are `language` and `hotwords`."""
    opened = Utterance(url, **options)
    try:
        yield opened
    finally:
        await opened.close()


def recording(*names: str, seconds: float | None = None) -> Samples:
    """Recorded sentences one after another, repeated up to a length."""
    parts = []
    for name in names:
        with wave.open(str(RECORDINGS / f"{name}.wav")) as file:
            parts.append(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
    sound = np.concatenate(parts)
    return sound if seconds is None else np.resize(sound, int(seconds * RATE))


def pieces(sound: Samples, seconds: float = 0.16) -> list[Samples]:
    """The sound in pieces, as it comes from a microphone."""
    size = int(seconds * RATE)
    return [sound[start : start + size] for start in range(0, len(sound), size)]
