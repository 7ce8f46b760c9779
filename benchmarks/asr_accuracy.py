"""What pocketsphinx understands of tests/audio, and what it costs: `python -m benchmarks.asr_accuracy`.

Each is spoken into the engine in pieces of 160 ms, as in a call: as it is, by a dull microphone, and by a sharp one,
with noise 30 dB below the voice. All follow one another, so that every third utterance has a microphone of its own.
"""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from goassist_client.sound import read_sound

from engines.pocketsphinx import Pocketsphinx
from engines.transcriber import Ask, Hypothesis, Piece
from tests.audio.make import word_errors, words

AUDIO = Path(__file__).parents[1] / "tests" / "audio"
SAMPLE_RATE = 16_000
CHUNK = SAMPLE_RATE * 160 // 1000
QUIET = SAMPLE_RATE * 3 // 10  # before and after, as endpointing leaves it
ROOM_NOISE, NOISE_DB = 6.0, -30.0

Sound = npt.NDArray[np.float64]


def dull(sound: Sound) -> Sound:
    """Two neighbouring samples' mean: 8 kHz are gone, 4 kHz 3 dB softer."""
    return (sound + np.roll(sound, 1)) / 2


def sharp(sound: Sound) -> Sound:
    """Highs up to 10 dB louder than lows: pre-emphasis by half."""
    return sound - 0.5 * np.roll(sound, 1)


CONDITIONS: dict[str, tuple[Callable[[Sound], Sound], bool]] = {
    "as it is": (lambda sound: sound, False),
    "dull, noise": (dull, True),
    "sharp, noise": (sharp, True),
}


def spoken(path: Path, microphone: Callable[[Sound], Sound], noisy: bool) -> npt.NDArray[np.int16]:
    """The recording through the microphone, in its room."""
    voice = microphone(np.pad(read_sound(path).astype(np.float64), QUIET))
    noise = max(ROOM_NOISE, float(voice.std()) * 10 ** (NOISE_DB / 20)) if noisy else ROOM_NOISE
    return np.asarray((voice + np.random.default_rng(0).normal(size=voice.size) * noise).clip(-32768, 32767), np.int16)


def understood(recogniser: Pocketsphinx, sound: npt.NDArray[np.int16]) -> tuple[str, float, float]:
    """What was understood, the CPU seconds from the last sound to that, and those before it."""
    utterance = recogniser.open(language=None, hotwords=None)
    began = last = time.process_time()
    text = ""
    for at in range(0, sound.size, CHUNK):
        ask = Ask.FINAL if at + CHUNK >= sound.size else Ask.PARTIAL
        last = time.process_time()
        answered: Future[Hypothesis | BaseException] = Future()
        piece = Piece(utterance, sound[at : at + CHUNK].tobytes(), ask, partial(_answer, answered))
        recogniser.transcribe([piece])
        answer = answered.result(timeout=60)
        if isinstance(answer, BaseException):
            raise answer
        text = answer.text
    return text, time.process_time() - last, last - began


def _answer(answered: Future[Hypothesis | BaseException], answer: Hypothesis | BaseException, _: float) -> None:
    answered.set_result(answer)


def main() -> None:
    """The command line."""
    rows = [row for name in ("sentences", "extras") for row in json.loads((AUDIO / f"{name}.json").read_text())]
    rows = [row for row in rows if row["file"] not in ("cough.wav", "uh_huh.wav")]
    recogniser = Pocketsphinx.from_parameters({"workers": "1", "decoders": "1"})
    errors = dict.fromkeys(CONDITIONS, 0)
    answers_s: list[float] = []
    cpu_s = heard_s = 0.0
    try:
        for row in rows:
            for condition, (microphone, noisy) in CONDITIONS.items():
                sound = spoken(AUDIO / row["file"], microphone, noisy)
                text, answer_s, before_s = understood(recogniser, sound)
                errors[condition] += word_errors(words(row["text"]), words(text))
                answers_s.append(answer_s)
                cpu_s, heard_s = cpu_s + answer_s + before_s, heard_s + sound.size / SAMPLE_RATE
    finally:
        recogniser.close()
    total = sum(len(words(row["text"])) for row in rows)
    for condition, wrong in errors.items():
        print(f"{condition}: {wrong} of {total} words wrong ({wrong / total:.1%})")
    p95_s = float(np.percentile(answers_s, 95))
    print(f"CPU from the last sound to the answer: mean {1000 * np.mean(answers_s):.0f} ms, p95 {1000 * p95_s:.0f} ms")
    print(f"CPU per second of sound: {cpu_s / heard_s:.2f} s")


if __name__ == "__main__":
    main()
