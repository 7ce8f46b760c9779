"""Is what the microphone hears the agent's own voice, come back from a loudspeaker?

An echo is a delayed, weaker copy of what was played: its correlation with the played sound has a high peak at some
delay, whatever its level. A person's voice over an echo has not, since the person is louder than the echo. Both sounds
are differentiated twice first: vowels are nearly periodic, and raw ones resemble each other (80 ms of two different
speakers correlate by up to 0.9 raw, 0.45 differentiated; an echo at -20 dB through Opus both ways by 0.69 or more).
"""

import numpy as np
import numpy.typing as npt

ECHO_CORRELATION = 0.58
QUIET_POWER = 25.0  # of differentiated INT16 sound: under this nothing was played
MIN_SAMPLES = 800  # 50 ms at 16 kHz: less sound proves nothing


def correlation(microphone: npt.NDArray[np.int16], played: npt.NDArray[np.int16]) -> float:
    """The highest normalised correlation (0 to 1) of `microphone` with any equally long part of `played`.

    Both are mono at the same rate, [samples]; `played` must be the longer one, or nothing can be said (0).
    """
    if microphone.size < MIN_SAMPLES or played.size < microphone.size:
        return 0.0
    near, far = np.diff(microphone.astype(np.float64), n=2), np.diff(played.astype(np.float64), n=2)
    size, length = near.size, far.size
    energy = float(near @ near)
    transform = 1 << (length + size - 1).bit_length()
    product = np.fft.rfft(far, transform) * np.conj(np.fft.rfft(near, transform))
    dots = np.fft.irfft(product, transform)[: length - size + 1]
    sums = np.concatenate([[0.0], np.cumsum(far * far)])
    energies = sums[size:] - sums[: length - size + 1]
    scale = np.sqrt(energy * np.maximum(energies, 1e-9))
    # Where nearly nothing was played there is nothing to echo.
    audible = energies > size * QUIET_POWER
    return float(np.max(np.abs(dots[audible]) / scale[audible], initial=0.0)) if energy > 0 else 0.0


def is_echo(microphone: npt.NDArray[np.int16], played: npt.NDArray[np.int16]) -> bool:
    """Whether `microphone` holds nothing but the agent's voice."""
    return correlation(microphone, played) >= ECHO_CORRELATION
