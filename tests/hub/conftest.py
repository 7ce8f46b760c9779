from collections.abc import Iterator

import pytest

from tests.servers.hub import HubServer, Repository

TURN = "pipecat-ai/smart-turn-v3"
KOKORO = "onnx-community/Kokoro-82M-v1.0-ONNX"
XTTS = "coqui/XTTS-v2"


def content(size: int, seed: int = 1) -> bytes:
    """Bytes in which no two pieces are alike."""
    return b"".join((seed * 1_000_003 + index).to_bytes(4, "big") for index in range(size // 4 + 1))[:size]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A hub with three of the catalogue's repositories, their files in miniature."""
    repositories = {
        TURN: Repository({"smart-turn-v3.0.onnx": content(300_000), "README.md": b"Smart Turn", "other.bin": b"-"}),
        KOKORO: Repository(
            {
                "onnx/model.onnx": content(500_000, 2),
                "onnx/model_fp16.onnx": content(5000),
                "tokenizer.json": b"{}",
                "voices/af_heart.bin": content(2000, 3),
                "voices/bm_george.bin": content(2000, 4),
                "README.md": b"Kokoro",
            }
        ),
        XTTS: Repository(
            {name: content(4000, 5) for name in ("config.json", "model.pth", "vocab.json", "LICENSE.txt")}
        ),
    }
    with HubServer(repositories).running() as server:
        yield server
