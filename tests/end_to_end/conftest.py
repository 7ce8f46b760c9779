"""One stack for all end-to-end tests that leave it as they found it."""

import gc
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.stack import Stack
from tests.servers.triton import RunningTriton, run_triton

AUDIO = Path(__file__).parents[1] / "audio"
STAND_INS = Path(__file__).parents[2] / "benchmarks" / "model_repository"
ARTIFACTS = Path(__file__).parents[2] / "artifacts"


@dataclass(frozen=True)
class Sentence:
    path: Path
    voice: str
    text: str


@pytest.fixture(scope="session", autouse=True)
def callers_do_not_stutter() -> None:
    """What hundreds of tests have left in this process is not looked through while it plays a caller.

    A full collection stops the caller's sound for a fifth of a second, which the agent hears as a pause.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def sentences() -> list[Sentence]:
    entries = json.loads((AUDIO / "sentences.json").read_text())
    return [Sentence(AUDIO / entry["file"], entry["voice"], entry["text"]) for entry in entries]


@pytest.fixture(scope="session")
def stand_ins() -> Iterator[RunningTriton]:
    """A Triton with the benchmarks' models, which always answer the same in the same time."""
    with run_triton(STAND_INS) as running:
        yield running


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    ARTIFACTS.mkdir(exist_ok=True)
    running = Stack(ARTIFACTS / "goassist-up.log")
    yield running
    assert running.stop() == 0
