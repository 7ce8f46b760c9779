"""Rehearsals: the real models on recordings of tests/audio, in the recordings' own time."""

import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from goassist_client.sound import read_sound

from benchmarks.dialogue.endpointing import Judged, figures, judge, prepared
from benchmarks.dialogue.recordings import Recording, RecordingError, call, read, recorded, spoken_parts
from benchmarks.dialogue.rehearsal import Models, Opinion, Window, Words, rehearse
from benchmarks.dialogue.script import Play
from orchestrator.core.endpointing import Endpointer
from orchestrator.core.endpointing_rules import SAMPLE_RATE

AUDIO = Path(__file__).parents[1] / "audio"
TONE = (8_000 * np.sin(np.arange(SAMPLE_RATE) / 5)).astype(np.int16)


def quiet(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.zeros(round(seconds * SAMPLE_RATE), np.int16)


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    models = Models()
    yield models
    models.close()


def test_spoken_parts_are_found_by_their_level() -> None:
    sound = np.concatenate((quiet(0.3), TONE, quiet(0.5), TONE[: SAMPLE_RATE // 2], quiet(0.1), TONE, quiet(0.2)))
    parts = [(round(begin / SAMPLE_RATE, 2), round(end / SAMPLE_RATE, 2)) for begin, end in spoken_parts(sound)]
    assert parts == [(0.3, 1.3), (1.8, 3.4)], "a tenth of a second is within a word"


def test_a_pause_was_taken_where_a_turn_ended_in_it() -> None:
    second = SAMPLE_RATE
    recording = Recording("three", quiet(8), [(0, second), (2 * second, 3 * second), (4 * second, 5 * second)])
    first, other, end = judge(recording, [(3 * second // 2, "yes"), (11 * second // 2, "no")])
    assert (first.length_s, first.taken_after_s, first.text) == (1.0, 0.5, "yes")
    assert (other.length_s, other.taken_after_s) == (1.0, None)
    assert (end.length_s, end.taken_after_s, end.text) == (None, 0.5, "no")


def test_the_table_counts_pauses_apart_from_ends_and_tells_of_ends_that_were_not_taken() -> None:
    judged = [Judged("a", 1, 0.3, None, ""), Judged("a", 2, 0.7, 0.3, ""), Judged("a", 3, 1.2, None, "")]
    rows = figures([*judged, Judged("a", 4, None, 0.25, ""), Judged("b", 4, None, None, "")])
    assert [row.value for row in rows] == ["50% (1 of 2)", "0% (0 of 1)", "p50 250 ms, p95 250 ms", "1"]


def test_a_spoken_question_is_taken_once_after_its_end_with_its_words(models: Models) -> None:
    recording = prepared(recorded("question", read_sound(AUDIO / "what_time_is_it.wav")))
    taken = list(rehearse(models.listen(recording.sound), Endpointer()))
    assert [turn.text for turn in taken] == ["what time is it"]
    (end,) = [each for each in judge(recording, [(turn.at, turn.text) for turn in taken]) if each.length_s is None]
    assert end.taken_after_s is not None
    assert 0.1 < end.taken_after_s < 2


class Scripted:
    """Ears whose recogniser and end-of-turn model answer as told; a voice from 0.3 s to 1.3 s."""

    def __init__(self, *, words_s: float, opinion_s: float) -> None:
        self.windows = [
            Window(0.95, -25.0, end) if 0.3 < end / SAMPLE_RATE <= 1.3 else Window(0.01, -80.0, end)
            for end in range(512, 4 * SAMPLE_RATE, 512)
        ]
        self._words_s, self._opinion_s = words_s, opinion_s
        self.handed_over: list[int] = []

    def hand_over(self, begin: int, end: int) -> None:
        self.handed_over.append(end)

    def words(self, begin: int, end: int) -> Words:
        return Words("what time is it", 0.9, self._words_s)

    def opinion(self, begin: int, end: int) -> Opinion:
        return Opinion(0.99, self._opinion_s)


@pytest.mark.parametrize(
    ("words_s", "opinion_s", "at_least_s"), [(0.05, 0.05, 0.2), (0.3, 0.05, 0.4), (0.05, 0.2, 0.28)]
)
def test_answers_arrive_as_late_as_the_models_took(words_s: float, opinion_s: float, at_least_s: float) -> None:
    ears = Scripted(words_s=words_s, opinion_s=opinion_s)
    (taken,) = rehearse(ears, Endpointer())
    assert [0 < end - taken.last_speech < 0.1 * SAMPLE_RATE for end in ears.handed_over] == [True], (
        "at the first silence"
    )
    silence_s = (taken.at - taken.last_speech) / SAMPLE_RATE
    assert at_least_s <= silence_s <= at_least_s + 0.1


def test_a_call_plays_a_recording_from_first_to_last_word_with_its_pauses_in_whole_packets() -> None:
    breath = np.full(round(0.503 * SAMPLE_RATE), 9, np.int16)
    sound = np.concatenate((quiet(0.3), TONE, breath, TONE, quiet(0.17), TONE, quiet(0.5)))
    (step,) = call(recorded("two", sound)).steps
    assert isinstance(step, Play)
    assert [(begin / SAMPLE_RATE, end / SAMPLE_RATE) for begin, end in step.pauses] == [(1.0, 1.5)], "not within a word"
    assert 3.66 <= step.sound.size / SAMPLE_RATE <= 3.7


def test_where_nobody_speaks_the_file_is_named(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(quiet(1.0).tobytes())
    with pytest.raises(RecordingError, match="empty"):
        read([tmp_path])


def test_a_folder_without_sound_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.dialogue.endpointing", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=AUDIO.parents[1], check=False)
    assert result.returncode == 1
    assert str(tmp_path) in result.stderr
