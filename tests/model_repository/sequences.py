"""Requests to the asr model, as any client of Triton sends them; and repositories that have it alone."""

import asyncio
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.triton import tensors
from orchestrator.triton.client import TritonClient
from tests.servers.triton import MODEL_REPOSITORY

_numbers = itertools.count(1 << 40)


def new_sequence() -> int:
    """A sequence's number that nobody else has."""
    return next(_numbers)


def silence(samples: int = 2_560) -> np.ndarray:
    """A request's `audio` [1, samples] in which nothing is said."""
    return np.zeros((1, samples), np.int16)


def spoken(pcm16_16k: bytes) -> np.ndarray:
    """A request's `audio` with this sound."""
    return np.frombuffer(pcm16_16k, np.int16)[np.newaxis]


async def ask(
    client: TritonClient, sequence: int, audio: np.ndarray, *, start: bool = False, end: bool = False, **inputs: Any
) -> dict[str, Any]:
    """One request of a sequence, and its only response."""
    control = {"sequence_id": sequence, "sequence_start": start, "sequence_end": end}
    stream = client.open("asr")
    stream.write(tensors.request("asr", {"audio": audio} | inputs, parameters=control))
    stream.end()
    async with asyncio.timeout(30):
        response = await stream.read(20)
        assert response is not None
        assert tensors.is_final(response)
        assert await stream.read(20) is None
    return {name: value.ravel().tolist()[0] for name, value in tensors.outputs(response).items()}


def asr_alone(folder: Path, **replaced: str) -> Path:
    """A repository with the embedded asr model alone, its configuration changed."""
    shutil.copytree(MODEL_REPOSITORY / "asr", folder / "asr")
    config = folder / "asr" / "configs" / "embedded.pbtxt"
    text = config.read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
    return folder
