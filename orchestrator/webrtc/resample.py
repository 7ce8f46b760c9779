"""A small streaming resampler for voices whose sample rate Opus does not take, such as 22.05 kHz."""

import functools
import math

import numpy as np
import numpy.typing as npt

TAPS = 32  # input samples per output sample: keeps the band up to 80 % of Nyquist, images lie 50 dB below

Floats = npt.NDArray[np.float32]


class Resampler:
    """INT16 mono sound at `rate_in` → the same sound at `rate_out`, in chunks of any length.

    A polyphase windowed sinc: as many filters as the reduced ratio has output phases. The filter's own delay is
    compensated, so that the output is in step with the input; `flush` gives the last samples.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        common = math.gcd(rate_in, rate_out)
        self._up, self._down = rate_out // common, rate_in // common
        taps = TAPS * max(1, math.ceil(rate_in / rate_out))
        self._half = taps // 2
        self._filters = _filters(self._up, taps, cutoff=min(1.0, rate_out / rate_in))
        self._input: Floats = np.zeros(self._half - 1, np.float32)
        self._position = 0  # of the next output sample, in steps of 1/up input samples from the start of _input

    def push(self, pcm16: bytes) -> bytes:
        """The output that can be made now; about half a ms of sound stays inside."""
        return self._run(np.frombuffer(pcm16, "<i2").astype(np.float32))

    def flush(self) -> bytes:
        """What is still inside; the input ends here."""
        return self._run(np.zeros(self._half, np.float32))

    def _run(self, samples: Floats) -> bytes:
        available = np.concatenate([self._input, samples])
        windows = len(available) - 2 * self._half + 1
        count = max(0, -((self._position - windows * self._up) // self._down))
        steps = self._position + self._down * np.arange(count)
        start, phase = np.divmod(steps, self._up)
        if count:
            views = np.lib.stride_tricks.sliding_window_view(available, 2 * self._half)
            output = np.einsum("ij,ij->i", views[start], self._filters[phase])
        else:
            output = np.zeros(0, np.float32)
        self._position += self._down * count
        used = min(self._position // self._up, len(available))
        self._position -= used * self._up
        self._input = available[used:]
        return bytes(np.clip(np.rint(output), -32768, 32767).astype("<i2").tobytes())


@functools.cache
def _filters(phases: int, taps: int, cutoff: float) -> Floats:
    """One filter per output phase, shape (phases, taps), each with unit gain at 0 Hz."""
    offsets = np.arange(taps) - (taps // 2 - 1) - np.arange(phases)[:, None] / phases
    passband = 0.9 * cutoff
    window = np.i0(5.5 * np.sqrt(np.maximum(0.0, 1 - (offsets / (taps / 2)) ** 2)))
    filters = np.sinc(passband * offsets) * window
    normalised: Floats = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised
