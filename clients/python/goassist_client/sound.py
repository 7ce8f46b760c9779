"""Sound files in and out, and levels. Samples are INT16 mono unless said otherwise."""

import math
import wave
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from goassist_client.errors import SoundError

Samples = NDArray[np.int16]

MICROPHONE_RATE = 16_000
SILENCE_DBFS = -90.0


def read_sound(path: str | Path) -> Samples:
    """All samples of the sound file `path` as 16 kHz mono, whatever its rate, width and channels.

    Raises SoundError where there is no such file, or no sound in it.
    """
    path = Path(path)
    if not path.is_file():
        raise SoundError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise SoundError(f"{path}: no sound in this file; a WAV file is expected")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=MICROPHONE_RATE)
            frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
            frames += resampler.resample(None)
    except av.FFmpegError as error:
        raise SoundError(f"{path}: not a sound file that can be read ({error.strerror}); give a WAV file") from error
    if not frames:
        raise SoundError(f"{path}: the file holds no samples")
    samples: Samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return samples


def write_wav(path: str | Path, samples: Samples, sample_rate: int) -> None:
    """Write `samples` as a mono 16-bit WAV file. Raises SoundError where that is not possible."""
    try:
        with Path(path).open("wb") as out, wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(samples.tobytes())
    except OSError as error:
        raise SoundError(f"{path}: cannot be written ({error.strerror})") from error


def level_dbfs(samples: Samples) -> float:
    """Root mean square in dB of full scale; SILENCE_DBFS for nothing and for digital silence."""
    if len(samples) == 0:
        return SILENCE_DBFS
    wide = samples.astype(np.float32)
    mean_square = float(np.dot(wide, wide)) / len(wide)
    return max(SILENCE_DBFS, 10 * math.log10(mean_square / 32768**2)) if mean_square else SILENCE_DBFS


def sounding_span(samples: Samples, sample_rate: int) -> tuple[int, int]:
    """First and last audible sample (exclusive), in 10 ms steps: within 40 dB of the loudest step, over -60 dBFS.

    (0, len) where nothing is audible, so that a silent file still has a beginning and an end.
    """
    step = sample_rate // 100
    levels = [level_dbfs(samples[at : at + step]) for at in range(0, len(samples), step)]
    floor = max(-60.0, max(levels, default=SILENCE_DBFS) - 40)
    audible = [index for index, level in enumerate(levels) if level >= floor]
    if not audible:
        return 0, len(samples)
    return audible[0] * step, min(len(samples), (audible[-1] + 1) * step)
