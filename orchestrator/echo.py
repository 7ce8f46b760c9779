"""Is what the microphone hears the agent's own voice, come back from a loudspeaker?

An echo is a delayed, weaker copy of what was played: its correlation with the played sound has a high peak at some
delay, whatever its level. A person's voice over an echo has not, since the person is louder than the echo. Both sounds
are differentiated twice first: vowels are nearly periodic, and raw ones resemble each other (80 ms of two different
speakers correlate by up to 0.9 raw, 0.45 differentiated; an echo at -20 dB through Opus both ways by 0.69 or more).
"""

import numpy as np
import numpy.typing as npt

ECHO_CORRELATION = 0.56
QUIET_POWER = 25.0  # of differentiated INT16 sound: under this nothing was played
WINDOWS = (1280, 1920, 2560)
MIN_SAMPLES = 800  # 50 ms at 16 kHz: less sound proves nothing


def correlation(microphone: npt.NDArray[np.int16], played: npt.NDArray[np.int16]) -> float:
    """The highest normalised correlation (0 to 1) of `microphone` with any equally long part of `played`.

    Both are mono at 16 kHz, [samples]; of less than 50 ms of sound nothing can be said (0).
    """
    if microphone.size < MIN_SAMPLES or not played.size:
        return 0.0
    # The microphone's part may begin before the agent did.
    played = np.concatenate([np.zeros(microphone.size, np.int16), played])
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
    """Whether the end of `microphone` (16 kHz) holds nothing but the agent's voice.

    Its last 80, 120 and 160 ms are looked at: a window in which the agent began or paused proves less than another.
    """
    return any(correlation(microphone[-size:], played) >= ECHO_CORRELATION for size in WINDOWS)
