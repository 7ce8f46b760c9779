"""Recordings of people: each sound file is one turn, with the pauses that its speaker makes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from goassist_client.errors import SoundError
from goassist_client.sound import read_sound

from benchmarks.dialogue.script import Play, Script
from benchmarks.dialogue.sounds import Samples, Sound, to_int16
from orchestrator.core.endpointing_rules import SAMPLE_RATE

FRAME = SAMPLE_RATE // 100
PACKET = SAMPLE_RATE // 50
SHORTEST_PAUSE_S = 0.2
SHORTEST_PART_S = 0.06
PARTS_OF_A_WORD_S = 0.15  # a stop consonant's silence
FLOOR_DB = 30.0  # under the loud frames: as soft as speech gets


class RecordingError(Exception):
    """There are no recordings, or one of them cannot be used; the text says which."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A turn (INT16 mono at 16 kHz), and its spoken parts as [begin, end) in samples."""

    name: str
    sound: Samples
    parts: Sequence[tuple[int, int]]


def read(folders: Iterable[Path]) -> list[Recording]:
    """All recordings in the folders. RecordingError where there is none, or in one of them no sound or no speech."""
    folders = list(folders)
    paths = sound_files(folders)
    if not paths:
        raise RecordingError(f"no sound files in {', '.join(map(str, folders))}")
    try:
        sounds = [read_sound(path) for path in paths]
    except SoundError as error:
        raise RecordingError(str(error)) from error
    recordings = [recorded(path.stem, sound) for path, sound in zip(paths, sounds, strict=True)]
    for path, recording in zip(paths, recordings, strict=True):
        if not recording.parts:
            raise RecordingError(f"nobody speaks in {path}")
    return recordings


def recorded(name: str, sound: Samples) -> Recording:
    """The recording with its parts."""
    return Recording(name, sound, spoken_parts(sound))


def call(recording: Recording) -> Script:
    """A call in which the recording is played from its first to its last spoken part, in whole packets."""

    def packet(sample: int) -> int:
        return round((sample - begin) / PACKET) * PACKET

    begin, end = recording.parts[0][0], recording.parts[-1][1]
    pauses = tuple(
        (packet(before), packet(after))
        for (_, before), (after, _) in pairwise(recording.parts)
        if after - before >= SHORTEST_PAUSE_S * SAMPLE_RATE
    )
    return Script(recording.name, (Play(recording.sound[begin:end], pauses),))


def sound_files(folders: Iterable[Path]) -> list[Path]:
    """All files in the folders that may hold sound, sorted."""
    kinds = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a"}
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in kinds)


def room(sound: Samples, length_s: float) -> Samples:
    """Noise as loud as the recording's quietest tenth of a second."""
    power = np.convolve(powers(sound), np.ones(10) / 10, "valid")
    noise = np.random.default_rng(0).normal(size=round(length_s * SAMPLE_RATE)) * np.sqrt(power.min())
    return to_int16(noise)


def powers(sound: Samples) -> Sound:
    """The mean square of each whole frame."""
    frames = sound[: sound.size // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    return np.asarray((frames**2).mean(axis=1))


def spoken_parts(sound: Samples) -> list[tuple[int, int]]:
    """Where there is speech, by its level: a third of the way from the noise up to the loudest frames, or more."""
    level_db = 10 * np.log10(powers(sound) + 1)
    noise_db, loud_db = np.percentile(level_db, [5, 95])
    loud = np.flatnonzero(level_db > max(loud_db - FLOOR_DB, noise_db + (loud_db - noise_db) / 3))
    parts: list[tuple[int, int]] = []
    for frame in loud.tolist():
        begin, end = frame * FRAME, (frame + 1) * FRAME
        if parts and begin - parts[-1][1] < PARTS_OF_A_WORD_S * SAMPLE_RATE:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((begin, end))
    return [(begin, end) for begin, end in parts if end - begin >= SHORTEST_PART_S * SAMPLE_RATE]
