import json
import wave
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent
SENTENCES = json.loads((FOLDER / "sentences.json").read_text())
EXTRAS = json.loads((FOLDER / "extras.json").read_text())
QUIET = 20


@pytest.mark.parametrize("row", SENTENCES + EXTRAS, ids=lambda row: row["file"])
def test_a_recording_is_16_khz_mono_with_silence_around_its_sound(row: dict[str, str]) -> None:
    with wave.open(str(FOLDER / row["file"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int32)
    assert np.abs(samples[: int(0.29 * 16_000)]).max() < QUIET
    assert np.abs(samples[-int(0.09 * 16_000) :]).max() < QUIET
    assert np.abs(samples).max() > 5_000
    assert len(samples) < 4 * 16_000


def test_the_sentences_are_at_least_twenty_by_four_voices() -> None:
    assert len({row["text"] for row in SENTENCES}) >= 20
    assert {row["voice"] for row in SENTENCES} == {"slt", "rms", "awb", "kal16"}


def test_every_recording_of_the_folder_is_listed_once() -> None:
    listed = [row["file"] for row in SENTENCES + EXTRAS]
    assert sorted(listed) == sorted(path.name for path in FOLDER.glob("*.wav"))


def test_the_paused_sentence_is_silent_for_600_ms_in_its_middle() -> None:
    with wave.open(str(FOLDER / "pause_600ms.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int32)
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    assert np.diff(loud).max() / 16_000 == pytest.approx(0.6, abs=0.05)
