"""Makes the recordings of this folder: everyday sentences said by flite's voices, and sounds that try the turn-taking.

    python tests/audio/make.py            # writes the WAV files, sentences.json and extras.json
    python tests/audio/make.py --measure  # prints what pocketsphinx understands of them, and its word error rate

16 kHz mono INT16; 300 ms of near-silence before the sound and 100 ms after it.
"""

import argparse
import json
import sys
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.flite import SAMPLE_RATE, Flite

FOLDER = Path(__file__).parent
LEAD_S, TAIL_S, PAUSE_S = 0.3, 0.1, 0.6
AUDIBLE = 300  # of 32768: above flite's own noise between words

SENTENCES = (
    ("what_time_is_it", "slt", "What time is it?"),
    ("what_is_your_name", "rms", "What is your name?"),
    ("tell_me_a_story", "slt", "Tell me a story."),
    ("what_can_you_do", "awb", "What can you do?"),
    ("how_are_you_today", "kal16", "How are you today?"),
    ("tired_of_my_job", "slt", "I feel tired of my job."),
    ("weather", "slt", "What is the weather like today?"),
    ("help_me", "rms", "Can you help me with something?"),
    ("about_yourself", "kal16", "Please tell me about yourself."),
    ("where_from", "rms", "Where do you come from?"),
    ("happy_to_hear", "awb", "I am very happy to hear that."),
    ("repeat_that", "slt", "Can you repeat that please?"),
    ("thank_you", "awb", "Thank you very much for your help."),
    ("good_morning", "kal16", "Good morning, how are you?"),
    ("more_time", "rms", "I need a little more time to think."),
    ("read_books", "slt", "Do you like to read books?"),
    ("history_of_music", "slt", "Tell me something about the history of music."),
    ("learn_to_cook", "awb", "I want to learn how to cook."),
    ("anything_else", "rms", "Is there anything else I should know?"),
    ("bad_day", "slt", "I had a bad day at work."),
    ("mother_visits", "awb", "My mother is coming to visit me next week."),
    ("work_at_night", "kal16", "What do you think about people who work at night?"),
    ("do_not_understand", "rms", "I do not understand the question."),
    ("talk_tomorrow", "slt", "I think we should talk about it tomorrow."),
    ("five_plus_seven", "rms", "What is five plus seven?"),
    ("what_date", "kal16", "What is the date today?"),
    ("have_a_nice_day", "rms", "Goodbye and have a nice day."),
)
EXTRAS = (
    ("stop", "rms", "Stop."),
    ("wait", "slt", "Wait."),
    ("stop_talking", "slt", "Please stop talking now."),
    ("uh_huh", "slt", "Uh huh."),
    ("right", "rms", "Right."),
    ("pause_600ms", "slt", "I would like to know | what time it is."),  # | is the pause
    ("cough", None, ""),
)


def say(voices: Flite, voice: str, text: str) -> NDArray[np.float64]:
    """`text` from its first to its last audible sample."""
    samples = np.concatenate(list(voices.synthesize(text, voice=voice, language="en", speed=1.0))).astype(np.float64)
    audible = np.flatnonzero(np.abs(samples) >= AUDIBLE)
    return samples[audible[0] : audible[-1] + 1]


def cough(noise: np.random.Generator) -> NDArray[np.float64]:
    """Two bursts of low-passed noise, 110 and 160 ms, that start hard and die away."""
    bursts = []
    for duration_s, level in ((0.11, 9000.0), (0.16, 6000.0)):
        count = int(duration_s * SAMPLE_RATE)
        rough = np.convolve(noise.normal(size=count + 7), np.ones(8) / 8**0.5, "valid")
        bursts.append(level * rough / np.abs(rough).max() * np.exp(-np.arange(count) / (0.3 * count)))
    return np.concatenate((bursts[0], np.zeros(SAMPLE_RATE // 20), bursts[1]))


def write(name: str, sound: NDArray[np.float64], noise: np.random.Generator) -> None:
    """Write the sound with its silence; the noise of 3 LSB keeps the silence from being a string of zeros."""
    padded = np.pad(sound, (int(LEAD_S * SAMPLE_RATE), int(TAIL_S * SAMPLE_RATE)))
    samples = np.clip(np.rint(padded + noise.normal(0, 3, len(padded))), -32768, 32767).astype("<i2")
    with wave.open(str(FOLDER / f"{name}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())


def make() -> None:
    """Write every recording and the two lists."""
    noise = np.random.default_rng(20)
    voices = Flite()
    for name, voice, text in SENTENCES + EXTRAS:
        if voice is None:
            sound = cough(noise)
        else:
            first, *rest = [say(voices, voice, part.strip()) for part in text.split("|")]
            sound = np.concatenate([first, *(np.pad(part, (int(PAUSE_S * SAMPLE_RATE), 0)) for part in rest)])
        write(name, sound, noise)
    voices.close()
    for file, recordings in (("sentences.json", SENTENCES), ("extras.json", EXTRAS)):
        rows = [
            {"file": f"{name}.wav", "voice": voice, "text": text.replace(" |", "")} for name, voice, text in recordings
        ]
        (FOLDER / file).write_text("[\n  " + ",\n  ".join(map(json.dumps, rows)) + "\n]\n")


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return "".join(each if each.isalnum() or each == "'" else " " for each in text.lower()).split()


def word_errors(spoken: list[str], heard: list[str]) -> int:
    """Substitutions, insertions and deletions between two lists of words (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(spoken, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def measure() -> None:
    """Print what pocketsphinx's own en-us model understands, each recording decoded as a whole."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=SAMPLE_RATE, maxhmmpf=5000, maxwpf=20, loglevel="FATAL")
    rates = []
    for list_file in ("sentences.json", "extras.json"):
        for row in json.loads((FOLDER / list_file).read_text()):
            with wave.open(str(FOLDER / row["file"])) as file:
                sound = file.readframes(file.getnframes())
            decoder.start_utt()
            decoder.process_raw(sound, full_utt=True)
            decoder.end_utt()
            heard = decoder.hyp().hypstr if decoder.hyp() else ""
            spoken = words(row["text"])
            errors = word_errors(spoken, words(heard))
            if list_file == "sentences.json":
                rates.append(errors / len(spoken))
            sys.stdout.write(f"{row['file']:24} {errors} {heard}\n")
    sys.stdout.write(f"mean word error rate of the sentences: {np.mean(rates):.1%}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
    else:
        make()
