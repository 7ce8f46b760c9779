"""The recordings of tests/audio, for tests that speak to an engine directly."""

import json
import wave
from pathlib import Path

AUDIO = Path(__file__).parents[1] / "audio"
SENTENCES: list[dict[str, str]] = json.loads((AUDIO / "sentences.json").read_text())
PAUSE = bytes(2 * 16_000 * 300 // 1000)


def recording(file: str) -> bytes:
    """Its sound, INT16 mono at 16 kHz."""
    with wave.open(str(AUDIO / file)) as sound:
        return sound.readframes(sound.getnframes())
