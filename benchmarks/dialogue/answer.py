"""An answer as it should sound, word by word, and where in it a piece of sound that was heard belongs.

The same voice says the same phrases here, so the agent's own accounts are not needed: what arrived at the client is
found again by cross-correlation.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.dialogue.words import Word, word_times
from engines.flite import SAMPLE_RATE, Flite
from orchestrator.core.phrases import PhraseSplitter

Samples = npt.NDArray[np.int16]

PROBE_S = 0.4  # a syllable or two: long enough to occur once
LEAD_S = 0.012  # the engine leaves out the silence before a phrase but for 20 ms, in which the first word begins softly
FRAME = SAMPLE_RATE // 50
LOUD_RMS = 400.0
# Through Opus the right place correlates by 0.9 and more, another by less than a half.
CERTAIN = 0.6


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece of sound ends in the answer, in seconds, and how alike both are (0 to 1)."""

    end_s: float
    likeness: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's sound at 16 kHz and the times of its words in it."""

    samples: Samples
    words: Sequence[Word]

    def place(self, heard: Samples) -> Place | None:
        """Where the end of `heard` (16 kHz; its last 400 ms count) is in the answer; None where it is not in it."""
        probe = heard[-int(PROBE_S * SAMPLE_RATE) :].astype(np.float64)
        sound = self.samples.astype(np.float64)
        if probe.size < FRAME or probe.size > sound.size or not probe.any():
            return None
        size = 1 << (sound.size + probe.size).bit_length()
        product = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(probe, size))
        dots = np.fft.irfft(product, size)[: sound.size - probe.size + 1]
        sums = np.concatenate(([0.0], np.cumsum(sound * sound)))
        energies = np.maximum(sums[probe.size :] - sums[: -probe.size], 1.0)
        likeness = dots / np.sqrt(energies * (probe @ probe))
        best = int(np.argmax(likeness))
        if likeness[best] < CERTAIN:
            return None
        return Place((best + probe.size) / SAMPLE_RATE, float(likeness[best]))

    def words_until(self, at_s: float) -> list[str]:
        """The words of which at least a half was said before `at_s`."""
        return [word.text for word in self.words if (word.begin_s + word.end_s) / 2 <= at_s]

    def loud_s(self, begin_s: float = 0.0, end_s: float | None = None) -> float:
        """How much of the sound between two moments can be heard, in frames of 20 ms."""
        part = self.samples[
            max(0, round(begin_s * SAMPLE_RATE)) : None if end_s is None else round(end_s * SAMPLE_RATE)
        ]
        return loud_frames(part) * 0.02


def loud_frames(samples: Samples) -> int:
    """How many 20 ms frames of a sound can be heard."""
    frames = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    return int((np.sqrt((frames**2).mean(axis=1)) > LOUD_RMS).sum())


def answer(text: str, flite: Flite, voice: str = "slt") -> Answer:
    """How the agent says `text`: phrase by phrase, as the language model writes it word by word."""
    splitter = PhraseSplitter()
    phrases = [phrase for delta in re.findall(r"\s*\S+", text) for phrase in splitter.push(delta)]
    pieces: list[Samples] = []
    words: list[Word] = []
    begin_s = 0.0
    for phrase in [*phrases, *splitter.finish()]:
        chunks = list(flite.synthesize(phrase.spoken, voice=voice, language="en", speed=1.0)) if phrase.spoken else []
        if chunks:
            samples = np.concatenate(chunks)
            said = word_times(phrase.spoken, voice)
            shift_s = begin_s + LEAD_S - said[0].begin_s
            words += [Word(word.text, word.begin_s + shift_s, word.end_s + shift_s) for word in said]
            pieces.append(samples)
            begin_s += samples.size / SAMPLE_RATE
    return Answer(np.concatenate(pieces) if pieces else np.zeros(0, np.int16), words)
