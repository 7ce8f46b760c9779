"""Sound that tests make and listen to."""

from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]


def tone(frequency: float, seconds: float, sample_rate: int, *, amplitude: float = 8000, start_s: float = 0.0) -> bytes:
    """A sine, INT16 mono."""
    time_s = start_s + np.arange(round(seconds * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency * time_s)).astype("<i2").tobytes()


def samples(pcm16: bytes | bytearray) -> Samples:
    return np.frombuffer(bytes(pcm16), "<i2").astype(np.float64)


def level(sound: npt.NDArray[Any]) -> float:
    """RMS."""
    return float(np.sqrt(np.mean(np.square(sound.astype(np.float64))))) if len(sound) else 0.0


def pitch(sound: npt.NDArray[Any], sample_rate: int) -> float:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * sample_rate / len(sound))


def purity(sound: npt.NDArray[Any], frequency: float, sample_rate: int) -> float:
    """The share of the energy that lies within 60 Hz of a frequency; a click is in all frequencies."""
    spectrum = np.square(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))))
    near = np.abs(np.fft.rfftfreq(len(sound), 1 / sample_rate) - frequency) < 60
    return float(spectrum[near].sum() / spectrum.sum())


def sharpest_edge(sound: npt.NDArray[Any]) -> float:
    """The largest second difference: what a click has and a fade has not."""
    return float(np.max(np.abs(np.diff(sound.astype(np.float64), 2))))
