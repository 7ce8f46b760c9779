"""Loudness of 16 kHz INT16 sound: whether a stretch of it can hold speech at all."""

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
BYTES_PER_S = 2 * SAMPLE_RATE
FRAME_BYTES = BYTES_PER_S // 50  # 20 ms: the least whose loudness is known
_FRAME = FRAME_BYTES // 2
# RMS of INT16 samples. A quiet room through a good microphone stays below, the softest speech does not.
AUDIBLE_RMS = 30.0
# Between the loudest and the quietest frames of speech: steady noise has less, speech in noise of 10 dB more.
VOICE_RANGE = 2.0


def levels(pcm16_16k: bytes) -> npt.NDArray[np.float32]:
    """The RMS of each whole 20 ms frame."""
    samples = np.frombuffer(pcm16_16k, "<i2")
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float32)
    rms: npt.NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", frames, frames) / _FRAME)
    return rms


def is_above(pcm16_16k: bytes, level: float) -> bool:
    """Whether any frame is louder than `level` (RMS) and audible at all."""
    return bool((levels(pcm16_16k) > max(level, AUDIBLE_RMS)).any())


def speech_level(pcm16_16k: bytes) -> float:
    """The RMS between background and voice: halfway, in decibels, between quiet and loud frames."""
    quiet, loud = _range(pcm16_16k)
    return float(np.sqrt(max(quiet, 1.0) * loud))


def has_voice(pcm16_16k: bytes) -> bool:
    """Whether the sound rises and falls as speech does; false for silence and for steady noise."""
    quiet, loud = _range(pcm16_16k)
    return loud > AUDIBLE_RMS and loud > VOICE_RANGE * quiet


def _range(pcm16_16k: bytes) -> tuple[float, float]:
    rms = levels(pcm16_16k)
    if not len(rms):
        return 0.0, 0.0
    quiet, loud = np.percentile(rms, (10, 95))
    return float(quiet), float(loud)
