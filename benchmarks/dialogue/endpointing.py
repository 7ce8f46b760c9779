"""When the turn is taken in recordings: `make endpointing`, or `python -m benchmarks.dialogue.endpointing [FOLDER …]`.

Each sound file is one turn: whoever speaks in it is not done before its end. Without a folder the sentences of the
dialogue tests are taken. Everything is heard by the models of the embedded profile, in the recordings' own time; no
call is made (`make dialogue DIALOGUE_ARGS="--recordings FOLDER"` makes them).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.dialogue.recordings import SHORTEST_PAUSE_S, Recording, RecordingError, read, recorded, room
from benchmarks.dialogue.rehearsal import Models, rehearse
from benchmarks.dialogue.report import Row, share, table, times
from benchmarks.dialogue.script import Say, Script, turn_taking
from benchmarks.dialogue.sounds import Samples, Studio, to_int16
from benchmarks.speech import ROOM_NOISE
from orchestrator.core.endpointing import Endpointer
from orchestrator.core.endpointing_rules import SAMPLE_RATE
from orchestrator.core.experience import Experience

SHORT_S = 0.7
QUIET_BEFORE_S, QUIET_AFTER_S = 0.5, 4.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A pause of a recording, or the quiet after it (`length_s` None), and when the turn was taken there, if it was."""

    name: str
    at_s: float
    length_s: float | None
    taken_after_s: float | None
    text: str


def prepared(recording: Recording) -> Recording:
    """The recording with its own room's noise around it."""
    sound = recording.sound
    lead = room(sound, QUIET_BEFORE_S)
    parts = [(begin + lead.size, end + lead.size) for begin, end in recording.parts]
    return Recording(recording.name, np.concatenate((lead, sound, room(sound, QUIET_AFTER_S))), parts)


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
                yield recorded(f"{script.name}-{number}", sound)
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
        prog="python -m benchmarks.dialogue.endpointing", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="sound files of one turn each")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell of every pause and end")
    options = parser.parse_args()
    try:
        recordings = list(map(prepared, read(options.folders)) if options.folders else scripted())
    except RecordingError as error:
        sys.exit(str(error))
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
