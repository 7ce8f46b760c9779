"""What a microphone picks up: voices, noises, and the people and things around. INT16 mono at 16 kHz, made anew.

Everything is reproducible: voices are flite's, chance comes from seeded generators.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from benchmarks.dialogue.answer import Answer, answer
from benchmarks.dialogue.script import VOICES, Disturbance, Noise
from benchmarks.dialogue.words import word_times
from engines.flite import SAMPLE_RATE, Flite

Samples = npt.NDArray[np.int16]
Sound = npt.NDArray[np.float64]

LEVEL = 2_000.0  # the RMS of a caller's voice
AUDIBLE = 300
NOISE_S = 10
BABBLE = (
    "Yesterday we went to the market and bought some apples.",
    "The train was late again, so I read the whole newspaper.",
    "Nobody told me that the meeting had been moved to Thursday.",
    "If it rains tomorrow we can still go to the museum.",
)


class Studio:
    """Makes sounds. Close it to free the voices."""

    def __init__(self) -> None:
        self._flite = Flite(VOICES)
        self.speech = lru_cache(maxsize=512)(self._speech)

    def close(self) -> None:
        """Free the voices."""
        self._flite.close()

    def answer(self, text: str) -> Answer:
        """How the agent says `text`, with its default voice."""
        return answer(text, self._flite)

    def said(self, voice: str, text: str) -> Samples:
        """`text` from its first to its last audible sample, at a caller's level."""
        return to_int16(at_level(self.speech(voice, text), LEVEL))

    def sentence(self, voice: str, parts: Sequence[str]) -> list[Samples]:
        """The parts of a sentence that is said in one go and cut between words: its melody tells that more follows."""
        text = " ".join(parts)
        whole = at_level(self.speech(voice, text), LEVEL)
        words = word_times(text, voice)
        # kal16's sound is shorter than it was planned to be.
        pace = whole.size / (words[-1].end_s - words[0].begin_s)
        counts = accumulate(len(part.split()) for part in parts[:-1])
        gaps = [((words[count - 1].end_s + words[count].begin_s) / 2 - words[0].begin_s) * pace for count in counts]
        return [to_int16(faded(part)) for part in np.split(whole, [quietest(whole, round(gap)) for gap in gaps])]

    def disturbance(self, sound: Disturbance, voice: str) -> Samples:
        """A sound that is not meant for the agent."""
        match sound:
            case "cough":
                throat = self.speech("slt", "Huh.")
                return to_int16(at_level(cough(np.random.default_rng(20), throat), 1.5 * LEVEL))
            case "door":
                return to_int16(at_level(slam(np.random.default_rng(21)), 2 * LEVEL))
            case "side speech":
                other = VOICES[(VOICES.index(voice) + 1) % len(VOICES)]
                return to_int16(at_level(muffled(self.speech(other, BABBLE[1])), LEVEL / 10))
            case "uh huh" | "right":
                return self.said(voice, f"{sound.capitalize()}.")

    def noise(self, kind: Noise, level_db: float) -> Samples:
        """Ten seconds that can be repeated."""
        generator = np.random.default_rng(22)
        makers: dict[Noise, Callable[[], Sound]] = {
            "white": lambda: generator.normal(size=NOISE_S * SAMPLE_RATE),
            "pink": lambda: pink(generator, NOISE_S * SAMPLE_RATE),
            "babble": self._babble,
        }
        return to_int16(at_level(makers[kind](), LEVEL * 10 ** (level_db / 20)))

    def _speech(self, voice: str, text: str) -> Sound:
        pieces = self._flite.synthesize(text, voice=voice, language="en", speed=1.0)
        samples = np.concatenate(list(pieces)).astype(np.float64)
        audible = np.flatnonzero(np.abs(samples) >= AUDIBLE)
        return np.asarray(samples[audible[0] : audible[-1] + 1])

    def _babble(self) -> Sound:
        mixed = np.zeros(NOISE_S * SAMPLE_RATE)
        for index, (voice, text) in enumerate((voice, text) for voice in VOICES for text in BABBLE):
            speech = at_level(self.speech(voice, text), 1.0)
            position = np.arange(speech.size) + index * SAMPLE_RATE * 3 // 2
            np.add.at(mixed, position % mixed.size, speech)
        return mixed


def at_level(sound: Sound, rms: float) -> Sound:
    """The sound with that RMS, measured where it is audible."""
    loud = np.abs(sound) > 0.02 * np.abs(sound).max()
    return np.asarray(sound * (rms / np.sqrt(np.mean(sound[loud] ** 2))))


def to_int16(sound: Sound) -> Samples:
    """Rounded and clipped."""
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


def quietest(sound: Sound, near: int) -> int:
    """The sample within 60 ms of `near` around which 10 ms are the quietest."""
    reach, window = SAMPLE_RATE * 60 // 1000, SAMPLE_RATE // 100
    begin = max(0, near - reach)
    power = np.convolve(sound[begin : near + reach] ** 2, np.ones(window), "same")
    return begin + int(np.argmin(power))


def faded(sound: Sound) -> Sound:
    """The same with 8 ms that rise at its beginning and fall at its end."""
    ramp = np.arange(1, SAMPLE_RATE // 125 + 1) / (SAMPLE_RATE // 125)
    return np.concatenate((sound[: ramp.size] * ramp, sound[ramp.size : -ramp.size], sound[-ramp.size :] * ramp[::-1]))


def cough(generator: np.random.Generator, throat: Sound) -> Sound:
    """Two bursts of 200 ms that start hard and die away: dull noise, and a `throat` whose voice is in it."""
    count = SAMPLE_RATE // 5
    voiced = np.resize(throat, count) * np.exp(-np.arange(count) / (0.5 * count))
    rough = np.convolve(generator.normal(size=count + 3), np.ones(4) / 4, "valid")
    burst = at_level(voiced, 1.0) + 0.7 * at_level(rough * np.exp(-np.arange(count) / (0.4 * count)), 1.0)
    return np.concatenate((burst, np.zeros(SAMPLE_RATE // 10), 0.7 * burst))


def slam(generator: np.random.Generator) -> Sound:
    """A door: a low thud of a quarter of a second with a click at its beginning."""
    count = SAMPLE_RATE // 4
    time_s = np.arange(count) / SAMPLE_RATE
    thud = np.sin(2 * np.pi * 90 * time_s) * np.exp(-time_s / 0.06)
    return np.asarray(thud + 0.5 * generator.normal(size=count) * np.exp(-time_s / 0.01))


def pink(generator: np.random.Generator, count: int) -> Sound:
    """Noise whose power falls by 3 dB an octave."""
    spectrum = np.fft.rfft(generator.normal(size=count))
    return np.asarray(np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(spectrum.size), 20)), count))


def muffled(sound: Sound) -> Sound:
    """As through a wall: what is over about 1 kHz is lost."""
    return np.convolve(sound, np.ones(12) / 12, "same")
