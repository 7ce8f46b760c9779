"""When the turn is taken in recordings: `make endpointing`, or `python -m benchmarks.dialogue.recordings [FOLDER …]`.

Each sound file is one turn: whoever speaks in it is not done before its end. Without a folder the sentences of the
dialogue tests are taken. Everything is heard by the models of the embedded profile, in the recordings' own time.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from goassist_client.errors import SoundError
from goassist_client.sound import read_sound

from benchmarks.dialogue.rehearsal import Models, rehearse
from benchmarks.dialogue.report import Row, share, table, times
from benchmarks.dialogue.script import Say, Script, turn_taking
from benchmarks.dialogue.sounds import Samples, Sound, Studio, to_int16
from benchmarks.speech import ROOM_NOISE
from orchestrator.core.endpointing import Endpointer
from orchestrator.core.endpointing_rules import SAMPLE_RATE
from orchestrator.core.experience import Experience

FRAME = SAMPLE_RATE // 100
SHORTEST_PAUSE_S, SHORT_S = 0.2, 0.7
SHORTEST_PART_S = 0.06
PARTS_OF_A_WORD_S = 0.15  # a stop consonant's silence
FLOOR_DB = 30.0  # under the loud frames: as soft as speech gets
QUIET_BEFORE_S, QUIET_AFTER_S = 0.5, 4.0


@dataclass(frozen=True, slots=True)
class Recording:
    """A turn between quiet, and its spoken parts as [begin, end) in samples."""

    name: str
    sound: Samples
    parts: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Judged:
    """A pause of a recording, or the quiet after it (`length_s` None), and when the turn was taken there, if it was."""

    name: str
    at_s: float
    length_s: float | None
    taken_after_s: float | None
    text: str


def sound_files(folders: Iterable[Path]) -> list[Path]:
    """All files in the folders that may hold sound, sorted."""
    kinds = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a"}
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in kinds)


def prepared(name: str, sound: Samples) -> Recording:
    """The recording with its own room's noise around it, and its parts."""
    lead = room(sound, QUIET_BEFORE_S)
    parts = [(begin + lead.size, end + lead.size) for begin, end in spoken_parts(sound)]
    return Recording(name, np.concatenate((lead, sound, room(sound, QUIET_AFTER_S))), parts)


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


def judge(recording: Recording, taken_at: Sequence[tuple[int, str]]) -> Iterator[Judged]:
    """What became of its pauses and its end; `taken_at`: when turns were taken, in samples, and their words."""
    begins = [begin for begin, _ in recording.parts[1:]]
    for (_, end), begin in zip(recording.parts, [*begins, None], strict=True):
        length_s = None if begin is None else (begin - end) / SAMPLE_RATE
        if length_s is None or length_s >= SHORTEST_PAUSE_S:
            until = recording.sound.size if begin is None else begin
            taken = next(((at, text) for at, text in taken_at if end <= at < until), None)
            after_s = None if taken is None else (taken[0] - end) / SAMPLE_RATE
            yield Judged(recording.name, end / SAMPLE_RATE, length_s, after_s, taken[1] if taken else "")


def figures(judged: Sequence[Judged]) -> list[Row]:
    """The table's rows."""
    ends = [each for each in judged if each.length_s is None]
    delays_ms = [1000 * each.taken_after_s for each in ends if each.taken_after_s is not None]
    short: list[bool] = []
    long: list[bool] = []
    for each in judged:
        if each.length_s is not None:
            (short if each.length_s <= SHORT_S else long).append(each.taken_after_s is not None)
    return [
        share("pauses taken, up to 700 ms", short),
        share("pauses taken, longer", long),
        times("silence before the turn is taken", delays_ms),
        Row("ends that were not taken", str(len(ends) - len(delays_ms)), "", len(ends), None),
    ]


def scripted() -> Iterator[Recording]:
    """The sentences of the dialogue tests, by their voices, pauses and noises included."""
    studio = Studio()
    try:
        for script in turn_taking():
            for number, say in enumerate(script.steps):
                assert isinstance(say, Say)
                sound = spoken(script, say, studio)
                yield Recording(f"{script.name}-{number}", sound, spoken_parts(sound))
    finally:
        studio.close()


def spoken(script: Script, say: Say, studio: Studio) -> Samples:
    """What the microphone hears of one turn, and before and after it."""
    texts = [part for part in say.parts if isinstance(part, str)]
    sounds = iter(studio.sentence(script.voice, texts) if len(texts) > 1 else [studio.said(script.voice, texts[0])])
    pauses = [np.zeros(part * SAMPLE_RATE // 1000) if isinstance(part, int) else None for part in say.parts]
    before, after = (np.zeros(round(length_s * SAMPLE_RATE)) for length_s in (QUIET_BEFORE_S, QUIET_AFTER_S))
    voice = np.concatenate([before, *(next(sounds) if pause is None else pause for pause in pauses), after])
    noise = np.random.default_rng(0).normal(size=voice.size) * ROOM_NOISE
    if script.noise is not None:
        noise += np.resize(studio.noise(script.noise, script.noise_db), voice.size)
    return to_int16(voice + noise)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dialogue.recordings", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="sound files of one turn each")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell of every pause and end")
    options = parser.parse_args()
    if options.folders:
        paths = sound_files(options.folders)
        if not paths:
            sys.exit(f"no sound files in {', '.join(map(str, options.folders))}")
        try:
            recordings = [prepared(path.stem, read_sound(path)) for path in paths]
        except SoundError as error:
            sys.exit(str(error))
    else:
        recordings = list(scripted())
    models, experience = Models(), Experience()
    judged: list[Judged] = []
    try:
        for number, recording in enumerate(recordings, 1):
            endpointer = Endpointer(experience=experience)
            taken = [(turn.at, turn.text) for turn in rehearse(models.listen(recording.sound), endpointer)]
            found = list(judge(recording, taken))
            judged += found
            print(f"[{number}/{len(recordings)}] {recording.name}", flush=True)
            if options.verbose:
                print("\n".join(f"    {line(each)}" for each in found), flush=True)
    except KeyboardInterrupt:
        print(f"broken off after {len({each.name for each in judged})} of {len(recordings)} recordings")
    finally:
        models.close()
    print("\n" + table(figures(judged)))


def line(judged: Judged) -> str:
    """What became of a pause or an end, for a person."""
    what = "end" if judged.length_s is None else f"pause of {1000 * judged.length_s:.0f} ms"
    taken = "not taken" if judged.taken_after_s is None else f"taken after {1000 * judged.taken_after_s:.0f} ms"
    return f"{judged.at_s:6.2f} s, {what}: {taken}" + (f" ({judged.text[-60:]})" if judged.text else "")


if __name__ == "__main__":
    main()
